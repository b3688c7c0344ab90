package basebackup

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// memory is a memberSink that keeps everything.
type memory struct {
	members []member
	files   map[string]string
	open    string
	text    []byte // of open
}

func (m *memory) begin(e member) error {
	m.members = append(m.members, e)
	if e.kind == regularFile {
		m.open, m.text = e.name, nil
	}
	return nil
}

func (m *memory) content(p []byte) error { m.text = append(m.text, p...); return nil }

func (m *memory) end() error {
	m.files[m.open], m.open = string(m.text), ""
	return nil
}

// split takes an archive apart, fed in pieces of n bytes.
func split(archive []byte, n int) (*memory, error) {
	m := &memory{files: map[string]string{}}
	s := &splitter{archive: "base.tar", sink: m}
	for len(archive) > 0 {
		p := archive[:min(n, len(archive))]
		if err := s.write(p); err != nil {
			return m, err
		}
		archive = archive[len(p):]
	}
	return m, s.close()
}

// entry is a header of an archive, and its content.
type entry struct {
	tar.Header
	content string
}

// pack makes an archive, with its end unless that is to be left out as servers before 15 do.
func pack(t testing.TB, whole bool, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.Format == tar.FormatUnknown {
			e.Format = tar.FormatUSTAR
		}
		e.Mode, e.Size = 0o600, int64(len(e.content))
		require.NoError(t, w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Flush())
	if whole {
		require.NoError(t, w.Close())
	}
	return b.Bytes()
}

func file(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg}, content}
}

func folderEntry(name string) entry { return entry{tar.Header{Name: name, Typeflag: tar.TypeDir}, ""} }

func TestSplitter(t *testing.T) {
	big := strings.Repeat("0123456789", 1000)
	for _, whole := range []bool{true, false} {
		archive := pack(t, whole, file("backup_label", "START"), folderEntry("base/"), file("base/1", big), file("empty", ""),
			folderEntry("./pg_wal/archive_status/"), file("block", big[:512]),
			entry{tar.Header{Name: "pg_tblspc/16384", Typeflag: tar.TypeSymlink, Linkname: "/srv/fast disk"}, ""})
		for _, n := range []int{1, 7, 512, 513, 1 << 20} {
			m, err := split(archive, n)
			require.NoError(t, err)
			require.Equal(t, map[string]string{"backup_label": "START", "base/1": big, "empty": "", "block": big[:512]}, m.files)
			require.Equal(t, member{name: "base", kind: directory, mode: 0o600}, m.members[1])
			require.Equal(t, "pg_wal/archive_status", m.members[4].name)
			require.Equal(t, member{name: "pg_tblspc/16384", kind: symlink, mode: 0o600, link: "/srv/fast disk"}, m.members[6])
			require.Empty(t, m.open)
		}
	}
}

func TestSplitter_refuses(t *testing.T) {
	header := func(h tar.Header) []byte { return pack(t, true, entry{h, ""}) }
	good := pack(t, true, file("a", "content"))
	damaged := bytes.Clone(good)
	damaged[0] ^= 1
	noMagic := bytes.Clone(good)
	copy(noMagic[tarMagic:], "xxxxx")
	fixSum(noMagic)
	huge := bytes.Clone(good)
	copy(huge[tarSize:tarSizeEnd], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff")
	fixSum(huge)
	negative := bytes.Clone(good)
	copy(negative[tarSize:tarSizeEnd], "-0000000001\x00")
	fixSum(negative)
	fat := pack(t, true, folderEntry("a/"))
	copy(fat[tarSize:tarSizeEnd], "00000000001\x00")
	fixSum(fat)
	for name, archive := range map[string][]byte{
		"path_traversal":      header(tar.Header{Name: "../evil", Typeflag: tar.TypeReg}),
		"inner_traversal":     header(tar.Header{Name: "base/../../evil", Typeflag: tar.TypeReg}),
		"absolute":            header(tar.Header{Name: "/etc/passwd", Typeflag: tar.TypeReg}),
		"not_clean":           header(tar.Header{Name: "base//1", Typeflag: tar.TypeReg}),
		"itself":              header(tar.Header{Name: "./", Typeflag: tar.TypeDir}),
		"dot_slash_traversal": header(tar.Header{Name: "./../evil", Typeflag: tar.TypeReg}),
		"backslash":           header(tar.Header{Name: `a\b`, Typeflag: tar.TypeReg}),
		"no_name":             header(tar.Header{Name: "", Typeflag: tar.TypeReg}),
		"hard_link":           header(tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "b"}),
		"character_device":    header(tar.Header{Name: "a", Typeflag: tar.TypeChar}),
		"block_device":        header(tar.Header{Name: "a", Typeflag: tar.TypeBlock}),
		"fifo":                header(tar.Header{Name: "a", Typeflag: tar.TypeFifo}),
		"pax":                 header(tar.Header{Name: strings.Repeat("a", 300), Typeflag: tar.TypeReg, Format: tar.FormatPAX}),
		"damaged_header":      damaged,
		"no_ustar":            noMagic,
		"size_of_2_to_63":     huge,
		"negative_size":       negative,
		"folder_with_content": fat,
		"file_as_folder":      bytesReplaceType(header(tar.Header{Name: "a/", Typeflag: tar.TypeDir}), '0'),
		"cut_in_header":       good[:300],
		"cut_in_content":      good[:515],
		"cut_in_padding":      good[:600],
		"half_an_end":         good[:len(good)-512],
		"behind_the_end":      append(bytes.Clone(good), good...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := split(archive, 100)
			var fault *ArchiveError
			require.ErrorAs(t, err, &fault)
			require.Equal(t, "base.tar", fault.Archive)
			require.NotEmpty(t, err.Error())
		})
	}
}

func bytesReplaceType(archive []byte, kind byte) []byte {
	archive[tarType] = kind
	fixSum(archive)
	return archive
}

// fixSum makes the checksum of the first header right again.
func fixSum(archive []byte) {
	sum := headerSum(archive[:tarBlock])
	text := "000000" + octal(sum)
	copy(archive[tarChecksum:tarChecksumEnd], text[len(text)-6:]+"\x00 ")
}

func octal(n int64) string {
	if n < 8 {
		return string(rune('0' + n))
	}
	return octal(n/8) + string(rune('0'+n%8))
}

func TestNumber(t *testing.T) {
	for in, want := range map[string]int64{
		"00000000017\x00": 15, " 17 \x00": 15, "77777777777 ": 1<<33 - 1, "\x80\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x01": 3<<32 + 1,
		"\x80\x00\x00\x00\x00\x00\x01\xa4": 0o644, // the fields of mode and checksum have eight bytes
	} {
		got, ok := number([]byte(in))
		require.True(t, ok, "%q", in)
		require.Equal(t, want, got, "%q", in)
	}
	for _, in := range []string{"\x00\x00", "18", "-1", "+1", "\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", "\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		_, ok := number([]byte(in))
		require.False(t, ok, "%q", in)
	}
}

// What the splitter accepts, archive/tar reads as the same, and no name that it lets through leads out.
func FuzzSplitterAgreesWithArchiveTar(f *testing.F) {
	f.Add(pack(f, true, file("backup_label", "START"), folderEntry("base/"), file("base/1", strings.Repeat("x", 700))), 100)
	f.Add(pack(f, false, file("a", "b"), entry{tar.Header{Name: "pg_tblspc/1", Typeflag: tar.TypeSymlink, Linkname: "/x"}, ""}), 1000)
	f.Add(pack(f, true, entry{tar.Header{Name: "../x", Typeflag: tar.TypeReg}, ""}), 3)
	f.Fuzz(func(t *testing.T, archive []byte, n int) {
		if len(archive) >= tarBlock {
			archive = bytes.Clone(archive)
			fixSum(archive) // or hardly any change gets further than the checksum
		}
		got, err := split(archive, max(1, n%4096))
		for _, m := range got.members {
			if !localName(m.name) {
				t.Fatalf("let %q through", m.name)
			}
		}
		if err != nil {
			return
		}
		r := tar.NewReader(bytes.NewReader(archive))
		for i := 0; ; i++ {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				if i != len(got.members) {
					t.Fatalf("%d members, archive/tar sees %d", len(got.members), i)
				}
				return
			}
			if err != nil {
				return // stricter than we are, with fields that we do not look at
			}
			if i >= len(got.members) {
				t.Fatalf("archive/tar sees another member %q", h.Name)
			}
			m := got.members[i]
			name := strings.TrimPrefix(strings.TrimSuffix(h.Name, "/"), "./")
			if m.name != name || m.size != h.Size {
				t.Fatalf("member %q of %d bytes, archive/tar sees %q of %d", m.name, m.size, name, h.Size)
			}
		}
	})
}
