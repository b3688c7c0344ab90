package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

// receive takes what comes on a connection, and ends it.
func (x *run) receive(ctx context.Context, link *stream) error {
	stop := link.obey(ctx)
	defer stop()
	defer link.hangUp()
	x.update(func(s *Status) {
		s.Connected, s.Timeline, s.Received, s.Heard = true, x.at.tli, x.at.lsn, time.Now()
	})
	x.setLink(link)
	defer x.setLink(nil)
	if err := x.report(); err != nil {
		return err
	}
	for {
		if x.cfg.StopAt != 0 && x.at.lsn >= x.cfg.StopAt {
			return errStopped
		}
		if err := link.conn.SetReadDeadline(time.Now().Add(x.cfg.ServerTimeout)); err != nil {
			return lost(err)
		}
		if err := context.Cause(ctx); err != nil { // which may have set another deadline just before
			return err
		}
		msg, err := link.frontend.Receive()
		if err != nil {
			return lost(err)
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			err = x.message(msg.Data)
		case *pgproto3.CopyDone:
			return x.endOfTimeline(link)
		case *pgproto3.ErrorResponse:
			return x.refused(pgconn.ErrorResponseToPgError(msg)) // a removed segment is noticed here only
		case *pgproto3.CommandComplete: // a server that shuts down says so and goes
			err = fmt.Errorf("the server ended the stream: %w", ErrConnectionLost)
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			err = fmt.Errorf("the server sent %T in a stream of WAL", msg)
		}
		if err != nil {
			return fmt.Errorf("at %v on timeline %d: %w", x.at.lsn, x.at.tli, err)
		}
	}
}

// message takes the content of a CopyData message.
func (x *run) message(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("the server sent an empty message")
	}
	switch b[0] {
	case pglogrepl.XLogDataByteID:
		data, err := pglogrepl.ParseXLogData(b[1:])
		if err != nil {
			return err
		}
		return x.data(data)
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		alive, err := pglogrepl.ParsePrimaryKeepaliveMessage(b[1:])
		if err != nil {
			return err
		}
		x.heard(wal.LSN(alive.ServerWALEnd))
		if alive.ReplyRequested {
			return x.report()
		}
		return nil
	}
	return fmt.Errorf("the server sent a message of type %q, which nobody knows", b[:1])
}

// data takes WAL.
func (x *run) data(d pglogrepl.XLogData) error {
	if at := wal.LSN(d.WALStart); at != x.at.lsn {
		return fmt.Errorf("the server sent WAL from %v, not from %v", at, x.at.lsn)
	}
	if err := x.st.write(x.at, d.WALData); err != nil {
		return err
	}
	x.at.lsn += wal.LSN(len(d.WALData))
	if x.cfg.Synchronous {
		x.st.kick()
	}
	x.heard(wal.LSN(d.ServerWALEnd))
	return nil
}

func (x *run) heard(end wal.LSN) {
	x.update(func(s *Status) { s.Received, s.ServerEnd, s.Heard = x.at.lsn, end, time.Now() })
}

// endOfTimeline says goodbye to a server that has no more WAL of this timeline. Which comes next is in its history.
func (x *run) endOfTimeline(link *stream) error {
	x.cfg.Logger.Debug("end of timeline", "timeline", x.at.tli, "lsn", x.at.lsn)
	if err := link.send(copyDone); err != nil {
		return err
	}
	for {
		msg, err := link.frontend.Receive()
		if err != nil {
			return lost(err)
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.CommandComplete, *pgproto3.ReadyForQuery:
			return errTimelineEnded
		}
	}
}

func (x *run) setLink(link *stream) {
	x.linkMu.Lock()
	defer x.linkMu.Unlock()
	x.link = link
}

// report tells the server how far we are, if there is a connection. The flush position is what is durable, and nothing if nobody waits for it: a
// receiver without slot that is not meant to be a synchronous standby must not become one by accident.
func (x *run) report() error {
	x.linkMu.Lock()
	link := x.link
	x.linkMu.Unlock()
	if link == nil {
		return nil
	}
	status := x.Status()
	var flushed wal.LSN
	if x.cfg.Slot != "" || x.cfg.Synchronous {
		flushed = min(x.st.durable().lsn, status.Received)
	}
	now := time.Now()
	return link.send(statusMessage(status.Received, flushed, now, now.Sub(status.Heard) > x.cfg.ServerTimeout/2))
}
