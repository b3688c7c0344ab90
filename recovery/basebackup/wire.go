package basebackup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// Messages of the server (manual: "Message Formats").
const (
	msgRow         = 'D'
	msgRowHead     = 'T'
	msgComplete    = 'C'
	msgReady       = 'Z'
	msgError       = 'E'
	msgNotice      = 'N'
	msgParameter   = 'S'
	msgNotify      = 'A'
	msgCopyOut     = 'H'
	msgCopyBoth    = 'W'
	msgCopyData    = 'd'
	msgCopyDone    = 'c'
	maxMessage     = 4 << 20 // bytes of one that is kept whole; those of COPY are not
	readBufferSize = 256 << 10
)

// wire reads and writes the messages of a connection by hand: in a COPY they are of a few dozen KiB each, and every one would cost
// pgproto3 an allocation and a copy.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
	left int // unread bytes of the current message
	warn func(string)

	writing sync.Mutex
}

func newWire(conn net.Conn, warn func(string)) *wire {
	return &wire{conn: conn, r: bufio.NewReaderSize(conn, readBufferSize), warn: warn}
}

// send writes a message.
func (w *wire) send(kind byte, body []byte) error {
	b := make([]byte, 0, 5+len(body))
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(body))) //nolint:gosec // our own messages are short
	b = append(b, body...)
	w.writing.Lock()
	defer w.writing.Unlock()
	_, err := w.conn.Write(b)
	return lost(err)
}

// command sends a command of the simple query protocol.
func (w *wire) command(text string) error { return w.send('Q', append([]byte(text), 0)) }

// next goes to the next message and returns its type. What was not read of the last one is skipped; warnings are handed on, other
// messages that can come at any time are skipped. An error message is returned as a [*pgconn.PgError].
func (w *wire) next() (byte, error) {
	for {
		if _, err := w.r.Discard(w.left); err != nil {
			return 0, lost(err)
		}
		var head [5]byte
		w.left = 0
		if _, err := io.ReadFull(w.r, head[:]); err != nil {
			return 0, lost(err)
		}
		n := binary.BigEndian.Uint32(head[1:])
		if n < 4 || n > 1<<30 {
			return 0, fmt.Errorf("a message of %d bytes: this is not the protocol of PostgreSQL", n)
		}
		w.left = int(n - 4)
		switch head[0] {
		case msgNotice, msgError:
			if err := w.problem(head[0]); err != nil {
				return 0, err
			}
		case msgParameter, msgNotify:
		default:
			return head[0], nil
		}
	}
}

// problem returns an error message, and hands on a warning.
func (w *wire) problem(kind byte) error {
	body, err := w.body()
	if err != nil {
		return err
	}
	var msg pgproto3.ErrorResponse
	if err := msg.Decode(body); err != nil {
		return err
	}
	if kind == msgError {
		return pgconn.ErrorResponseToPgError(&msg)
	}
	if w.warn != nil && msg.SeverityUnlocalized == "WARNING" {
		w.warn(msg.Message)
	}
	return nil
}

// body is what is left of the current message.
func (w *wire) body() ([]byte, error) {
	if w.left > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes: this is not the protocol of PostgreSQL", w.left)
	}
	b := make([]byte, w.left)
	w.left = 0
	_, err := io.ReadFull(w.r, b)
	return b, lost(err)
}

// Read reads from the current message; its end is io.EOF.
func (w *wire) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	n, err := w.r.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, lost(err)
}

// want goes to the next message and demands its type.
func (w *wire) want(kind byte) error {
	got, err := w.next()
	if err == nil && got != kind {
		err = unexpected(got)
	}
	return err
}

func unexpected(kind byte) error {
	return fmt.Errorf("the server sent a message of type %q at the wrong time", kind)
}

// rows reads a result set; NULL is an empty string.
func (w *wire) rows() ([][]string, error) {
	if err := w.want(msgRowHead); err != nil {
		return nil, err
	}
	var rows [][]string
	for {
		kind, err := w.next()
		switch {
		case err != nil:
			return nil, err
		case kind == msgComplete:
			return rows, nil
		case kind != msgRow:
			return nil, unexpected(kind)
		}
		row, err := w.row()
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
}

func (w *wire) row() ([]string, error) {
	body, err := w.body()
	if err != nil {
		return nil, err
	}
	var msg pgproto3.DataRow
	if err := msg.Decode(body); err != nil {
		return nil, err
	}
	row := make([]string, len(msg.Values))
	for i, v := range msg.Values {
		row[i] = string(v)
	}
	return row, nil
}

// ready reads up to the end of a command's answer.
func (w *wire) ready() error {
	for {
		kind, err := w.next()
		if err != nil || kind == msgReady {
			return err
		}
		if kind != msgComplete {
			return unexpected(kind)
		}
	}
}

// query returns the one result set of a command.
func (w *wire) query(text string) ([][]string, error) {
	if err := w.command(text); err != nil {
		return nil, err
	}
	rows, err := w.rows()
	if err != nil {
		return nil, err
	}
	return rows, w.ready()
}

// position reads a row that begins with an LSN and a timeline.
func position(rows [][]string) (wal.LSN, wal.Timeline, error) {
	if len(rows) != 1 || len(rows[0]) < 2 {
		return 0, 0, errors.New("the server named no position")
	}
	lsn, err := wal.ParseLSN(rows[0][0])
	if err != nil {
		return 0, 0, err
	}
	tli, err := parseTimeline(rows[0][1])
	return lsn, tli, err
}

func parseTimeline(s string) (wal.Timeline, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil || v == 0 {
		return 0, fmt.Errorf("%q is no timeline", s)
	}
	return wal.Timeline(v), nil
}
