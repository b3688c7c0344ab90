package pgprobe

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// behaviour is what a fake server does wrong.
type behaviour int

const (
	rightly      behaviour = iota // nothing
	silent                        // it accepts connections, and no more
	mute                          // silence after authentication
	stopsMidRow                   // half of an answer, and then silence
	drips                         // a byte now and then
	breaksOnce                    // each connection ends after one observation
	terminates                    // the second observation is told that its session was ended, as by an idle_session_timeout
	promotedOnce                  // the first observation finds it promoted in the middle
	refuses                       // an error instead of the third answer
)

// fake speaks enough of the protocol to be observed.
type fake struct {
	t        *testing.T
	does     behaviour
	version  string
	rows     map[string][]row // by statement
	listener net.Listener

	mu     sync.Mutex
	conns  map[net.Conn]bool
	most   int // connections at a time
	rounds int
}

// row is a row of an answer; the types of its values are those of the columns.
type row []any

func newFake(t *testing.T, does behaviour, version string, rows map[string][]row) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &fake{t: t, does: does, version: version, rows: rows, listener: l, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.keep(conn)
			wg.Go(func() { defer f.drop(conn); f.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.mu.Lock()
		for conn := range f.conns {
			_ = conn.Close()
		}
		f.mu.Unlock()
		wg.Wait()
	})
	return f
}

func (f *fake) dsn() string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=u dbname=d sslmode=disable", f.listener.Addr().(*net.TCPAddr).Port)
}

func (f *fake) keep(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[conn] = true
	f.most = max(f.most, len(f.conns))
}

func (f *fake) drop(conn net.Conn) {
	_ = conn.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, conn)
}

// open is the number of connections that the client has not closed.
func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

// round counts observations.
func (f *fake) round() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rounds++
	return f.rounds
}

// hang waits for the client to give up.
func hang(conn net.Conn) {
	for buf := make([]byte, 512); ; {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

func (f *fake) serve(conn net.Conn) {
	if f.does == silent {
		hang(conn)
		return
	}
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: f.version})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	if f.does == mute {
		hang(conn)
		return
	}
	f.talk(conn, b)
}

func (f *fake) talk(conn net.Conn, b *pgproto3.Backend) {
	var sqls []string
	for {
		msg, err := b.Receive()
		if err != nil {
			return
		}
		switch msg := msg.(type) {
		case *pgproto3.Parse:
			sqls = append(sqls, msg.Query)
		case *pgproto3.Sync:
			if f.answer(conn, sqls) != nil || f.does == breaksOnce {
				return
			}
			sqls = nil
		case *pgproto3.Terminate:
			return
		}
	}
}

func (f *fake) answer(conn net.Conn, sqls []string) error {
	round := f.round()
	var out []byte
	add := func(m pgproto3.BackendMessage) {
		var err error
		if out, err = m.Encode(out); err != nil {
			panic(err)
		}
	}
	if f.does == terminates && round == 2 {
		add(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P05", Message: "terminating connection"})
		_, _ = conn.Write(out)
		return net.ErrClosed
	}
	for i, sql := range sqls {
		if f.does == refuses && i == 2 && round == 1 {
			add(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "42501", Message: "permission denied"})
			break
		}
		rows, known := f.rows[sql]
		if !known {
			panic("nobody told what to answer to " + sql)
		}
		add(&pgproto3.ParseComplete{})
		add(&pgproto3.BindComplete{})
		if len(rows) == 0 {
			add(&pgproto3.RowDescription{})
		} else {
			add(description(rows[0]))
		}
		for _, r := range rows {
			r = slices.Clone(r)
			if f.does == promotedOnce && round == 1 && i == len(sqls)-1 {
				r[0] = !r[0].(bool)
			}
			add(r.message())
		}
		add(&pgproto3.CommandComplete{CommandTag: []byte("SELECT " + strconv.Itoa(len(rows)))})
	}
	add(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	switch f.does {
	case stopsMidRow:
		_, _ = conn.Write(out[:len(out)/2])
		hang(conn)
	case drips:
		for _, c := range out {
			if _, err := conn.Write([]byte{c}); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	_, err := conn.Write(out)
	return err
}

func description(r row) *pgproto3.RowDescription {
	var d pgproto3.RowDescription
	for i, v := range r {
		oid := uint32(25) // text; the numbers are those of pg_type
		switch v.(type) {
		case bool:
			oid = 16
		case int64:
			oid = 20
		case int:
			oid = 23
		case float64:
			oid = 701
		case time.Time:
			oid = 1184
		}
		d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte("c" + strconv.Itoa(i)), DataTypeOID: oid, DataTypeSize: -1, TypeModifier: -1})
	}
	return &d
}

func (r row) message() *pgproto3.DataRow {
	var m pgproto3.DataRow
	for _, v := range r {
		var text []byte
		switch v := v.(type) {
		case nil:
		case bool:
			text = []byte(strconv.FormatBool(v)[:1])
		case time.Time:
			text = []byte(v.UTC().Format("2006-01-02 15:04:05.999999+00"))
		default:
			text = fmt.Append([]byte{}, v)
		}
		m.Values = append(m.Values, text)
	}
	return &m
}
