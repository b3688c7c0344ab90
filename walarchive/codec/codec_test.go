package codec_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/walarchive/codec"
)

const name = "000000010000000000000003"

// content is n bytes that compress like WAL, of which the last are zeros from data on.
func content(n, data int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := 0; i < data; i += 64 {
		row := b[i:min(i+64, data)]
		for j := range min(20, len(row)) {
			row[j] = byte(random.Uint32()) | 1
		}
		row[len(row)-1] = 1
	}
	return b
}

func encode(t testing.TB, b []byte, e codec.Encoding) ([]byte, codec.Record) {
	t.Helper()
	enc, err := codec.Encode(name, bytes.NewReader(b), e)
	require.NoError(t, err)
	defer enc.Close()
	out, err := io.ReadAll(enc)
	require.NoError(t, err)
	r, err := enc.Record()
	require.NoError(t, err)
	return out, r
}

func decode(b []byte, o codec.Options) ([]byte, *codec.Decoder, error) {
	dec, err := codec.Decode(bytes.NewReader(b), o)
	if err != nil {
		return nil, nil, err
	}
	defer dec.Close()
	out, err := io.ReadAll(dec)
	return out, dec, err
}

func encodings(t testing.TB) (map[string]codec.Encoding, []age.Identity) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	second, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	all := map[string]codec.Encoding{}
	for _, s := range []string{"none", "zstd", "zstd:3", "zstd:9", "lz4", "lz4:3", "gzip", "gzip:1", "s2", "s2:2"} {
		e, err := codec.ParseEncoding(s)
		require.NoError(t, err)
		all[s] = e
		e.Recipients = []age.Recipient{second.Recipient(), id.Recipient()}
		if e.Level == 0 {
			all[s+"+age"] = e
		}
	}
	return all, []age.Identity{id}
}

var sizes = []struct{ size, data int }{
	{0, 0}, {1, 1}, {40, 40}, {8192, 0}, {1 << 20, 1 << 20}, {1<<19 + 1, 1<<19 + 1}, {1 << 20, 200 << 10},
	{3<<20 - 8192, 2<<20 + 77}, {2 << 20, 0},
}

func TestEncode_round_trip(t *testing.T) {
	all, ids := encodings(t)
	for form, e := range all {
		for _, s := range sizes {
			t.Run(fmt.Sprintf("%s/%d/%d", form, s.size, s.data), func(t *testing.T) {
				plain := content(s.size, s.data, 1)
				stored, record := encode(t, plain, e)
				require.Equal(t, int64(s.size), record.Size)
				require.Equal(t, int64(min(s.size, (s.data+8191)/8192*8192)), record.Data)
				o := codec.Options{Name: name, Identities: ids}
				if !e.CarriesRecord() {
					o.Record = func() (*codec.Record, error) { return &record, nil }
				}
				got, dec, err := decode(stored, o)
				require.NoError(t, err)
				require.True(t, bytes.Equal(plain, got))
				require.True(t, dec.Verified())
				require.True(t, dec.Sum().SameContent(record))
				c, encrypted := dec.Encoding()
				require.Equal(t, e.Compression, c)
				require.Equal(t, len(e.Recipients) > 0, encrypted)
			})
		}
	}
}

// TestStock_tools: the documented command lines give the whole file. scripts/stores gets the tools.
func TestStock_tools(t *testing.T) {
	for _, tool := range []string{"zstd", "lz4", "gzip", "age"} {
		if _, err := exec.LookPath(tool); err != nil {
			localpg.Missing(t, err.Error())
		}
	}
	all, _ := encodings(t)
	s2d := filepath.Join(t.TempDir(), "s2d")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", s2d, "github.com/klauspost/compress/s2/cmd/s2d").CombinedOutput()
	require.NoError(t, err, "%s", out)
	command := map[codec.Compression]string{codec.None: "cat", codec.Zstd: "zstd -dc", codec.LZ4: "lz4 -dc", codec.Gzip: "gzip -dc", codec.S2: s2d + " -c -"}
	key := filepath.Join(t.TempDir(), "key")
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, []byte(id.String()+"\n"), 0o600))
	for form, e := range all {
		if len(e.Recipients) > 0 {
			e.Recipients = []age.Recipient{id.Recipient()}
		}
		script := command[e.Compression] + " < OBJECT > FILE"
		if len(e.Recipients) > 0 {
			script = "age -d -i " + key + " OBJECT | " + command[e.Compression] + " > FILE"
		}
		for _, s := range sizes {
			t.Run(fmt.Sprintf("%s/%d/%d", form, s.size, s.data), func(t *testing.T) {
				dir := t.TempDir()
				plain := content(s.size, s.data, 1)
				stored, _ := encode(t, plain, e)
				require.NoError(t, os.WriteFile(filepath.Join(dir, "OBJECT"), stored, 0o600))
				cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				got, err := os.ReadFile(filepath.Join(dir, "FILE"))
				require.NoError(t, err)
				require.True(t, bytes.Equal(plain, got))
			})
		}
	}
}
