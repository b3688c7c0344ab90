package basebackup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/wal"
)

const manifestFiles = `{ "Path": "backup_label", "Size": 5, "Last-Modified": "2026-11-21 03:26:44 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "2be71db6" },
{ "Encoded-Path": "666f6fff", "Size": 0, "Last-Modified": "2026-11-21 03:26:44 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "00000000" }`

const manifestRanges = `{ "Timeline": 2, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }`

// manifestText is a manifest with a right checksum.
func manifestText(files, ranges string) string {
	return summed("{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7439128734098123456,\n\"Files\": [\n" + files +
		"\n],\n\"WAL-Ranges\": [\n" + ranges + "\n],\n")
}

func summed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return text + `"Manifest-Checksum": "` + hex.EncodeToString(sum[:]) + "\"}\n"
}

func verifyManifestText(text string) ([]walRange, error) {
	label := CRC32C.newHash()
	label.Write([]byte("START"))
	c := manifestCheck{system: 7439128734098123456, files: map[string]fileSum{
		"backup_label": {5, string(label.Sum(nil))}, "foo\xff": {0, "\x00\x00\x00\x00"}, "pg_wal/000000010000000000000002": {1 << 24, "xxxx"},
	}}
	return c.verify(strings.NewReader(text), int64(len(text)))
}

func TestManifest(t *testing.T) {
	label := CRC32C.newHash()
	label.Write([]byte("START"))
	files := strings.Replace(manifestFiles, "2be71db6", hex.EncodeToString(label.Sum(nil)), 1)
	good := manifestText(files, manifestRanges)
	ranges, err := verifyManifestText(good)
	require.NoError(t, err)
	require.Equal(t, []walRange{{2, 2, 0x2000028, 0x2000100}}, ranges)

	first, second, _ := strings.Cut(files, "\n")
	body, _, _ := strings.Cut(good, "\"Manifest-")
	for want, text := range map[string]string{
		"cut short":                          good[:len(good)/2],
		"own checksum is wrong":              strings.Replace(good, "backup_label", "backup_labe1", 1),
		"own checksum":                       strings.Replace(good, "Manifest-Checksum\": \"", "Manifest-Checksum\": \"0", 1),
		"in the list twice":                  manifestText(first+first+second, manifestRanges),
		"did not arrive":                     manifestText(first+strings.Replace(first, "_label", "_other", 1)+second, manifestRanges),
		"not in the list":                    manifestText(second, manifestRanges),
		"5 bytes arrived, the list says 6":   manifestText(strings.Replace(files, `"Size": 5`, `"Size": 6`, 1), manifestRanges),
		"of what arrived is":                 manifestText(manifestFiles[:len(manifestFiles)-3]+"1"+manifestFiles[len(manifestFiles)-2:], manifestRanges),
		`checksum of type "SHA256"`:          manifestText(strings.Replace(files, `"CRC32C"`, `"SHA256"`, 1), manifestRanges),
		"system":                             summed(strings.Replace(body, "8123456", "8123457", 1)),
		"version 3":                          summed(strings.Replace(body, "Version\": 2", "Version\": 3", 1)),
		"WAL-Ranges are missing":             summed("{ \"Files\": [\n" + files + "\n],\n"),
		`key "Surprise" is not known`:        summed("{ \"Surprise\": 1,\n"),
		"where [ belongs":                    summed("{ \"Files\": 1,\n"),
		"of timeline 0 cannot be":            manifestText(files, strings.Replace(manifestRanges, "2,", "0,", 1)),
		"from 0/2000028 to 0/1000100 of":     manifestText(files, strings.Replace(manifestRanges, "0/2000100", "0/1000100", 1)),
		"invalid character":                  summed("{ \"Files\": [nonsense\n],\n"),
		"encoding/hex":                       manifestText(strings.Replace(files, "666f6fff", "zz", 1), manifestRanges),
		"it does not end with its own check": "",
	} {
		_, err := verifyManifestText(text)
		var fault *ManifestError
		require.ErrorAs(t, err, &fault, want)
		require.ErrorContains(t, err, want)
	}
}

func TestChecksums_are_those_of_the_server(t *testing.T) {
	// select sha256('123456789') and so on; CRC-32C of "123456789" is E3069283, of which the manifest has the bytes of a
	// little-endian word.
	for c, want := range map[Checksum]string{
		CRC32C: "839206e3", SHA224: "9b3e61bf29f17c75572fae2e86e17809a4513d07c8a18152acf34521",
		SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	} {
		h := c.newHash()
		h.Write([]byte("123456789"))
		require.Equal(t, want, hex.EncodeToString(h.Sum(nil)))
	}
	require.Equal(t, 48, SHA384.newHash().Size())
	require.Equal(t, 64, SHA512.newHash().Size())
	require.Nil(t, SizesOnly.newHash())
}

// segmentBytes is a segment of 1 MiB whose pages have right headers up to a position in it.
func segmentBytes(seg wal.Segment, system wal.SystemID, upTo int) []byte {
	const size = 1 << 20
	b := make([]byte, size)
	for at := 0; at < upTo; at += 8192 {
		page := b[at:]
		copy(page, "\x10\xd1") // 15
		page[2], page[4] = 0, byte(seg.Timeline)
		addr := uint64(seg.Start(size)) + uint64(at)
		for i := range 8 {
			page[8+i] = byte(addr >> (8 * i))
		}
		if at == 0 {
			page[2] = 2
			for i := range 8 {
				page[24+i] = byte(uint64(system) >> (8 * i))
			}
			copy(page[32:], "\x00\x00\x10\x00\x00\x20\x00\x00")
		}
		for i := 40; i < 8192; i++ {
			page[i] = byte(i)
		}
	}
	return b
}

func TestSegmentChecker(t *testing.T) {
	const size, system = 1 << 20, 42
	one, two := wal.Segment{Timeline: 1, Number: 2}, wal.Segment{Timeline: 1, Number: 3}
	feed := func(c *segmentChecker, seg wal.Segment, b []byte, n int) {
		c.begin(seg)
		for len(b) > 0 {
			p := b[:min(n, len(b))]
			c.write(p)
			b = b[len(p):]
		}
		c.end()
	}
	whole := walRange{1, 1, 2*size + 0x28, 3*size + 0x5000}
	for _, tc := range []struct {
		name string
		one  []byte
		two  []byte
		want string // of the error
	}{
		{"whole", segmentBytes(one, system, size), segmentBytes(two, system, size), ""},
		{"second_to_the_end_of_the_backup", segmentBytes(one, system, size), segmentBytes(two, system, 0x5000)[:0x5000], ""},
		{"second_recycled_behind_the_end", segmentBytes(one, system, size),
			append(segmentBytes(two, system, size)[:0x6000], segmentBytes(one, system, size)[0x6000:]...), ""},
		{"first_left_by_a_switch", switched(segmentBytes(one, system, 0x8000), 0x6000), segmentBytes(two, system, size), ""},
		{"first_left_by_a_switch_before_old_pages", append(switched(segmentBytes(one, system, size), 0x6000)[:0x8000:0x8000],
			segmentBytes(two, system, size)[0x8000:]...), segmentBytes(two, system, size), ""},
		{"first_left_by_a_switch_and_short", switched(segmentBytes(one, system, 0x8000), 0x6000)[:0xc000], segmentBytes(two, system, size),
			"has 49152 bytes of 1048576"},
		{"first_empty_from_a_page_on", segmentBytes(one, system, 0x8000), segmentBytes(two, system, size),
			"at 0/208000: the WAL ends without a switch"},
		{"first_missing", nil, segmentBytes(two, system, size), "000000010000000000000002: is missing"},
		{"second_missing", segmentBytes(one, system, size), nil, "is missing"},
		{"second_short", segmentBytes(one, system, size), segmentBytes(two, system, 0x5000)[:0x4fff], "has 20479 bytes of 20480"},
		{"first_short", segmentBytes(one, system, size)[:size-1], segmentBytes(two, system, size), "has 1048575 bytes"},
		{"second_recycled", segmentBytes(one, system, size),
			append(segmentBytes(two, system, size)[:0x4000], segmentBytes(one, system, size)[0x4000:]...), "at 0/304000: the page is that of 0/204000"},
		{"other_system", segmentBytes(one, 43, size), segmentBytes(two, system, size), "system identifier 43, want 42"},
		{"empty", make([]byte, size), segmentBytes(two, system, size), "the first page is empty"},
		{"hole", append(append(segmentBytes(one, system, 0x8000)[:0x8000:0x8000], make([]byte, 0x2000)...), segmentBytes(one, system, size)[0xa000:]...),
			segmentBytes(two, system, size), "at 0/208000: the WAL ends without a switch"},
		{"magic_of_another_major", patched(segmentBytes(one, system, size), 0x8000, 0x13), segmentBytes(two, system, size), "at 0/208000: page magic D113 instead of D110"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, n := range []int{1000, 8192, size} {
				c := newSegmentChecker(size, system)
				if tc.one != nil {
					feed(c, one, tc.one, n)
				}
				if tc.two != nil {
					feed(c, two, tc.two, n)
				}
				err := c.covers(whole)
				if tc.want == "" {
					require.NoError(t, err)
					continue
				}
				var fault *WALError
				require.ErrorAs(t, err, &fault)
				require.ErrorContains(t, err, tc.want)
			}
		})
	}
	t.Run("either_timeline", func(t *testing.T) {
		c := newSegmentChecker(size, system)
		feed(c, one, segmentBytes(one, system, size), size)
		onTwo := wal.Segment{Timeline: 2, Number: 3}
		feed(c, onTwo, segmentBytes(onTwo, system, size), size)
		require.Error(t, c.covers(whole))
		require.NoError(t, c.covers(walRange{1, 2, whole.start, whole.end}))
		require.NoError(t, c.covers(walRange{1, 1, whole.start, whole.start}), "nothing is needed")
	})
}

// switched makes the page at an offset hold nothing but a switch record.
func switched(b []byte, at int) []byte {
	clear(b[at+24 : at+8192])
	b[at+24], b[at+24+16] = 24, 0x40
	return b
}

func patched(b []byte, at int, v byte) []byte { b[at] = v; return b }

func TestSegmentChecker_names(t *testing.T) {
	c := newSegmentChecker(16<<20, 1)
	seg, ok := c.segment("pg_wal/000000010000000000000002")
	require.True(t, ok)
	require.Equal(t, wal.Segment{Timeline: 1, Number: 2}, seg)
	for _, name := range []string{"000000010000000000000002", "pg_wal/00000002.history", "pg_wal/archive_status/000000010000000000000002.done"} {
		_, ok := c.segment(name)
		require.False(t, ok, name)
	}
}

// Whatever the manifest, no panic; and what is accepted lists exactly what arrived.
func FuzzManifestListsWhatArrived(f *testing.F) {
	f.Add(manifestFiles, manifestRanges)
	f.Add("", "")
	f.Add(`{ "Path": "a", "Size": 1 }`, "1")
	f.Fuzz(func(t *testing.T, files, ranges string) {
		text := manifestText(files, ranges)
		c := manifestCheck{algorithm: SizesOnly, system: 7439128734098123456, files: map[string]fileSum{"backup_label": {size: 5}, "foo\xff": {}}}
		if _, err := c.verify(bytes.NewReader([]byte(text)), int64(len(text))); err == nil && len(c.listed) != 2 {
			t.Fatal(fmt.Sprint("accepted ", text))
		}
	})
}
