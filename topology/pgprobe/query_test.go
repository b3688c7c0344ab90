package pgprobe

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology/internal/livepg"
)

// order notes the statements of a connection.
type order struct{ statements []string }

func (o *order) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	o.statements = append(o.statements, q.SQL)
	return ctx
}

func (*order) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestOrder: the receiver is looked for before the position is read, so that a position without a receiver is final.
func TestOrder(t *testing.T) {
	a := livepg.Newest(t).Started(t, "a")
	cfg, err := pgx.ParseConfig(a.Dial(livepg.Observer).Text())
	require.NoError(t, err)
	var o order
	cfg.Tracer = &o
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = query(t.Context(), conn)
	require.NoError(t, err)
	require.Equal(t, []string{receiverSQL, selfSQL, sendersSQL}, o.statements)
	require.Contains(t, selfSQL, "pg_last_wal_receive_lsn")
	require.False(t, strings.Contains(receiverSQL, "lsn"))
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
