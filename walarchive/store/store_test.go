package store_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/s3test"
	"github.com/understudy-ha/understudy/internal/sshtest"
	"github.com/understudy-ha/understudy/walarchive/store"
)

func Example() {
	dir, err := os.MkdirTemp("", "archive-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := store.Open(ctx, "file://"+dir, store.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println(s.Create(ctx, "00000002.history", strings.NewReader("1\t0/3000000\tno recovery target specified\n")))

	_, err = store.Open(ctx, "s3://AKIAEXAMPLE:wJalrXUtnFEMI@bucket/main", store.Options{})
	fmt.Println(err)
	// Output:
	// <nil>
	// archive URL: there is a user or key before the bucket: keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or credentials_file=FILE; passwords and keys do not belong into a URL, which is in process lists and messages
}

func TestOpen_directory(t *testing.T) {
	dir := t.TempDir()
	for _, raw := range []string{dir, "file://" + dir} {
		s, err := store.Open(t.Context(), raw, store.Options{})
		require.NoError(t, err)
		require.Equal(t, dir, s.String())
		require.NoError(t, s.Close())
	}
	s, err := store.Open(t.Context(), filepath.Join(dir, "missing"), store.Options{})
	require.Error(t, err)
	require.Nil(t, s)
}

func TestOpen_sftp(t *testing.T) {
	server := sshtest.Start(t)
	dir := t.TempDir()
	at := fmt.Sprintf("sftp://%s@%s:%d", server.User, sshtest.Host, server.Port)
	keys := "?known_hosts=" + server.KnownHosts + "&key=" + server.KeyFile + "&agent=none"
	s, err := store.Open(t.Context(), at+dir+keys, store.Options{Timeout: 20 * time.Second})
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, at+dir, s.String())
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	require.FileExists(t, filepath.Join(dir, "a"))

	s, err = store.Open(t.Context(), at+dir+"/missing"+keys, store.Options{})
	require.Error(t, err)
	require.Nil(t, s)
}

func TestOpen_s3(t *testing.T) {
	server := s3test.Start(t)
	s3test.Environment(func(name, value string) struct{} { t.Setenv(name, value); return struct{}{} })
	bucket := server.Bucket(t)
	raw := "s3://" + bucket + "/main?endpoint=" + server.Endpoint + "&region=" + s3test.Region
	s, err := store.Open(t.Context(), raw, store.Options{Timeout: 20 * time.Second})
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, raw, s.String())
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	r, err := s.Open(t.Context(), "a")
	require.NoError(t, err)
	defer r.Close()
	content, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "x", string(content))

	for _, raw := range []string{
		"s3://B/main?region=x", "s3://bucket/a//b?region=x", "s3://bucket/a?region=x&endpoint=https://u%3Amarker%40h", "s3://bucket/?region=x&endpoint=ftp://h",
		"s3://bucket/a?sse=customer&region=x", "s3://bucket/a?region=x&ca_file=/nonexistent",
	} {
		s, err := store.Open(t.Context(), raw, store.Options{})
		require.Error(t, err, raw)
		require.Nil(t, s, raw)
		require.NotContains(t, err.Error(), "marker")
	}
}
