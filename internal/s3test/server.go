// Package s3test runs a real S3 server for tests, versitygw with its files in a temporary folder, and puts trouble in front of it.
package s3test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/understudy-ha/understudy/internal/localpg"
)

// What a server of this package takes, whatever it runs on.
const (
	AccessKey = "s3test-access-key"
	SecretKey = "s3test-marker-secret" // of a form that no message can hold by chance
	Region    = "eu-test-1"
)

// patience is how long a server may take to answer for the first time.
const patience = 30 * time.Second

// Server is a running S3 server on a loopback port. It ends with the test.
type Server struct {
	Endpoint string // "http://127.0.0.1:PORT", the same after a restart
	program  string
	port     int
	folder   string
	output   bytes.Buffer
	cmd      *exec.Cmd
	exited   <-chan struct{}
}

// Start starts a server. Without the program, the test is skipped, or fails if CI is set; "scripts/setup test" installs it.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{program: Program(t), folder: t.TempDir()}
	for range 5 { // another process may take the port before the server does
		s.port = freePort(t)
		s.Endpoint = "http://" + s.address()
		if s.run(t) {
			t.Cleanup(s.stop)
			return s
		}
	}
	t.Fatalf("versitygw does not start:\n%s", s.output.String())
	return nil
}

// Program returns the path of versitygw: from PATH, or from where scripts/stores puts it.
func Program(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path
	}
	const below = "understudy/bin/versitygw"
	places := []string{filepath.Join("/var/cache", below)}
	if cache, err := os.UserCacheDir(); err == nil {
		places = append(places, filepath.Join(cache, below))
	}
	for _, path := range places {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	localpg.Missing(t, fmt.Sprintf("no versitygw (an S3 server) on PATH or at %q; scripts/stores builds it", places))
	return ""
}

// Bucket makes a new, empty bucket and returns its name.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", time.Now().UnixNano())
	if err := s.Client(t).MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatalf("make a bucket: %v", err)
	}
	return name
}

// Client returns a plain client, to look at what a store did, or to do it some damage.
func (s *Server) Client(t testing.TB) *minio.Client {
	t.Helper()
	c, err := minio.New(s.address(), &minio.Options{
		Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Environment sets the variables in which the server's keys are looked for.
func Environment[Result any](set func(name, value string) Result) {
	set("AWS_ACCESS_KEY_ID", AccessKey)
	set("AWS_SECRET_ACCESS_KEY", SecretKey)
	set("AWS_SESSION_TOKEN", "")
}

// Kill ends the server at once, as a power cut does. Its objects stay.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.stop()
}

// Restart starts the server again on its port after Kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if !s.run(t) {
		t.Fatalf("versitygw does not start again:\n%s", s.output.String())
	}
}

// Freeze stops the server without ending it, so that connections are accepted and nobody answers, until Thaw.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	for deadline := time.Now().Add(patience); s.healthy(); {
		if time.Now().After(deadline) {
			t.Fatal("versitygw does not stop")
		}
	}
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// run starts the program and waits until it answers or has ended.
func (s *Server) run(t testing.TB) bool {
	t.Helper()
	s.output.Reset()
	cmd := exec.Command(s.program, "--port", s.address(), "--region", Region, "--keep-alive", "--quiet", "--health", "/health", "posix", s.folder) //nolint:noctx // stop ends it
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	exited, err := localpg.Launch(cmd)
	if err != nil {
		t.Fatalf("start versitygw: %v", err)
	}
	s.cmd, s.exited = cmd, exited
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-exited:
			return false
		case <-time.After(10 * time.Millisecond):
			if s.healthy() {
				return true
			}
		}
	}
	s.stop()
	return false
}

// healthy reports whether this server, and not another program on its port, answers.
func (s *Server) healthy() bool {
	conn, err := net.DialTimeout("tcp", s.address(), time.Second) //nolint:noctx // bounded
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // a connection that is gone fails below
	fmt.Fprintf(conn, "GET /health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", s.address())
	answer := make([]byte, len("HTTP/1.1 200"))
	_, err = conn.Read(answer)
	return err == nil && bytes.HasSuffix(answer, []byte("200"))
}

func (s *Server) stop() {
	_ = s.cmd.Process.Kill() // one that has ended is just as well
	<-s.exited
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends at once
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
