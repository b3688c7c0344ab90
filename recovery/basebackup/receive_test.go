package basebackup

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// scripted is a connection from which a script is read.
type scripted struct {
	net.Conn
	*bytes.Reader
}

func (s scripted) Read(p []byte) (int, error)    { return s.Reader.Read(p) }
func (scripted) Write(p []byte) (int, error)     { return len(p), nil }
func (scripted) SetDeadline(time.Time) error     { return nil }
func (scripted) SetReadDeadline(time.Time) error { return nil }

func scriptedWire(script []byte, warn func(string)) *wire {
	return newWire(scripted{Reader: bytes.NewReader(script)}, warn)
}

// message is one of the protocol.
func message(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))) + body
}

const (
	copyOut  = "H\x00\x00\x00\x07\x00\x00\x00"
	copyDone = "c\x00\x00\x00\x04"
)

// received runs a receiver over a script and returns what it hands on, data as the text, the rest as words.
func received(t testing.TB, script string, spaces []space, manifest, one bool) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := newReceiver(scriptedWire([]byte(script), nil), spaces, manifest)
	var got []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := range r.out {
			switch {
			case p.space != nil:
				got = append(got, "["+p.space.archive()+"]")
			case p.manifest:
				got = append(got, "[manifest]")
			default:
				got = append(got, string(p.data))
				r.free <- p.data[:0]
			}
		}
	}()
	var err error
	if one {
		err = r.oneStream(ctx)
	} else {
		err = r.manyStreams(ctx)
	}
	close(r.out)
	<-done
	return got, err
}

func TestReceiver(t *testing.T) {
	spaces := []space{{oid: 16384, source: "/srv/a"}, {}}
	want := []string{"[16384.tar]", "abcd", "[base.tar]", "ef", "[manifest]", "{}"}
	notice := message('N', "SWARNING\x00VWARNING\x00C01000\x00Mcareful\x00\x00")
	got, err := received(t, copyOut+message('d', "ab")+notice+message('d', "cd")+copyDone+copyOut+message('d', "ef")+copyDone+
		copyOut+message('d', "{}")+copyDone, spaces, true, false)
	require.NoError(t, err)
	require.Equal(t, want, got)

	got, err = received(t, copyOut+message('d', "n16384.tar\x00/srv/a\x00")+message('d', "dab")+message('d', "p\x00\x00\x00\x00\x00\x00\x00\x09")+
		message('S', "a\x00b\x00")+message('d', "dcd")+message('d', "nbase.tar\x00\x00")+message('d', "def")+message('d', "m")+message('d', "d{}")+copyDone,
		spaces, true, true)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestReceiver_large(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 3<<16) // 3 MiB
	script := copyOut
	for rest := content; len(rest) > 0; {
		n := min(len(rest), 32<<10-7)
		script += message('d', string(rest[:n]))
		rest = rest[n:]
	}
	got, err := received(t, script+copyDone, []space{{}}, false, false)
	require.NoError(t, err)
	require.Len(t, got, 4)
	require.Len(t, got[1], pieceSize)
	require.Equal(t, string(content), got[1]+got[2]+got[3])
}

func TestReceiver_refuses(t *testing.T) {
	base := []space{{}}
	failure := message('E', "SERROR\x00C58P01\x00Mrequested WAL segment 000000010000000000000002 has already been removed\x00\x00")
	for name, tc := range map[string]struct {
		script string
		one    bool
		want   string
	}{
		"cut_off":               {copyOut + message('d', "abc")[:6], false, "connection was lost"},
		"error":                 {copyOut + failure, false, "already been removed"},
		"no_copy":               {message('T', "\x00\x00"), false, "at the wrong time"},
		"row_in_copy":           {copyOut + message('D', "\x00\x00"), false, "at the wrong time"},
		"no_message":            {"d\x00\x00\x00\x03", false, "not the protocol"},
		"very_long_message":     {"E\x3f\xff\xff\xff", false, "not the protocol"},
		"too_long_message":      {"d\x7f\xff\xff\xff", false, "not the protocol"},
		"unknown_part":          {copyOut + message('d', "z"), true, "nobody knows"},
		"empty_part":            {copyOut + message('d', ""), true, "EOF"},
		"content_of_nothing":    {copyOut + message('d', "dx"), true, "content of no archive"},
		"unknown_archive":       {copyOut + message('d', "n1.tar\x00\x00"), true, "not in the list"},
		"archive_out_of_target": {copyOut + message('d', "n../base.tar\x00\x00"), true, "not in the list"},
		"archive_twice":         {copyOut + message('d', "nbase.tar\x00\x00") + message('d', "nbase.tar\x00\x00"), true, "came twice"},
		"nothing":               {copyOut + copyDone, true, "0 archives of 1"},
		"manifest_unasked":      {copyOut + message('d', "nbase.tar\x00\x00") + message('d', "m") + copyDone, true, "manifest: true"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := received(t, tc.script, base, false, tc.one)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestParseSpaces(t *testing.T) {
	got, err := parseSpaces([][]string{{"16384", "/srv/a", "10"}, {"", "", "20"}})
	require.NoError(t, err)
	require.Equal(t, []space{{oid: 16384, source: "/srv/a", sizeKiB: 10}, {sizeKiB: 20}}, got)
	for name, rows := range map[string][][]string{
		"none": nil, "no_base": {{"1", "/a", "1"}}, "columns": {{"1"}}, "size": {{"", "", "x"}}, "negative_size": {{"", "", "-1"}},
		"oid": {{"x", "/a", "1"}, {"", "", "1"}}, "oid_zero": {{"0", "/a", "1"}, {"", "", "1"}}, "large_oid": {{"4294967296", "/a", "1"}, {"", "", "1"}},
		"twice": {{"1", "/a", "1"}, {"1", "/b", "1"}, {"", "", "1"}}, "size_overflow": {{"", "", "9223372036854775807"}},
	} {
		_, err := parseSpaces(rows)
		require.Error(t, err, name)
	}
}

func TestMeaning(t *testing.T) {
	for _, tc := range []struct {
		code, message string
		want          error
	}{
		{"53300", "number of requested standby connections exceeds max_wal_senders (currently 1)", ErrConnections},
		{"53300", "too many connections for role \"rep\"", ErrConnections},
		{"28000", "no pg_hba.conf entry for replication connection from host \"10.0.0.1\", user \"rep\", no encryption", ErrNoAccess},
		{"28000", "role \"nobody\" does not exist", nil},
		{"42501", "must be superuser or replication role to start walsender", ErrNotReplication},
		{"58P01", "requested WAL segment 000000010000000000000002 has already been removed", ErrWALRemoved},
		{"58P01", "could not open file \"base/1/2\"", nil},
		{"XX000", "requested WAL segment 000000010000000000000002 has already been removed", ErrWALRemoved},
		{"57P01", "terminating connection due to administrator command", ErrConnectionLost},
		{"XX000", "could not find any WAL files", ErrWALRemoved},
		{"XX000", "could not find WAL file \"000000010000000000000002\"", ErrWALRemoved},
		{"42704", "replication slot \"x\" does not exist", ErrSlot},
		{"55006", "replication slot \"x\" is active for PID 12", ErrSlot},
		{"53400", "all replication slots are in use", ErrSlot},
		{"55000", "replication slots can only be used if max_replication_slots > 0", ErrSlot},
		{"55000", "the standby was promoted during online backup", ErrPromoted},
		{"55000", "recovery is not in progress", nil},
	} {
		err := explain(&pgconn.PgError{Code: tc.code, Message: tc.message})
		require.ErrorContains(t, err, tc.message)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg)
		if tc.want == nil {
			require.Nil(t, meaning(pg), tc.message)
			continue
		}
		require.ErrorIs(t, err, tc.want, tc.message)
	}
}

// Whatever the server sends, the receiver ends without a panic, and hands on no more than came.
func FuzzReceiverEnds(f *testing.F) {
	f.Add([]byte(copyOut+message('d', "nbase.tar\x00\x00")+message('d', "dab")+message('d', "m")+copyDone), true)
	f.Add([]byte(copyOut+message('d', "ab")+copyDone+copyOut+message('d', "{}")+copyDone), false)
	f.Fuzz(func(t *testing.T, script []byte, one bool) {
		got, _ := received(t, string(script), []space{{}}, true, one)
		sum := 0
		for _, s := range got {
			sum += len(s)
		}
		if sum > len(script)+30 {
			t.Fatalf("%d bytes out of %d", sum, len(script))
		}
	})
}
