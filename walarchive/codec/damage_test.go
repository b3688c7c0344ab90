package codec_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/codec"
)

// TestDecode_finds_every_changed_byte changes one byte at each of hundreds of places per format, all of the end and the beginning among them.
func TestDecode_finds_every_changed_byte(t *testing.T) {
	all, ids := encodings(t)
	plain := content(80<<10, 60<<10, 1)
	random := rand.New(rand.NewPCG(1, 2))
	for form, e := range all {
		t.Run(form, func(t *testing.T) {
			stored, record := encode(t, plain, e)
			o := codec.Options{Name: name, Identities: ids, Record: func() (*codec.Record, error) { return &record, nil }}
			try := func(at int, flip byte) {
				damaged := bytes.Clone(stored)
				damaged[at] ^= flip
				_, _, err := decode(damaged, o)
				require.Error(t, err, "byte %d of %d", at, len(stored))
				require.True(t, errors.As(err, new(*codec.DamagedError)) || errors.Is(err, codec.ErrNoKey), "%v", err)
			}
			step := max(1, len(stored)/150)
			for at := range stored {
				if at < 40 || at > len(stored)-450 || at%step == 0 {
					try(at, 1<<random.IntN(8))
				}
			}
			for _, n := range []int{0, 1, 30, len(stored) / 2, len(stored) - 1} {
				_, _, err := decode(stored[:n], o)
				require.ErrorAs(t, err, new(*codec.DamagedError), "cut off after %d", n)
			}
			for _, more := range []string{"\x00", "more", string(stored)} {
				_, _, err := decode(append(bytes.Clone(stored), more...), o)
				require.ErrorAs(t, err, new(*codec.DamagedError), "%d bytes more", len(more))
			}
		})
	}
}

func TestDecode_other_name(t *testing.T) {
	stored, _ := encode(t, content(100, 100, 1), codec.Encoding{Compression: codec.LZ4})
	_, _, err := decode(stored, codec.Options{Name: "000000010000000000000004"})
	require.ErrorAs(t, err, new(*codec.DamagedError))
}

func TestDecode_without_record(t *testing.T) {
	plain := content(20<<10, 20<<10, 1)
	got, dec, err := decode(plain, codec.Options{Name: name})
	require.NoError(t, err)
	require.Equal(t, plain, got)
	require.False(t, dec.Verified())
	require.Equal(t, int64(20<<10), dec.Sum().Size)
}

func TestDecode_keys(t *testing.T) {
	all, _ := encodings(t)
	stored, _ := encode(t, content(100, 100, 1), all["zstd+age"])
	_, _, err := decode(stored, codec.Options{})
	require.ErrorIs(t, err, codec.ErrNoKey)
	stranger, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	_, _, err = decode(stored, codec.Options{Identities: []age.Identity{stranger}})
	require.ErrorIs(t, err, codec.ErrNoKey)
}

// TestErrors_of_readers_come_as_they_are: what could not be read is not damaged.
func TestErrors_of_readers_come_as_they_are(t *testing.T) {
	for _, boom := range []error{errors.New("boom"), io.ErrUnexpectedEOF, os.ErrDeadlineExceeded, fmt.Errorf("cut off: %w", io.EOF)} {
		for _, e := range []codec.Encoding{{}, {Compression: codec.Zstd}, {Compression: codec.Gzip}, {Compression: codec.LZ4}, {Compression: codec.S2}} {
			plain := content(1<<20, 1<<20, 1)
			stored, _ := encode(t, plain, e)
			for _, n := range []int{0, 10, 100_000} {
				dec, err := codec.Decode(io.MultiReader(bytes.NewReader(stored[:n]), iotest.ErrReader(boom)), codec.Options{})
				if err == nil {
					_, err = io.Copy(io.Discard, dec)
					require.NoError(t, dec.Close())
				}
				require.ErrorIs(t, err, boom)
				require.False(t, errors.As(err, new(*codec.DamagedError)))
			}
			enc, err := codec.Encode(name, io.MultiReader(bytes.NewReader(plain), iotest.ErrReader(boom)), e)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, enc)
			require.ErrorIs(t, err, boom)
			_, err = enc.Record()
			require.Error(t, err)
			require.NoError(t, enc.Close())
		}
	}
}

// TestClose_in_the_middle: nothing is left running, and nothing waits.
func TestClose_in_the_middle(t *testing.T) {
	plain := content(4<<20, 4<<20, 1)
	for _, e := range []codec.Encoding{{}, {Compression: codec.LZ4}} {
		enc, err := codec.Encode(name, bytes.NewReader(plain), e)
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, enc, 1000)
		require.NoError(t, err)
		require.NoError(t, enc.Close())
		require.NoError(t, enc.Close())

		stored, _ := encode(t, plain, e)
		dec, err := codec.Decode(bytes.NewReader(stored), codec.Options{})
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, dec, 1000)
		require.NoError(t, err)
		require.NoError(t, dec.Close())
		require.NoError(t, dec.Close())
	}
}

// TestEncode_zeros_between_data: only the tail is left out of the hash.
func TestEncode_zeros_between_data(t *testing.T) {
	plain := make([]byte, 3<<20)
	plain[5], plain[2<<20+9] = 1, 1
	for _, e := range []codec.Encoding{{}, {Compression: codec.Zstd}, {Compression: codec.S2}} {
		stored, record := encode(t, plain, e)
		require.Equal(t, int64(2<<20+8192), record.Data)
		require.Equal(t, sha256.Sum256(plain[:record.Data]), record.SHA256)
		got, _, err := decode(stored, codec.Options{Record: func() (*codec.Record, error) { return &record, nil }})
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))
	}
}

func TestDecode_too_large(t *testing.T) {
	stored, _ := encode(t, make([]byte, 3<<20), codec.Encoding{Compression: codec.Zstd})
	_, _, err := decode(stored, codec.Options{MaxSize: 1 << 20})
	require.ErrorAs(t, err, new(*codec.DamagedError))
}

func TestParseEncoding(t *testing.T) {
	for _, s := range []string{"none", "zstd", "zstd:3", "lz4", "lz4:9", "gzip:1", "s2:3"} {
		e, err := codec.ParseEncoding(s)
		require.NoError(t, err)
		require.Equal(t, s, e.String())
	}
	for _, s := range []string{"", "xz", "zstd:", "zstd:x", "zstd:-1", "zstd:23", "none:1", "lz4:10", "s2:+1", "zstd:03", ":3"} {
		_, err := codec.ParseEncoding(s)
		require.Error(t, err, s)
	}
}

func TestEncode_refuses(t *testing.T) {
	for _, n := range []string{"", "a\nb", strings.Repeat("x", 129)} {
		_, err := codec.Encode(n, strings.NewReader("x"), codec.Encoding{})
		require.Error(t, err)
	}
	_, err := codec.Encode(name, strings.NewReader("x"), codec.Encoding{Compression: "xz"})
	require.Error(t, err)
}

func TestRecord_text(t *testing.T) {
	_, record := encode(t, []byte("hello\n"), codec.Encoding{})
	require.Equal(t, "understudy record 1\nname "+name+"\nsize 6\ndata 6\n"+
		"sha256 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\ncrc32c 51b4a689\n", string(record.Bytes()))
}

func TestParseRecord_finds_every_changed_byte(t *testing.T) {
	_, record := encode(t, content(9000, 9000, 1), codec.Encoding{Compression: codec.LZ4})
	text := record.Bytes()
	got, err := codec.ParseRecord(text)
	require.NoError(t, err)
	require.Equal(t, record, got)
	for at := range text {
		damaged := bytes.Clone(text)
		damaged[at] ^= 1
		_, err := codec.ParseRecord(damaged)
		require.ErrorAs(t, err, new(*codec.DamagedError), "byte %d", at)
	}
}

// FuzzRecord: a text is a record only if it is exactly what the record writes.
func FuzzRecord(f *testing.F) {
	for _, e := range []codec.Encoding{{}, {Compression: codec.LZ4}} {
		_, r := encode(f, content(9000, 9000, 1), e)
		f.Add(r.Bytes())
	}
	f.Add([]byte("understudy record 1\n"))
	f.Add([]byte("understudy record 1\nname x\nsize -1\ndata 9\nsha256 00\nstored 1\ncrc32c 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := codec.ParseRecord(b)
		if err != nil {
			if !errors.As(err, new(*codec.DamagedError)) {
				t.Fatalf("%v is no damage", err)
			}
			return
		}
		if !bytes.Equal(r.Bytes(), b) || r.Data > r.Size || r.Size < 0 {
			t.Fatalf("%q was taken for %+v", b, r)
		}
	})
}

// FuzzDecode: whatever bytes come, nothing panics, and what is verified is what its record says.
func FuzzDecode(f *testing.F) {
	all, ids := encodings(f)
	want := content(5000, 4000, 1)
	var record codec.Record
	for _, form := range []string{"none", "zstd", "lz4", "gzip", "s2", "zstd+age"} {
		var stored []byte
		stored, record = encode(f, want, all[form])
		f.Add(stored)
	}
	record.Stored = 0
	f.Fuzz(func(t *testing.T, b []byte) {
		o := codec.Options{Name: name, Identities: ids, MaxSize: 1 << 20, Record: func() (*codec.Record, error) { return &record, nil }}
		got, dec, err := decode(b, o)
		if err != nil {
			return
		}
		sum, err := codec.Sum(name, bytes.NewReader(got))
		if err != nil || !dec.Verified() || !sum.SameContent(dec.Sum()) {
			t.Fatalf("not verified: %v", err)
		}
		if c, _ := dec.Encoding(); c == codec.None && !bytes.Equal(got, want) {
			t.Fatal("other content passed for the record's")
		}
	})
}

func ExampleEncode() {
	dir, _ := os.MkdirTemp("", "codec")
	defer os.RemoveAll(dir)
	object, err := os.Create(filepath.Join(dir, "object"))
	if err != nil {
		panic(err)
	}
	enc, err := codec.Encode("00000002.history", strings.NewReader("1\t0/3000060\tno recovery target specified\n"), codec.Encoding{Compression: codec.Zstd})
	if err != nil {
		panic(err)
	}
	defer enc.Close()
	if _, err := io.Copy(object, enc); err != nil {
		panic(err)
	}

	if _, err := object.Seek(0, io.SeekStart); err != nil {
		panic(err)
	}
	dec, err := codec.Decode(object, codec.Options{Name: "00000002.history"})
	if err != nil {
		panic(err)
	}
	defer dec.Close()
	if _, err := io.Copy(os.Stdout, dec); err != nil {
		panic(err)
	}
	// Output: 1	0/3000060	no recovery target specified
}
