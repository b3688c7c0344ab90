package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/s3test"
	"github.com/understudy-ha/understudy/walarchive/store/s3"
)

// TestRead_by_a_slow_reader: only the server has to hurry. PostgreSQL may take its time with what it is given.
func TestRead_by_a_slow_reader(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	require.NoError(t, open(t, server.Endpoint, bucket).Create(t.Context(), "a", bytes.NewReader(noise(16<<20))))
	var gets atomic.Int32
	s := open(t, server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		gets.Add(1)
		next(w, r)
	}), bucket, func(c *s3.Config) { c.Timeout = 1500 * time.Millisecond })
	r, err := s.Open(t.Context(), "a")
	require.NoError(t, err)
	defer r.Close()
	time.Sleep(2 * time.Second) // longer than the server may be silent
	got := make([]byte, 1<<20)
	_, err = io.ReadFull(r, got)
	require.NoError(t, err)
	time.Sleep(2 * time.Second)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(noise(16<<20), slices.Concat(got, rest)))
	require.EqualValues(t, 1, gets.Load())
}

// TestRead_of_answers_that_are_too_short: a server that ends an answer early, and says so, has not ended the object.
func TestRead_of_answers_that_are_too_short(t *testing.T) {
	t.Parallel()
	content := "0123456789"
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		from := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, content[:2]) // and nothing more, so that the connection is cut
			return
		}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, content[from:min(from+3, 10)])
	}))
	defer front.Close()
	wantContent(t, open(t, front.URL, "bucket"), "a", []byte(content))
}

// TestCreate_over_a_slow_line: sending takes far longer than the server may be silent, and something moves all the time.
func TestCreate_over_a_slow_line(t *testing.T) {
	t.Parallel()
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 { // the probe
			s3test.Refuse(w, http.StatusPreconditionFailed, "PreconditionFailed", "")
			return
		}
		for {
			_, err := io.CopyN(io.Discard, r.Body, part/32)
			if errors.Is(err, io.EOF) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}))
	front.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetReadBuffer(64 << 10) // so that little is under way
		return ctx
	}
	front.Start()
	defer front.Close()
	s := open(t, front.URL, "bucket", func(c *s3.Config) { c.Timeout, c.Attempts = 2*time.Second, 1 })
	require.NoError(t, s.Create(t.Context(), "a", bytes.NewReader(noise(part-1))))
}

// TestList_goes_on_after_what_it_has: a listing that fails half-way begins where it failed, and lists nothing twice.
func TestList_goes_on_after_what_it_has(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := func(more, name string) {
			fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated><NextContinuationToken>%s</NextContinuationToken>"+
				"<Contents><Key>some/archive/%s</Key><Size>1</Size></Contents></ListBucketResult>", more != "", more, name)
		}
		requests.Add(1)
		switch query := r.URL.Query(); {
		case query.Get("continuation-token") == "next":
			s3test.Refuse(w, http.StatusServiceUnavailable, "SlowDown", "")
		case query.Get("start-after") == "some/archive/a":
			page("", "b")
		case query.Get("start-after") == "" && query.Get("prefix") == "some/archive/":
			page("next", "a")
		default:
			http.Error(w, r.URL.String(), http.StatusTeapot)
		}
	}))
	defer front.Close()
	names, err := open(t, front.URL, "bucket").List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, names)
	require.EqualValues(t, 3, requests.Load())
}

// TestCreate_cancelled_leaves_no_parts: what the caller gave up is removed all the same.
func TestCreate_cancelled_leaves_no_parts(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t))
	ctx, cancel := context.WithCancel(t.Context())
	last := readerFunc(func() (int, error) { cancel(); return 0, io.EOF })
	err := s.Create(ctx, "a", io.MultiReader(bytes.NewReader(noise(part+1000)), last))
	require.ErrorIs(t, err, context.Canceled)
	noUploads(t, server, s)
	names, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
}
