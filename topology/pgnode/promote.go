package pgnode

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-ha/understudy/recovery/promote"
)

// Promote ends recovery by the manager's means, and waits until the control file says that the server is a primary. It returns an error
// for a server that is not a standby. After any other error the promotion may have taken place, or may still: observe the server. The
// caller must know that no other primary is left. Who has a connection to the server sees more with [Node.PromoteStandby].
func (n *Node) Promote(ctx context.Context) error {
	err := n.ask(ctx, n.driver.promote)
	if err == nil {
		err = n.waitPrimary(ctx)
	}
	if err != nil {
		return fmt.Errorf("promote server in %s: %w", n.cfg.DataDir, redacted(err))
	}
	return nil
}

// waitPrimary waits for the end of a promotion, which a user's command need not do.
func (n *Node) waitPrimary(ctx context.Context) error {
	deadline := time.Now().Add(n.cfg.Timeout)
	for {
		s, err := n.Status(ctx)
		switch {
		case err != nil:
			return err
		case s.State == StatePrimary:
			return nil
		case s.State == StateStopped || time.Now().After(deadline):
			return fmt.Errorf("it is %v", s)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// PromoteStandby promotes the server with [promote.Promote]. Of s, only what concerns the connection and the promotion needs to be
// set (DB, From, Way, Resume); the rest is the node's.
func (n *Node) PromoteStandby(ctx context.Context, s promote.Standby) (promote.Result, error) {
	server, err := n.Server(ctx)
	if err != nil {
		return promote.Result{}, err
	}
	s.Server, s.Files = server, n.Files()
	s.PgCtl = func(ctx context.Context, args ...string) error {
		return n.ask(ctx, func(ctx context.Context) error {
			_, err := n.run(ctx, "pg_ctl", args...)
			return err
		})
	}
	return promote.Promote(ctx, s)
}
