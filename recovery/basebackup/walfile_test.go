package basebackup

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

const testSegment = 1 << 20

// streamed runs a walStream over what a server answers, up to a position, and returns the files of pg_wal with their content.
func streamed(t *testing.T, script string, start wal.LSN, tli wal.Timeline, end wal.LSN, endTLI wal.Timeline) (map[string]string, error) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	sink, err := newWALFolder(root, 0o640, 0o750, testSegment)
	require.NoError(t, err)
	s := &walStream{
		server: &server{wire: scriptedWire([]byte(script), nil)}, slot: "slot", segSize: testSegment, sink: sink, track: &tracker{},
		check: newSegmentChecker(testSegment, 1),
	}
	s.stopAt(end, endTLI)
	err = s.run(t.Context(), start, tli)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, err := d.Info()
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o640), info.Mode())
		}
		return err
	}))
	files := map[string]string{}
	for _, name := range names(t, dir)[1:] {
		if content, err := os.ReadFile(name); err == nil {
			rel, err := filepath.Rel(dir, name)
			require.NoError(t, err)
			files[rel] = string(content)
		}
	}
	return files, err
}

// walMessage is WAL from a position.
func walMessage(at wal.LSN, data string) string {
	b := binary.BigEndian.AppendUint64([]byte{'w'}, uint64(at))
	b = append(b, make([]byte, 16)...)
	return message('d', string(b)+data)
}

const (
	copyBoth  = "W\x00\x00\x00\x07\x00\x00\x00"
	complete  = "C\x00\x00\x00\x09DONE\x00"
	ready     = "Z\x00\x00\x00\x05I"
	rowHead   = "T\x00\x00\x00\x06\x00\x00"
	keepAlive = "k\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// dataRow is a row of texts.
func dataRow(values ...string) string {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	return message('D', string(b))
}

func segmentText(c byte, n int) string { return string(bytes.Repeat([]byte{c}, n)) }

func TestWALStream(t *testing.T) {
	// It starts at the beginning of the segment; pieces may span two.
	a, b := segmentText('a', testSegment), segmentText('b', 5000)
	files, err := streamed(t, copyBoth+walMessage(2*testSegment, a[:1000])+message('d', keepAlive+"\x01")+
		walMessage(2*testSegment+1000, a[1000:]+b[:4000])+walMessage(3*testSegment+4000, b[4000:])+message('d', keepAlive+"\x00"),
		2*testSegment+40, 1, 3*testSegment+5000, 1)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"pg_wal/000000010000000000000002":                     a,
		"pg_wal/archive_status/000000010000000000000002.done": "",
		"pg_wal/000000010000000000000003":                     b + segmentText(0, testSegment-5000),
	}, files)
}

func TestWALStream_timelines(t *testing.T) {
	history2 := "1\t0/100010\tno recovery target specified\n"
	history3 := history2 + "\n2\t0/200020\tno recovery target specified\n"
	files, err := streamed(t, rowHead+dataRow("00000002.history", history2)+complete+ready+
		copyBoth+walMessage(testSegment, segmentText('a', testSegment))+walMessage(2*testSegment, segmentText('b', 0x20))+copyDone+
		rowHead+dataRow("3", "0/200020")+complete+complete+ready+
		rowHead+dataRow("00000003.history", history3)+complete+ready+
		copyBoth+walMessage(2*testSegment, segmentText('c', 0x50)),
		testSegment+0x10, 2, 2*testSegment+0x50, 3)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"pg_wal/00000002.history":                             history2,
		"pg_wal/archive_status/00000002.history.done":         "",
		"pg_wal/000000020000000000000001":                     segmentText('a', testSegment),
		"pg_wal/archive_status/000000020000000000000001.done": "",
		"pg_wal/000000020000000000000002":                     segmentText('b', 0x20) + segmentText(0, testSegment-0x20),
		"pg_wal/00000003.history":                             history3,
		"pg_wal/archive_status/00000003.history.done":         "",
		"pg_wal/000000030000000000000002":                     segmentText('c', 0x50) + segmentText(0, testSegment-0x50),
	}, files)
}

func TestWALStream_refuses(t *testing.T) {
	piece := copyBoth + walMessage(testSegment, "abc")
	for name, tc := range map[string]struct{ script, want string }{
		"gap":                {copyBoth + walMessage(testSegment+1, "abc"), "not from 0/100000"},
		"cut_off":            {piece, "connection was lost"},
		"shutdown":           {piece + copyDone + complete, "ended the stream at 0/100003"},
		"unknown_part":       {copyBoth + message('d', "x"), "nobody knows"},
		"short_part":         {copyBoth + message('d', "w123"), "EOF"},
		"other_message":      {piece + ready, "at the wrong time"},
		"timeline_back":      {piece + copyDone + rowHead + dataRow("1", "0/100003") + complete + ready, "goes on with 1"},
		"timeline_gap":       {piece + copyDone + rowHead + dataRow("2", "0/100004") + complete + ready, "goes on with 2 at 0/100004"},
		"no_timeline":        {piece + copyDone + rowHead + dataRow("2") + complete + ready, "which timeline comes next"},
		"no_history":         {piece + copyDone + rowHead + dataRow("2", "0/100003") + complete + ready + rowHead + complete + ready, "did not send 00000002.history"},
		"history_of_another": {piece + copyDone + rowHead + dataRow("2", "0/100003") + complete + ready + rowHead + dataRow("../x", "") + complete + ready, "did not send 00000002.history"},
		"damaged_history":    {piece + copyDone + rowHead + dataRow("2", "0/100003") + complete + ready + rowHead + dataRow("00000002.history", "x") + complete + ready, "timeline"},
		"wal_is_gone":        {message('E', "SERROR\x00C58P01\x00Mgone\x00\x00"), "already removed WAL"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := streamed(t, tc.script, testSegment, 1, 4*testSegment, 1)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestWALTar(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	w, err := newWALTar(root, testSegment)
	require.NoError(t, err)
	write := func(name string, content string) {
		require.NoError(t, w.begin(name))
		require.NoError(t, w.write([]byte(content)))
		require.NoError(t, w.end())
	}
	require.NoError(t, w.file("00000002.history", []byte("history")))
	write("000000020000000000000001", segmentText('a', testSegment))
	write("000000020000000000000002", "b")
	require.NoError(t, w.close())
	f, err := root.Open(walTarFile)
	require.NoError(t, err)
	defer f.Close()
	got := map[string]string{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		got[h.Name] = string(content)
	}
	require.Equal(t, map[string]string{
		"00000002.history": "history", "archive_status/00000002.history.done": "",
		"000000020000000000000001": segmentText('a', testSegment), "archive_status/000000020000000000000001.done": "",
		"000000020000000000000002": "b" + segmentText(0, testSegment-1),
	}, got)
}
