package store

import (
	"context"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/dir"
	"github.com/understudy-ha/understudy/walarchive/store/s3"
	"github.com/understudy-ha/understudy/walarchive/store/sftp"
)

// Store is a walarchive.Store that was opened and can be closed.
type Store interface {
	walarchive.Store
	// Sweep removes what killed pushes left half-written and did not touch since before. Leave pushes that may still be running ample time.
	Sweep(ctx context.Context, before time.Time) error
	Close() error
}

// Options are what is not in the URL. The zero value is fine.
type Options struct {
	// Timeout is how long a server may be silent before that is an error. Zero means the store's own default, 30 seconds.
	Timeout time.Duration
}

// Open opens the store at a URL, or in a directory given by its absolute path. A directory must exist, and an SSH server must answer; an S3
// server is not asked before it is needed.
func Open(ctx context.Context, rawURL string, options Options) (Store, error) {
	p, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	return p.open(ctx, options)
}

func (p place) open(ctx context.Context, options Options) (Store, error) {
	switch {
	case p.sftp != nil:
		p.sftp.Timeout = options.Timeout
		return opened(sftp.Open(ctx, *p.sftp))
	case p.s3 != nil:
		p.s3.Timeout = options.Timeout
		return opened(s3.Open(*p.s3))
	default:
		return opened(dir.Open(p.dir))
	}
}

// opened keeps a nil pointer from becoming a Store that is not nil.
func opened[S Store](s S, err error) (Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
