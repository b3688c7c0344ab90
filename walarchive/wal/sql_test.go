package wal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"math"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// The types that a column can be scanned into, and back.
var (
	_ sql.Scanner   = new(wal.LSN)
	_ sql.Scanner   = new(wal.Timeline)
	_ sql.Scanner   = new(wal.SystemID)
	_ sql.Scanner   = new(wal.FileName)
	_ driver.Valuer = wal.LSN(0)
	_ driver.Valuer = wal.Timeline(0)
	_ driver.Valuer = wal.SystemID(0)
	_ driver.Valuer = wal.FileName{}
)

func TestScan(t *testing.T) {
	for _, tc := range []struct {
		name string
		src  any
		to   sql.Scanner
		want any
	}{
		{"lsn", "16/B374D848", new(wal.LSN), wal.LSN(0x16_B374D848)},
		{"lsn_bytes", []byte("0/0"), new(wal.LSN), wal.LSN(0)},
		{"timeline", int64(7), new(wal.Timeline), wal.Timeline(7)},
		{"timeline_largest", int64(math.MaxUint32), new(wal.Timeline), wal.Timeline(math.MaxUint32)},
		{"timeline_as_integer", int64(-1), new(wal.Timeline), wal.Timeline(math.MaxUint32)},
		{"timeline_as_text", []byte("4294967295"), new(wal.Timeline), wal.Timeline(math.MaxUint32)},
		{"timeline_as_negative_text", "-2147483648", new(wal.Timeline), wal.Timeline(1 << 31)},
		{"system", int64(7439128734098123456), new(wal.SystemID), wal.SystemID(7439128734098123456)},
		{"system_after_2038", int64(-1), new(wal.SystemID), wal.SystemID(math.MaxUint64)},
		{"system_least", int64(math.MinInt64), new(wal.SystemID), wal.SystemID(1 << 63)},
		{"system_text", "7439128734098123456", new(wal.SystemID), wal.SystemID(7439128734098123456)},
		{"system_negative_text", "-9223372036854775808", new(wal.SystemID), wal.SystemID(1 << 63)},
		{"system_unsigned_text", "18446744073709551615", new(wal.SystemID), wal.SystemID(math.MaxUint64)},
		{"file", "00000002.history", new(wal.FileName), wal.FileName{Kind: wal.KindHistory, Timeline: 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.NoError(t, tc.to.Scan(tc.src))
			require.Equal(t, tc.want, deref(tc.to))
		})
	}
}

func deref(to sql.Scanner) any {
	switch v := to.(type) {
	case *wal.LSN:
		return *v
	case *wal.Timeline:
		return *v
	case *wal.SystemID:
		return *v
	case *wal.FileName:
		return *v
	}
	return nil
}

func TestScan_refused(t *testing.T) {
	lsn, tli, id, file := wal.LSN(7), wal.Timeline(7), wal.SystemID(7), wal.FileName{Kind: wal.KindHistory, Timeline: 7}
	for _, tc := range []struct {
		to  sql.Scanner
		src []any
	}{
		{&lsn, []any{nil, "", "0/0 ", int64(7), []byte("x")}},
		{&tli, []any{nil, "", "1.0", "+1", " 1", "4294967296", "-2147483649", "-0", int64(1 << 32), int64(-1<<31 - 1), 1.0}},
		{&id, []any{nil, "", "+1", "18446744073709551616", "-9223372036854775809", "1e3", "--1", true}},
		{&file, []any{nil, "", "00000002.History", int64(7)}},
	} {
		for _, src := range tc.src {
			require.Error(t, tc.to.Scan(src), "%T from %#v", tc.to, src)
		}
	}
	require.Equal(t, []any{wal.LSN(7), wal.Timeline(7), wal.SystemID(7)}, []any{lsn, tli, id}, "kept")
	require.Equal(t, wal.Timeline(7), file.Timeline)
	_, err := wal.FileName{}.Value()
	require.Error(t, err)
}

// TestEncodings: what is written in text, JSON or SQL reads back the same.
func TestEncodings(t *testing.T) {
	type all struct {
		LSN      wal.LSN
		Timeline wal.Timeline
		System   wal.SystemID
		File     wal.FileName
		ByLSN    map[wal.LSN]wal.SystemID
	}
	rapid.Check(t, func(t *rapid.T) {
		in := all{
			wal.LSN(rapid.Uint64().Draw(t, "lsn")), wal.Timeline(rapid.Uint32().Draw(t, "tli")), wal.SystemID(rapid.Uint64().Draw(t, "id")),
			wal.FileName{Kind: wal.KindBackup, Timeline: 3, Log: rapid.Uint32().Draw(t, "log"), Seg: 5, Offset: rapid.Uint32().Draw(t, "offset")}, nil,
		}
		in.ByLSN = map[wal.LSN]wal.SystemID{in.LSN: in.System}
		text, err := json.Marshal(in)
		require.NoError(t, err)
		var out all
		require.NoError(t, json.Unmarshal(text, &out))
		require.Equal(t, in, out)

		for value, to := range map[driver.Valuer]sql.Scanner{
			in.LSN: new(wal.LSN), in.Timeline: new(wal.Timeline), in.System: new(wal.SystemID), in.File: new(wal.FileName),
		} {
			v, err := value.Value()
			require.NoError(t, err)
			require.True(t, driver.IsValue(v))
			require.NoError(t, to.Scan(v))
			require.Equal(t, value, deref(to))
		}
	})
	_, err := json.Marshal(wal.FileName{})
	require.Error(t, err)
}

func TestParseTimeline(t *testing.T) {
	got, err := wal.ParseTimeline("4294967295")
	require.NoError(t, err)
	require.Equal(t, wal.Timeline(math.MaxUint32), got)
	for _, bad := range []string{"", "0", "-1", "+1", " 1", "1 ", "0x1", "1_0", "4294967296", "latest"} {
		_, err := wal.ParseTimeline(bad)
		var syntax *wal.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", bad)
	}
}

// TestServerValues: the server's own types and functions say the same as ours, both ways.
func TestServerValues(t *testing.T) {
	pgserver.Each(t, func(t *testing.T, w *pgserver.World) {
		s := w.Initdb("s")
		s.Up()
		require.NoError(t, s.Do(func(ctx context.Context, conn *pgx.Conn) error {
			var none sql.Null[wal.LSN]
			require.NoError(t, conn.QueryRow(ctx, "select null::pg_lsn").Scan(&none))
			require.False(t, none.Valid)
			for _, id := range []wal.SystemID{1, 1 << 63, math.MaxUint64} {
				var back wal.SystemID
				require.NoError(t, conn.QueryRow(ctx, "select $1::bigint", id).Scan(&back))
				require.Equal(t, id, back)
			}
			var tli wal.Timeline
			var id wal.SystemID
			require.NoError(t, conn.QueryRow(ctx, "select timeline_id, system_identifier from pg_control_checkpoint(), pg_control_system()").Scan(&tli, &id))
			require.Equal(t, wal.Timeline(1), tli)
			var text string
			require.NoError(t, conn.QueryRow(ctx, "select system_identifier::text from pg_control_system()").Scan(&text))
			require.Equal(t, text, id.String())

			for _, lsn := range []wal.LSN{1, 0xFFFFFF, 1 << 24, 1<<24 + 1, 0xFFFFFFFF, 1 << 32, 0x1_23456789, 0xA_FF000001, 1 << 63} {
				var back wal.LSN
				var name, of string
				var offset uint64
				sql := "select $1::pg_lsn, pg_walfile_name($1), file_name, file_offset from pg_walfile_name_offset($1)"
				require.NoError(t, conn.QueryRow(ctx, sql, lsn).Scan(&back, &name, &of, &offset))
				require.Equal(t, lsn, back)
				seg := wal.SegmentOf(1, lsn, wal.DefaultSegmentSize)
				border := lsn == seg.Start(wal.DefaultSegmentSize)
				if border && w.Major < 17 { // there the functions name the segment that ends at a border
					before, ok := wal.Numbering{}.Previous(seg, wal.DefaultSegmentSize)
					require.True(t, ok)
					seg = before
				}
				require.Equal(t, seg.Name(wal.DefaultSegmentSize), name, "%v", lsn)
				require.Equal(t, name, of)
				if !border {
					require.EqualValues(t, lsn-seg.Start(wal.DefaultSegmentSize), offset)
				}
			}
			for _, text := range []string{"0/0", "a/ff", "00000001/0000000A", "FFFFFFFF/FFFFFFFF", "", "0/", "/0", "0", "0/123456789", " 0/1", "0/1 ",
				"0x1/2", "-1/0", "+1/0", "0/1/2", "G/0", "0/ 1", "0/1\n"} {
				var theirs string
				errTheirs := conn.QueryRow(ctx, "select ($1::text)::pg_lsn::text", text).Scan(&theirs)
				ours, errOurs := wal.ParseLSN(text)
				require.Equal(t, errTheirs == nil, errOurs == nil, "%q", text)
				if errOurs == nil {
					require.Equal(t, theirs, ours.String())
				}
			}
			return nil
		}))
	})
}
