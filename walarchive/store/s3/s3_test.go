package s3_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/s3test"
	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store/s3"
	"github.com/understudy-ha/understudy/walarchive/store/storetest"
)

func TestMain(m *testing.M) {
	s3test.Environment(os.Setenv)
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // most tests wait more than they work
	os.Exit(m.Run())
}

// open opens a store at an endpoint. Faults of a test are few, so no test needs long.
func open(t *testing.T, endpoint, bucket string, more ...func(*s3.Config)) *s3.Store {
	t.Helper()
	config := s3.Config{Bucket: bucket, Prefix: "some/archive", Endpoint: endpoint, Region: s3test.Region, Timeout: 10 * time.Second}
	for _, change := range more {
		change(&config)
	}
	s, err := s3.Open(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestConformance(t *testing.T) {
	server := s3test.Start(t)
	storetest.RunPlace(t, func(t *testing.T) storetest.Place {
		bucket := server.Bucket(t)
		return storetest.Place{
			Open: func(t *testing.T) walarchive.Store { return open(t, server.Endpoint, bucket) },
			Interrupt: func(t *testing.T, name string) {
				core := minio.Core{Client: server.Client(t)}
				id, err := core.NewMultipartUpload(t.Context(), bucket, "some/archive/"+name, minioDefaults)
				require.NoError(t, err)
				_, err = core.PutObjectPart(t.Context(), bucket, "some/archive/"+name, id, 1, bytes.NewReader(noise(part)), part, minio.PutObjectPartOptions{})
				require.NoError(t, err)
			},
			Secrets: []string{s3test.SecretKey},
			Sizes:   []int{part},
		}
	})
}

func TestArchive(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	storetest.Archive(t, func(t *testing.T) walarchive.Store { return open(t, server.Endpoint, server.Bucket(t)) })
}

// noise is content that nothing makes smaller.
func noise(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content) // which never fails
	return content
}

const part = 8 << 20

var minioDefaults = minio.PutObjectOptions{}

func TestCreate_sizes_around_a_part(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	content := noise(2*part + 1)
	for _, size := range []int{0, 1, part - 1, part, part + 1, 2 * part, 2*part + 1} {
		name := fmt.Sprint("size", size)
		require.NoError(t, s.Create(t.Context(), name, iotest.HalfReader(bytes.NewReader(content[:size]))))
		wantContent(t, s, name, content[:size])
		err := s.Create(t.Context(), name, bytes.NewReader(content[:size/2]))
		require.ErrorIs(t, err, fs.ErrExist)
		details, err := s.Details(t.Context(), []string{name})
		require.NoError(t, err)
		require.EqualValues(t, size, details[0].Size)
	}
	noUploads(t, server, s)
}

// TestCreate_race_of_large_objects: parts do not mix, and nothing is left of the losers.
func TestCreate_race_of_large_objects(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	errs := make([]error, 3)
	content := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, part+100) }
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = s.Create(t.Context(), "large", bytes.NewReader(content(i))) })
	}
	wg.Wait()
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
			wantContent(t, s, "large", content(i))
		} else {
			require.ErrorIs(t, err, fs.ErrExist)
		}
	}
	require.Equal(t, 1, winners)
	noUploads(t, server, s)
}

func TestCreate_reader_that_fails(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	for _, size := range []int{0, 1000, part, part + 1000} {
		for _, boom := range []error{errors.New("boom"), io.ErrUnexpectedEOF, fs.ErrExist, fmt.Errorf("no clean end: %w", io.EOF)} {
			err := s.Create(t.Context(), "name", io.MultiReader(bytes.NewReader(noise(size)), iotest.ErrReader(boom)))
			require.Equal(t, boom, err, "after %d bytes", size)
		}
	}
	require.ErrorIs(t, s.Create(t.Context(), "name", silent{}), io.ErrNoProgress)
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
	noUploads(t, server, s)
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// TestCreate_waits_for_the_end: nothing can be seen before the reader has ended, however late.
func TestCreate_waits_for_the_end(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	for _, size := range []int{10, part, part + 10} {
		name := fmt.Sprint("size", size)
		last := readerFunc(func() (int, error) {
			_, err := s.Open(t.Context(), name)
			require.ErrorIs(t, err, fs.ErrNotExist)
			return 0, io.EOF
		})
		require.NoError(t, s.Create(t.Context(), name, io.MultiReader(bytes.NewReader(noise(size)), last)))
	}
}

type readerFunc func() (int, error)

func (f readerFunc) Read([]byte) (int, error) { return f() }

func TestNames_that_are_none(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	for _, name := range []string{"", ".", "..", "a/b", "/a", "a/", "a\nb", "\x00", "\xff", ".a", s3.ProbeName} {
		require.ErrorIs(t, s.Create(t.Context(), name, strings.NewReader("x")), fs.ErrInvalid, "%q", name)
		_, err := s.Open(t.Context(), name)
		require.ErrorIs(t, err, fs.ErrInvalid, "%q", name)
		_, err = s.Details(t.Context(), []string{name})
		require.ErrorIs(t, err, fs.ErrInvalid, "%q", name)
		require.ErrorIs(t, s.Remove(t.Context(), []string{name}), fs.ErrInvalid, "%q", name)
	}
	for _, name := range []string{"a b", "ä+%&?#=\"'<>", "-", "a:b"} {
		require.NoError(t, s.Create(t.Context(), name, strings.NewReader(name)), "%q", name)
		wantContent(t, s, name, []byte(name))
	}
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a b", "ä+%&?#=\"'<>", "-", "a:b"}, names)
	require.NoError(t, s.Remove(t.Context(), names))
	names, err = s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
}

// TestPrefix: another archive beside it, below it or with a name that begins alike is not seen.
func TestPrefix(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	stores := map[string]*s3.Store{}
	for _, prefix := range []string{"", "a", "a/b", "ab"} {
		stores[prefix] = open(t, server.Endpoint, bucket, func(c *s3.Config) { c.Prefix = prefix })
		require.NoError(t, stores[prefix].Create(t.Context(), "in-"+strings.ReplaceAll(prefix, "/", "-"), strings.NewReader("x")))
	}
	for prefix, s := range stores {
		names, err := s.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"in-" + strings.ReplaceAll(prefix, "/", "-")}, names)
	}
}

// TestDetails one by one, and by a listing.
func TestDetails(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	var names []string
	for i := range 70 {
		names = append(names, fmt.Sprintf("%08d", i))
		require.NoError(t, s.Create(t.Context(), names[i], strings.NewReader("x")))
	}
	for _, count := range []int{3, 64, 65, 71} {
		asked := append([]string{"missing"}, names[:count-1]...)
		details, err := s.Details(t.Context(), asked)
		require.NoError(t, err)
		require.Len(t, details, count)
		for i, d := range details {
			require.Equal(t, asked[i], d.Name)
			require.EqualValues(t, map[bool]int64{true: -1, false: 1}[i == 0], d.Size, d.Name)
			require.Equal(t, i == 0, d.Modified.IsZero())
		}
	}
	details, err := s.Details(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, details)
	require.NoError(t, s.Remove(t.Context(), nil))
}

// TestSweep: parts that a killed upload left are removed once they are old, and nobody else's.
func TestSweep(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	s := open(t, server.Endpoint, bucket)
	core := minio.Core{Client: server.Client(t)}
	for _, key := range []string{"some/archive/a", "some/archive/b", "some/other", "some/archive-2/a"} {
		_, err := core.NewMultipartUpload(t.Context(), bucket, key, minio.PutObjectOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, s.Sweep(t.Context(), time.Now().Add(-time.Hour)))
	require.Len(t, uploads(t, server, bucket), 4)
	require.NoError(t, s.Sweep(t.Context(), time.Now().Add(time.Hour)))
	require.ElementsMatch(t, []string{"some/other", "some/archive-2/a"}, uploads(t, server, bucket))
}

func TestContext_that_has_ended(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := s.Open(ctx, "a")
	require.NoError(t, err)
	cancel(cause)
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, cause)
	require.NoError(t, r.Close())
	_, err = s.Open(ctx, "a")
	require.ErrorIs(t, err, cause)
	_, err = s.List(ctx)
	require.ErrorIs(t, err, cause)
	_, err = s.Details(ctx, []string{"a"})
	require.ErrorIs(t, err, cause)
	require.ErrorIs(t, s.Remove(ctx, []string{"a"}), cause)
	require.ErrorIs(t, s.Create(ctx, "b", strings.NewReader("x")), cause)
	wantContent(t, s, "a", []byte("x"))
}

func TestOpen_reading_after_close(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	require.NoError(t, s.Create(t.Context(), "a", bytes.NewReader(noise(1<<20))))
	r, err := s.Open(t.Context(), "a")
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, fs.ErrClosed)
}

func wantContent(t *testing.T, s *s3.Store, name string, want []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), name)
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s: got %d bytes, want other %d bytes", name, len(got), len(want))
}

// uploads returns the keys of uploads that have begun and not ended.
func uploads(t *testing.T, server *s3test.Server, bucket string) []string {
	t.Helper()
	result, err := minio.Core{Client: server.Client(t)}.ListMultipartUploads(t.Context(), bucket, "", "", "", "", 0)
	require.NoError(t, err)
	var keys []string
	for _, u := range result.Uploads {
		keys = append(keys, u.Key)
	}
	return keys
}

func noUploads(t *testing.T, server *s3test.Server, s *s3.Store) {
	t.Helper()
	bucket, _, _ := strings.Cut(strings.TrimPrefix(s.String(), "s3://"), "/")
	require.Empty(t, uploads(t, server, bucket), "parts are left behind")
}

// first applies trouble to the first so many requests that it is meant for.
func first(times int32, meant func(*http.Request) bool, trouble s3test.Trouble) s3test.Trouble {
	var seen atomic.Int32
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if meant(r) && seen.Add(1) <= times {
			trouble(w, r, next)
			return
		}
		next(w, r)
	}
}
