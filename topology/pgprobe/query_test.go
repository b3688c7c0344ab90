package pgprobe

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/internal/livepg"
)

// asked notes the statements of a connection.
type asked struct{ batches [][]string }

func (o *asked) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	var statements []string
	for _, q := range b.Batch.QueuedQueries {
		statements = append(statements, q.SQL)
	}
	o.batches = append(o.batches, statements)
	return ctx
}

func (*asked) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*asked) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}
func (*asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	panic("a statement outside of a batch")
}
func (*asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestOrder: all goes in one round trip, or two for those who may read files. The receiver is looked for before the position is read,
// so that a position without a receiver is final; the senders after it. Whether the node was promoted meanwhile is asked last.
func TestOrder(t *testing.T) {
	a := livepg.Newest(t).Started(t, "a")
	for _, tt := range []struct {
		role    string
		batches int
	}{{livepg.Observer, 1}, {livepg.Superuser, 2}} {
		cfg, err := parse(a.Dial(tt.role).Text())
		require.NoError(t, err)
		var o asked
		cfg.Tracer = &o
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		_, err = query(t.Context(), conn)
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
		require.Len(t, o.batches, tt.batches, tt.role)
		place := func(fact string) int {
			return slices.IndexFunc(o.batches[0], func(sql string) bool { return strings.Contains(sql, fact) })
		}
		position := place("pg_last_wal_receive_lsn()")
		require.Contains(t, o.batches[0][position], "pg_current_wal_lsn()")
		require.Less(t, place("FROM pg_stat_wal_receiver"), position)
		require.Greater(t, place("pg_stat_replication"), position)
		require.Contains(t, o.batches[0][len(o.batches[0])-1], "SELECT pg_is_in_recovery()")
	}
}

func TestUpstream(t *testing.T) {
	tests := []struct {
		name, text, host string
		port             int
	}{
		{"full", "user=r passfile=/x host=10.0.0.1 port=6000 application_name=b password=********", "10.0.0.1", 6000},
		{"quoted", `host='h 1' port='6000'`, "h 1", 6000},
		{"default_port", "host=h", "h", 5432},
		{"socket", "host=/tmp port=6000", "/tmp", 6000},
		{"uri", "postgresql://u@h:6000/d", "h", 6000},
		{"address", "hostaddr=10.0.0.1", "10.0.0.1", 5432},
		{"name_and_address", "host=h hostaddr=10.0.0.1", "h", 5432},
		{"list", "host=a,b port=1,2", "", 0},
		{"list_with_one_port", "host=a,b port=1", "", 0},
		{"bad_port", "host=a port=x", "", 0},
		{"no_host", "port=6000", "", 0},
		{"empty", "", "", 0},
		{"unreadable", "host='", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host, port := upstream(tt.text)
			require.Equal(t, tt.host, host)
			require.Equal(t, tt.port, port)
		})
	}
}
