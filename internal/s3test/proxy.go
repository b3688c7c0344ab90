package s3test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"
)

// Trouble answers a request, or hands it on to the real server with next, or both, or neither.
type Trouble func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc)

// Proxy puts trouble in front of the server and returns the endpoint of that.
func (s *Server) Proxy(t testing.TB, trouble Trouble) string {
	t.Helper()
	front := httptest.NewServer(s.handler(t, trouble))
	t.Cleanup(front.Close)
	return front.URL
}

// TLSProxy is Proxy over https. The certificate is for 127.0.0.1, *.example.com and by nobody that a system trusts.
func (s *Server) TLSProxy(t testing.TB, trouble Trouble) *httptest.Server {
	t.Helper()
	front := httptest.NewUnstartedServer(s.handler(t, trouble))
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	return front
}

func (s *Server) handler(t testing.TB, trouble Trouble) http.Handler {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is part of what the client has signed
		},
		Transport: &http.Transport{DisableKeepAlives: true}, // a request that was cut short would spoil the next one
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { trouble(w, r, proxy.ServeHTTP) })
}

// Refuse answers as an S3 server does that refuses.
func Refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", "s3test-request")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
}

// Unconditional takes the condition out of a request to create, as a server does that does not know it, and signs it anew.
func Unconditional(r *http.Request) {
	if r.Header.Get("If-None-Match") != "" {
		r.Header.Del("If-None-Match")
		r.Header.Del("Authorization")
		signed := signer.SignV4(*r, AccessKey, SecretKey, "", Region)
		r.Header = signed.Header
	}
}

// Cut ends the connection without an answer.
func Cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// LoseAnswer has the server do what was asked, and ends the connection without telling.
func LoseAnswer(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	next(httptest.NewRecorder(), r)
	Cut(w)
}
