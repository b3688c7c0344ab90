package basebackup

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
)

// space is an archive of the backup: the data directory or a tablespace.
type space struct {
	oid      uint32 // zero for the data directory
	source   string // location on the server; empty for the data directory
	sizeKiB  int64
	location string // where it goes
	inPlace  bool   // a tablespace inside the data directory
}

// archive is its name in the protocol and in the tar format.
func (s space) archive() string {
	if s.oid == 0 {
		return "base.tar"
	}
	return strconv.FormatUint(uint64(s.oid), 10) + ".tar"
}

// parseSpaces reads the list of tablespaces, in the order in which servers before 15 send them.
func parseSpaces(rows [][]string) ([]space, error) {
	var all []space
	for _, row := range rows {
		if len(row) < 3 {
			return nil, fmt.Errorf("list of tablespaces: %d columns", len(row))
		}
		size, err := strconv.ParseInt(row[2], 10, 64)
		if err != nil || size < 0 || size > 1<<50 {
			return nil, fmt.Errorf("list of tablespaces: %q is no size", row[2])
		}
		s := space{source: row[1], sizeKiB: size}
		if row[0] != "" || row[1] != "" {
			oid, err := strconv.ParseUint(row[0], 10, 32)
			if err != nil || oid == 0 {
				return nil, fmt.Errorf("list of tablespaces: %q is no OID", row[0])
			}
			s.oid = uint32(oid)
		}
		if slices.ContainsFunc(all, func(other space) bool { return other.oid == s.oid }) {
			return nil, fmt.Errorf("list of tablespaces: %s is in it twice", s.archive())
		}
		all = append(all, s)
	}
	if !slices.ContainsFunc(all, func(s space) bool { return s.oid == 0 }) {
		return nil, fmt.Errorf("list of tablespaces: the data directory is missing")
	}
	return all, nil
}

// piece is a step of what is received: the beginning of an archive or of the manifest, or the next bytes of it.
type piece struct {
	space    *space // an archive begins
	manifest bool   // the manifest begins
	data     []byte // a buffer of the receiver, to be given back
}

const (
	pieceSize = 1 << 20
	pieces    = 8
)

// receiver takes what the server sends in answer to BASE_BACKUP and hands it on in large pieces. Whatever the sizes of the messages,
// the content of an archive is one run of bytes in each piece.
type receiver struct {
	*wire
	spaces   []space
	manifest bool // whether there is to be one
	out      chan piece
	free     chan []byte

	buf  []byte // being filled
	seen map[uint32]bool
}

func newReceiver(w *wire, spaces []space, manifest bool) *receiver {
	r := &receiver{
		wire: w, spaces: spaces, manifest: manifest, seen: map[uint32]bool{}, out: make(chan piece, pieces), free: make(chan []byte, pieces),
	}
	for range pieces {
		r.free <- nil // made when it is needed
	}
	return r
}

// manyStreams receives one COPY for each archive, and another one for the manifest (up to 14).
func (r *receiver) manyStreams(ctx context.Context) error {
	for i := range r.spaces {
		if err := r.begin(ctx, piece{space: &r.spaces[i]}); err != nil {
			return err
		}
		if err := r.copyStream(ctx, r.fill); err != nil {
			return err
		}
	}
	if !r.manifest {
		return nil
	}
	if err := r.begin(ctx, piece{manifest: true}); err != nil {
		return err
	}
	return r.copyStream(ctx, r.fill)
}

// oneStream receives the single COPY of 15 and later, whose messages have types of their own.
func (r *receiver) oneStream(ctx context.Context) error {
	manifest := false
	err := r.copyStream(ctx, func(ctx context.Context) error {
		var kind [1]byte
		if _, err := r.Read(kind[:]); err != nil {
			return err
		}
		switch kind[0] {
		case 'n':
			return r.newArchive(ctx)
		case 'm':
			manifest = true
			return r.begin(ctx, piece{manifest: true})
		case 'd':
			if len(r.seen) == 0 && !manifest {
				return fmt.Errorf("the server sent content of no archive")
			}
			return r.fill(ctx)
		case 'p':
			return nil // we count ourselves
		}
		return fmt.Errorf("the server sent a part of type %q, which nobody knows", kind)
	})
	switch {
	case err != nil:
		return err
	case len(r.seen) != len(r.spaces) || manifest != r.manifest:
		return fmt.Errorf("the server sent %d archives of %d, manifest: %v", len(r.seen), len(r.spaces), manifest)
	}
	return nil
}

func (r *receiver) newArchive(ctx context.Context) error {
	body, err := r.body()
	if err != nil {
		return err
	}
	name, _, _ := bytes.Cut(body, []byte{0})
	i := slices.IndexFunc(r.spaces, func(s space) bool { return s.archive() == string(name) })
	if i < 0 || r.seen[r.spaces[i].oid] {
		return &ArchiveError{Archive: string(name), Msg: "it is not in the list of tablespaces, or came twice"}
	}
	return r.begin(ctx, piece{space: &r.spaces[i]})
}

// copyStream receives one COPY.
func (r *receiver) copyStream(ctx context.Context, data func(context.Context) error) error {
	if err := r.want(msgCopyOut); err != nil {
		return err
	}
	for {
		kind, err := r.next()
		switch {
		case err != nil:
			return err
		case kind == msgCopyDone:
			return r.flush(ctx)
		case kind != msgCopyData:
			return unexpected(kind)
		}
		if err := data(ctx); err != nil {
			return err
		}
	}
}

// begin hands on the beginning of something.
func (r *receiver) begin(ctx context.Context, p piece) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	if p.space != nil {
		r.seen[p.space.oid] = true
	}
	return r.emit(ctx, p)
}

// fill takes the rest of a message.
func (r *receiver) fill(ctx context.Context) error {
	for r.left > 0 {
		if r.buf == nil {
			select {
			case r.buf = <-r.free:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if r.buf == nil {
				r.buf = make([]byte, 0, pieceSize)
			}
		}
		n, err := r.Read(r.buf[len(r.buf):cap(r.buf)])
		if err != nil {
			return err
		}
		if r.buf = r.buf[:len(r.buf)+n]; len(r.buf) == cap(r.buf) {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *receiver) flush(ctx context.Context) error {
	if r.buf == nil {
		return nil
	}
	p := piece{data: r.buf}
	r.buf = nil
	return r.emit(ctx, p)
}

func (r *receiver) emit(ctx context.Context, p piece) error {
	select {
	case r.out <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
