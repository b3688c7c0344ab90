package s3_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/s3test"
	"github.com/understudy-ha/understudy/walarchive/store/s3"
)

// Which requests a trouble is meant for; puts of the probe are none of them.
var (
	object   = func(r *http.Request) bool { return !strings.HasSuffix(r.URL.Path, s3.ProbeName) }
	put      = func(r *http.Request) bool { return object(r) && r.Method == http.MethodPut && r.URL.RawQuery == "" }
	complete = func(r *http.Request) bool {
		return object(r) && r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	}
)

func refuse(status int, code string) s3test.Trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		s3test.Refuse(w, status, code, "so says the test")
	}
}

func cut(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { s3test.Cut(w) }

// TestFaults_that_pass: whatever happens once or twice, every method comes to its end as if nothing had been.
func TestFaults_that_pass(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	for _, c := range []struct {
		name    string
		trouble s3test.Trouble
		large   int
	}{
		{"503_slow_down", refuse(503, "SlowDown"), part + 1000},
		{"500_internal_error", refuse(500, "InternalError"), 2000},
		{"502_without_words", func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			http.Error(w, "bad gateway", http.StatusBadGateway)
		}, 2000},
		{"429", refuse(429, "TooManyRequests"), 2000},
		{"409_conflict", refuse(409, "ConditionalRequestConflict"), part + 1000},
		{"cut_connection", cut, part + 1000},
		{"lost_answer", s3test.LoseAnswer, part + 1000},
		{"torn_answer", tornAnswer, part + 1000},
		{"silence", silence, 2000},
		{"damaged_on_the_way", damagedOnTheWay, part + 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bucket := server.Bucket(t)
			endpoint := server.Proxy(t, everyOther(c.trouble))
			s := open(t, endpoint, bucket, func(config *s3.Config) {
				if c.name == "silence" { // not so soon that being slow is taken for it
					config.Timeout = time.Second
				}
			})
			small, large := noise(1000), noise(c.large)
			require.NoError(t, s.Create(t.Context(), "small", bytes.NewReader(small)))
			require.NoError(t, s.Create(t.Context(), "large", bytes.NewReader(large)))
			require.ErrorIs(t, s.Create(t.Context(), "small", strings.NewReader("other")), fs.ErrExist)
			require.ErrorIs(t, s.Create(t.Context(), "large", bytes.NewReader(small)), fs.ErrExist)
			wantContent(t, s, "small", small)
			wantContent(t, s, "large", large)
			_, err := s.Open(t.Context(), "missing")
			require.ErrorIs(t, err, fs.ErrNotExist)
			names, err := s.List(t.Context())
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"small", "large"}, names)
			details, err := s.Details(t.Context(), []string{"large", "missing"})
			require.NoError(t, err)
			require.EqualValues(t, len(large), details[0].Size)
			require.EqualValues(t, -1, details[1].Size)
			require.NoError(t, s.Remove(t.Context(), names))
			names, err = s.List(t.Context())
			require.NoError(t, err)
			require.Empty(t, names)
		})
	}
}

// everyOther has trouble with the first request of each kind, and lets the second one pass.
func everyOther(trouble s3test.Trouble) s3test.Trouble {
	seen := map[string]bool{}
	lock := make(chan struct{}, 1)
	return func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		query := r.URL.Query()
		kind := fmt.Sprint(r.Method, r.URL.Path, query.Has("uploads"), query.Get("partNumber"), query.Has("uploadId"), query.Has("delete"))
		lock <- struct{}{}
		again := seen[kind]
		seen[kind] = !again
		<-lock
		if again || query.Has("uploads") && r.Method == http.MethodGet || r.Method == http.MethodHead {
			next(w, r)
			return
		}
		trouble(w, r, next)
	}
}

// silence reads what it is sent and never answers.
func silence(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
	_, _ = io.Copy(io.Discard, r.Body) // without that, nobody sees the client leave
	<-r.Context().Done()
	s3test.Cut(w)
}

// tornAnswer ends the connection half-way through the answer.
func tornAnswer(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	answer := httptest.NewRecorder()
	next(answer, r)
	body := answer.Body.Bytes()
	if len(body) == 0 {
		s3test.Cut(w)
	}
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body[:len(body)/2]) // to whoever still listens
	_ = http.NewResponseController(w).Flush()
	s3test.Cut(w)
}

// damagedOnTheWay turns over one bit of what is sent.
func damagedOnTheWay(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	body, _ := io.ReadAll(r.Body) // of a request that is cut short, what there is
	if len(body) > 500 && r.Method == http.MethodPut {
		body[300] ^= 1
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(w, r)
}

// TestCreate_lost_answer: an object that is there although nobody said so is known as one's own; another's is not.
func TestCreate_lost_answer(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	for size, meant := range map[int]func(*http.Request) bool{100: put, part + 100: complete} {
		bucket := server.Bucket(t)
		direct := open(t, server.Endpoint, bucket)
		s := open(t, server.Proxy(t, first(1, meant, s3test.LoseAnswer)), bucket)
		require.NoError(t, s.Create(t.Context(), "mine", bytes.NewReader(noise(size))))
		wantContent(t, direct, "mine", noise(size))
		noUploads(t, server, direct)

		// The request gets lost, and somebody else is faster than its repetition.
		other := open(t, server.Proxy(t, first(1, meant, func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			require.NoError(t, direct.Create(t.Context(), "other", strings.NewReader("theirs")))
			s3test.Cut(w)
		})), bucket)
		require.ErrorIs(t, other.Create(t.Context(), "other", bytes.NewReader(noise(size))), fs.ErrExist)
		wantContent(t, direct, "other", []byte("theirs"))
		noUploads(t, server, direct)
	}
}

// TestCreate_taken_and_no_word_of_it: a server that refuses a taken name before it has read the content, and cuts the connection.
func TestCreate_taken_and_no_word_of_it(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	require.NoError(t, open(t, server.Endpoint, bucket).Create(t.Context(), "a", strings.NewReader("theirs")))
	var puts atomic.Int32
	s := open(t, server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if put(r) {
			puts.Add(1)
			s3test.Cut(w)
		}
		next(w, r)
	}), bucket)
	require.ErrorIs(t, s.Create(t.Context(), "a", bytes.NewReader(noise(1<<20))), fs.ErrExist)
	require.EqualValues(t, 1, puts.Load(), "one look is cheaper than sending all again")
}

// TestCreate_upload_that_vanished: the server gives the parts up. That is an error, and no object.
func TestCreate_upload_that_vanished(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	for _, refusal := range []s3test.Trouble{refuse(404, "NoSuchUpload"), refuse(409, "ConditionalRequestConflict"), refuse(412, "PreconditionFailed")} {
		bucket := server.Bucket(t)
		s := open(t, server.Proxy(t, first(100, complete, refusal)), bucket, func(c *s3.Config) { c.Attempts = 2 })
		probed := open(t, server.Endpoint, bucket)
		err := s.Create(t.Context(), "large", bytes.NewReader(noise(part+1)))
		require.Error(t, err)
		require.NotErrorIs(t, err, fs.ErrExist)
		require.ErrorContains(t, err, "of the same name")
		_, err = probed.Open(t.Context(), "large")
		require.ErrorIs(t, err, fs.ErrNotExist)
		noUploads(t, server, probed)
	}
}

// TestCreate_server_without_conditional_writes: it is found out before anything can be replaced.
func TestCreate_server_without_conditional_writes(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	ignores := func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		s3test.Unconditional(r)
		next(w, r)
	}
	unknown := func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if r.Header.Get("If-None-Match") != "" {
			s3test.Refuse(w, http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented")
			return
		}
		next(w, r)
	}
	onlyPut := func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if r.Method == http.MethodPost {
			ignores(w, r, next)
			return
		}
		next(w, r)
	}
	for name, c := range map[string]struct {
		trouble s3test.Trouble
		size    int
	}{
		"ignored":             {ignores, 10},
		"ignored/large":       {ignores, part + 10},
		"unknown":             {unknown, 10},
		"unknown/large":       {unknown, part + 10},
		"ignored_by_complete": {onlyPut, part + 10},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := server.Bucket(t)
			direct := open(t, server.Endpoint, bucket)
			endpoint := server.Proxy(t, c.trouble)
			require.NoError(t, direct.Create(t.Context(), "there", strings.NewReader("x")))
			s := open(t, endpoint, bucket)
			err := s.Create(t.Context(), "new", bytes.NewReader(noise(c.size)))
			require.ErrorIs(t, err, s3.ErrNotExclusive)
			require.ErrorContains(t, err, "CheckThenCreate")
			names, err := direct.List(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"there"}, names)
			noUploads(t, server, direct)

			weak := open(t, endpoint, bucket, func(c *s3.Config) { c.CheckThenCreate = true })
			require.NoError(t, weak.Create(t.Context(), "new", bytes.NewReader(noise(c.size))))
			wantContent(t, direct, "new", noise(c.size))
			require.ErrorIs(t, weak.Create(t.Context(), "there", bytes.NewReader(noise(c.size))), fs.ErrExist)
			wantContent(t, direct, "there", []byte("x"))
		})
	}
}

// TestCreate_check_then_create_sees_who_was_later: even the weak way tells the one whose object was replaced, if it was at once.
func TestCreate_check_then_create_sees_who_was_later(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	for size, meant := range map[int]func(*http.Request) bool{10: put, part + 10: complete} {
		bucket := server.Bucket(t)
		plain := server.Client(t)
		s := open(t, server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			s3test.Unconditional(r)
			next(w, r)
			if meant(r) {
				_, err := plain.PutObject(t.Context(), bucket, "some/archive/a", strings.NewReader("theirs"), 6, minioDefaults)
				require.NoError(t, err)
			}
		}), bucket, func(c *s3.Config) { c.CheckThenCreate = true })
		require.ErrorIs(t, s.Create(t.Context(), "a", bytes.NewReader(noise(size))), fs.ErrExist)
	}
}

// TestProbe_is_cheap: once for a store, and one request if its object is there.
func TestProbe_is_cheap(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	var probes, all atomic.Int32
	endpoint := server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		all.Add(1)
		if !object(r) {
			probes.Add(1)
		}
		next(w, r)
	})
	for i, want := range []int32{2, 1, 1} {
		s := open(t, endpoint, bucket)
		probes.Store(0)
		all.Store(0)
		require.NoError(t, s.Create(t.Context(), fmt.Sprint("a", i), strings.NewReader("x")))
		require.NoError(t, s.Create(t.Context(), fmt.Sprint("b", i), strings.NewReader("x")))
		require.Equal(t, want, probes.Load())
		require.Equal(t, want+2, all.Load())
	}
}

// TestAbsence_is_the_servers_word: everything else that is not there is an error of another kind.
func TestAbsence_is_the_servers_word(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	require.NoError(t, open(t, server.Endpoint, bucket).Create(t.Context(), "a", strings.NewReader("x")))
	answers := func(trouble s3test.Trouble) string { return server.Proxy(t, trouble) }
	for name, c := range map[string]struct {
		endpoint, bucket string
		want             string
	}{
		"missing_bucket": {server.Endpoint, "no-such-bucket", "NoSuchBucket"},
		"404_of_a_proxy": {answers(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { http.NotFound(w, nil) }), bucket, "check the endpoint"},
		"404_html": {answers(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<html><p>x</p></html>")
		}), bucket, "HTTP status 404"},
		"404_empty":        {answers(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { w.WriteHeader(http.StatusNotFound) }), bucket, "check the endpoint"},
		"403":              {answers(refuse(403, "AccessDenied")), bucket, "s3:ListBucket"},
		"401":              {answers(refuse(401, "Unauthorized")), bucket, "Unauthorized"},
		"301_other_region": {answers(otherRegion(301, "PermanentRedirect")), bucket, "the bucket is in region ap-south-9, not in " + s3test.Region},
		"400_other_region": {answers(otherRegion(400, "AuthorizationHeaderMalformed")), bucket, "the bucket is in region ap-south-9"},
		"clock":            {answers(refuse(403, "RequestTimeTooSkewed")), bucket, "clock"},
		"no_such_key_503":  {answers(refuse(503, "NoSuchKey")), bucket, "HTTP status 503"},
		"nobody_listens":   {"http://127.0.0.1:1", bucket, "connection refused"},
		"no_such_host":     {"http://s3.invalid", bucket, "s3.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, c.endpoint, c.bucket, func(c *s3.Config) { c.Attempts = 2 })
			_, err := s.Open(t.Context(), "missing")
			wantTrouble(t, err, c.want)
			_, err = s.List(t.Context())
			wantTrouble(t, err, "")
			_, err = s.Details(t.Context(), []string{"missing"})
			wantTrouble(t, err, "")
			wantTrouble(t, s.Create(t.Context(), "missing", strings.NewReader("x")), "")
			wantTrouble(t, s.Create(t.Context(), "missing", bytes.NewReader(noise(part+1))), "")
			wantTrouble(t, s.Remove(t.Context(), []string{"missing"}), "")
			wantTrouble(t, s.Sweep(t.Context(), time.Now()), "")
			if name == "403" {
				_, err := s.Open(t.Context(), "missing")
				require.ErrorIs(t, err, fs.ErrPermission)
				var refused *s3.Error
				require.ErrorAs(t, err, &refused)
				require.Equal(t, s3.Error{
					Op: "open", Object: "s3://" + bucket + "/some/archive/missing", Code: "AccessDenied", Status: 403,
					Message: "so says the test", Hint: refused.Hint, Request: "s3test-request",
				}, *refused)
			}
		})
	}
}

func wantTrouble(t *testing.T, err error, text string) {
	t.Helper()
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, fs.ErrExist)
	require.ErrorContains(t, err, text)
}

func otherRegion(status int, code string) s3test.Trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("X-Amz-Bucket-Region", "ap-south-9")
		s3test.Refuse(w, status, code, "elsewhere")
	}
}

// TestWrong_region is the real server's word.
func TestWrong_region(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t), func(c *s3.Config) { c.Region = "eu-elsewhere-1" })
	_, err := s.Open(t.Context(), "a")
	wantTrouble(t, err, "set the region")
}

// TestDeadlines: a server that accepts and says nothing holds nobody for long, whatever is asked.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	s := open(t, server.Endpoint, bucket, func(c *s3.Config) { c.Timeout, c.Attempts = 500*time.Millisecond, 2 })
	require.NoError(t, open(t, server.Endpoint, bucket).Create(t.Context(), "a", bytes.NewReader(noise(16<<20))))
	r, err := s.Open(t.Context(), "a")
	require.NoError(t, err)
	defer r.Close()
	server.Freeze(t)
	defer server.Thaw(t)
	began := time.Now()
	_, err = s.Open(t.Context(), "a")
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "that would look like the caller's own")
	_, err = s.List(t.Context())
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = s.Details(t.Context(), []string{"a"})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorIs(t, s.Remove(t.Context(), []string{"a"}), os.ErrDeadlineExceeded)
	require.ErrorIs(t, s.Create(t.Context(), "b", strings.NewReader("x")), os.ErrDeadlineExceeded)
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Less(t, time.Since(began), time.Minute)
}

// TestServer_killed_and_back: what was stored is there, and a store goes on where it was.
func TestServer_killed_and_back(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	s := open(t, server.Endpoint, server.Bucket(t), func(c *s3.Config) { c.Attempts = 1 })
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	server.Kill(t)
	wantTrouble(t, s.Create(t.Context(), "b", strings.NewReader("x")), "")
	_, err := s.Open(t.Context(), "b")
	wantTrouble(t, err, "")
	server.Restart(t)
	wantContent(t, s, "a", []byte("x"))
	require.NoError(t, s.Create(t.Context(), "b", strings.NewReader("x")))
}

// TestRead_goes_on_where_it_was_cut, again and again, as long as something comes.
func TestRead_goes_on_where_it_was_cut(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	content := noise(300_000)
	require.NoError(t, open(t, server.Endpoint, bucket).Create(t.Context(), "a", bytes.NewReader(content)))
	var requests atomic.Int32
	s := open(t, server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		requests.Add(1)
		next(&stingy{ResponseWriter: w, left: 100_000}, r)
	}), bucket, func(c *s3.Config) { c.Attempts = 2 })
	wantContent(t, s, "a", content)
	require.GreaterOrEqual(t, requests.Load(), int32(3))
}

// stingy cuts an answer after some bytes.
type stingy struct {
	http.ResponseWriter
	left int
}

func (s *stingy) Write(p []byte) (int, error) {
	if len(p) > s.left {
		_, _ = s.ResponseWriter.Write(p[:s.left]) // to whoever still listens
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		s3test.Cut(s)
	}
	s.left -= len(p)
	return s.ResponseWriter.Write(p)
}

// TestRead_of_an_object_that_was_replaced: two halves of different objects are never joined.
func TestRead_of_an_object_that_was_replaced(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	direct := open(t, server.Endpoint, bucket)
	for name, replace := range map[string]func(){
		"replaced": func() {
			_, err := server.Client(t).PutObject(t.Context(), bucket, "some/archive/a", bytes.NewReader(make([]byte, 300_000)), 300_000, minioDefaults)
			require.NoError(t, err)
		},
		"removed": func() { require.NoError(t, direct.Remove(t.Context(), []string{"a"})) },
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, direct.Remove(t.Context(), []string{"a"}))
			require.NoError(t, direct.Create(t.Context(), "a", bytes.NewReader(noise(300_000))))
			s := open(t, server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				if r.Header.Get("Range") != "" {
					replace()
				}
				next(&stingy{ResponseWriter: w, left: 100_000}, r)
			}), bucket)
			r, err := s.Open(t.Context(), "a")
			require.NoError(t, err)
			defer r.Close()
			got, err := io.ReadAll(r)
			wantTrouble(t, err, "read s3://")
			require.True(t, bytes.HasPrefix(noise(300_000), got))
		})
	}
}

// TestRemove_says_which: per object, and the others are removed.
func TestRemove_says_which(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	for name, trouble := range map[string]s3test.Trouble{
		"refused":  deleteAnswer("<DeleteResult><Deleted><Key>some/archive/a</Key></Deleted><Error><Key>some/archive/b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"),
		"untold":   deleteAnswer("<DeleteResult><Deleted><Key>some/archive/a</Key></Deleted></DeleteResult>"),
		"argument": deleteAnswer("<DeleteResult><Deleted><Key>some/archive/a</Key></Deleted><Error><Key>some/archive/b</Key><Code>InvalidArgument</Code></Error></DeleteResult>"),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, server.Proxy(t, trouble), bucket, func(c *s3.Config) { c.Attempts = 2 })
			err := s.Remove(t.Context(), []string{"a", "b"})
			wantTrouble(t, err, "/some/archive/b")
			require.NotContains(t, err.Error(), "/some/archive/a")
		})
	}
	// One that was not there need not be named.
	quiet := open(t, server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		if r.Method == http.MethodPost {
			deleteAnswer("<DeleteResult></DeleteResult>")(w, r, next)
			return
		}
		next(w, r)
	}), bucket, func(c *s3.Config) { c.Attempts = 1 })
	require.NoError(t, quiet.Remove(t.Context(), []string{"a", "b"}))

	// One that is busy is asked again, and only for what is left.
	calls := 0
	s := open(t, server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		calls++
		if calls == 1 {
			deleteAnswer("<DeleteResult><Deleted><Key>some/archive/a</Key></Deleted><Error><Key>some/archive/b</Key><Code>SlowDown</Code></Error></DeleteResult>")(w, r, next)
			return
		}
		require.NotContains(t, string(body), "archive/a")
		deleteAnswer("<DeleteResult><Deleted><Key>some/archive/b</Key></Deleted></DeleteResult>")(w, r, next)
	}), bucket)
	require.NoError(t, s.Remove(t.Context(), []string{"a", "b"}))
	require.Equal(t, 2, calls)
}

func deleteAnswer(xml string) s3test.Trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, xml)
	}
}

// TestTLS: only whom CAFile or the system trusts; and the bucket as a host name.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	front := server.TLSProxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { next(w, r) })
	s := open(t, front.URL, bucket, func(c *s3.Config) { c.Timeout = 30 * time.Second })
	began := time.Now()
	_, err := s.Open(t.Context(), "a")
	wantTrouble(t, err, "certificate")
	require.Less(t, time.Since(began), 20*time.Second, "that is not tried again")

	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	trusting := open(t, front.URL, bucket, func(c *s3.Config) { c.CAFile = ca })
	require.NoError(t, trusting.Create(t.Context(), "a", bytes.NewReader(noise(part+1))))
	wantContent(t, trusting, "a", noise(part+1))
}

// TestHeaders: what the configuration asks for is in the requests that it belongs to.
func TestHeaders(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600))
	type seen struct{ kind, sse, kms, customer, class string }
	for name, c := range map[string]struct {
		change func(*s3.Config)
		want   func(kind string) seen
	}{
		"nothing": {func(*s3.Config) {}, func(kind string) seen { return seen{kind: kind} }},
		"s3": {func(c *s3.Config) { c.Encryption = s3.EncryptS3 }, func(kind string) seen {
			return map[string]seen{"PUT": {kind, "AES256", "", "", ""}, "POST uploads": {kind, "AES256", "", "", ""}}[kind]
		}},
		"kms_and_class": {func(c *s3.Config) { c.Encryption, c.KMSKeyID, c.StorageClass = s3.EncryptKMS, "key-1", "STANDARD_IA" }, func(kind string) seen {
			return map[string]seen{"PUT": {kind, "aws:kms", "key-1", "", "STANDARD_IA"}, "POST uploads": {kind, "aws:kms", "key-1", "", "STANDARD_IA"}}[kind]
		}},
		"customer": {func(c *s3.Config) { c.Encryption, c.CustomerKeyFile = s3.EncryptCustomer, key }, func(kind string) seen {
			return seen{kind, "", "", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", ""}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := server.Bucket(t)
			var wrong atomic.Value
			kinds := make(chan string, 100)
			front := server.TLSProxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				kind := strings.TrimSpace(r.Method + " " + firstKey(r))
				got := seen{
					kind, r.Header.Get("X-Amz-Server-Side-Encryption"), r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"),
					r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key"), r.Header.Get("X-Amz-Storage-Class"),
				}
				want := c.want(kind)
				want.kind = kind
				if got != want && r.Method != http.MethodDelete {
					wrong.Store(fmt.Sprintf("got %+v, want %+v", got, want))
				}
				kinds <- kind
				for header := range r.Header { // the real server has no encryption
					if strings.HasPrefix(header, "X-Amz-Server-Side-Encryption") || header == "X-Amz-Storage-Class" {
						s3test.Refuse(w, http.StatusNotFound, "NoSuchKey", "")
						return
					}
				}
				next(w, r)
			})
			ca := filepath.Join(t.TempDir(), "ca.pem")
			require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
			s := open(t, front.URL, bucket, c.change, func(c *s3.Config) { c.CAFile = ca })
			_ = s.Create(t.Context(), "small", strings.NewReader("x"))         // which fails, as the request is not let through
			_ = s.Create(t.Context(), "large", bytes.NewReader(noise(part+1))) // the same
			_, err := s.Open(t.Context(), "missing")
			require.ErrorIs(t, err, fs.ErrNotExist)
			_, err = s.Details(t.Context(), []string{"missing"})
			require.NoError(t, err)
			require.Nil(t, wrong.Load())
			close(kinds)
			all := map[string]bool{}
			for kind := range kinds {
				all[kind] = true
			}
			for _, kind := range []string{"PUT", "POST uploads", "GET", "HEAD"} {
				require.True(t, all[kind], "no %s among %v", kind, all)
			}
		})
	}
}

// firstKey returns what of S3's operations on an object a request asks for.
func firstKey(r *http.Request) string {
	for _, key := range []string{"uploads", "partNumber", "uploadId"} {
		if r.URL.Query().Has(key) {
			return key
		}
	}
	return ""
}

// TestSecrets: whatever the server repeats in whatever way, no error and no String holds a secret.
func TestSecrets(t *testing.T) {
	server := s3test.Start(t)
	const sessionToken, customer = "s3test-marker-token+/=", "s3test-marker-customer-key-32byt"
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(key, []byte(customer), 0o600))
	customer64 := "czN0ZXN0LW1hcmtlci1jdXN0b21lci1rZXktMzJieXQ="
	echo := strings.Join([]string{s3test.SecretKey, sessionToken, "s3test-marker-token%2B%2F%3D", customer, customer64}, " ")
	troubles := map[string]s3test.Trouble{
		"message": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			s3test.Refuse(w, 403, "Denied", echo)
		},
		"code": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { s3test.Refuse(w, 403, echo, "no") },
		"request": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.Header().Set("X-Amz-Request-Id", echo)
			w.WriteHeader(http.StatusForbidden)
		},
		"region": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.Header().Set("X-Amz-Bucket-Region", echo)
			s3test.Refuse(w, 301, "PermanentRedirect", "")
		},
		"text": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			http.Error(w, echo, http.StatusInternalServerError)
		},
		"listing": deleteAnswer("<ListBucketResult><Contents><Key>" + echo + "</Key></Contents></ListBucketResult>"),
		"xml":     deleteAnswer("<" + echo + ">"),
		"redirect": func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			http.Redirect(w, r, "http://x/?"+strings.ReplaceAll(echo, " ", ""), http.StatusTemporaryRedirect)
		},
		"removal": deleteAnswer("<DeleteResult><Error><Key>some/archive/a</Key><Code>" + echo + "</Code><Message>" + echo + "</Message></Error></DeleteResult>"),
	}
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			front := server.TLSProxy(t, trouble)
			ca := filepath.Join(t.TempDir(), "ca.pem")
			require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
			s := open(t, front.URL, "bucket", func(c *s3.Config) {
				c.CAFile, c.Attempts, c.Encryption, c.CustomerKeyFile = ca, 1, s3.EncryptCustomer, key
			})
			t.Setenv("AWS_SESSION_TOKEN", sessionToken)
			errs := []error{
				s.Create(t.Context(), "a", strings.NewReader("x")), s.Create(t.Context(), "a", bytes.NewReader(noise(part+1))),
				s.Remove(t.Context(), []string{"a"}), s.Sweep(t.Context(), time.Now()),
			}
			_, err := s.Open(t.Context(), "a")
			errs = append(errs, err)
			_, err = s.List(t.Context())
			errs = append(errs, err)
			_, err = s.Details(t.Context(), []string{"a"})
			errs = append(errs, err)
			failed := 0
			for _, err := range errs {
				if err != nil {
					failed++
				}
				noSecret(t, fmt.Sprintf("%v %+v %#v", err, err, err))
				for ; err != nil; err = errors.Unwrap(err) {
					noSecret(t, err.Error())
				}
			}
			require.NotZero(t, failed)
			noSecret(t, s.String())
		})
	}
}

func noSecret(t *testing.T, text string) {
	t.Helper()
	for _, marker := range []string{"marker", "czN0ZXN0"} {
		require.NotContains(t, text, marker)
	}
}

// TestDetails_of_an_object_that_appears: a HEAD finds nothing and the GET that asks whose answer that was finds the object. It is there.
func TestDetails_of_an_object_that_appears(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	direct := open(t, server.Endpoint, bucket)
	s := open(t, server.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
		next(w, r)
		if r.Method == http.MethodHead {
			require.NoError(t, direct.Create(t.Context(), "a", strings.NewReader("content")))
		}
	}), bucket)
	got, err := s.Details(t.Context(), []string{"a"})
	require.NoError(t, err)
	want, err := direct.Details(t.Context(), []string{"a"})
	require.NoError(t, err)
	require.EqualValues(t, 7, got[0].Size)
	require.True(t, want[0].Modified.Equal(got[0].Modified), "%v, want %v", got[0].Modified, want[0].Modified)
}
