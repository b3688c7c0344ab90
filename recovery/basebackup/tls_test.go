package basebackup_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/pgserver"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
	"github.com/understudy-ha/understudy/recovery/basebackup"
)

// certificate returns a certificate for 127.0.0.1 that signs itself, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// Both connections are encrypted, and so is the cancel request.
func TestRun_TLS(t *testing.T) {
	w := pgserver.New(t, withTool(t, "pg_basebackup")) // a build with OpenSSL
	s := w.Initdb("primary")
	cert, key := certificate(t)
	s.Write("cert.pem", cert)
	s.Write("key.pem", key)
	give(t, w, filepath.Join(s.Data, "cert.pem"), filepath.Join(s.Data, "key.pem"))
	s.Write("pg_hba.conf", "local all all trust\nhostssl replication rep 127.0.0.1/32 scram-sha-256\n")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())
	s.Port = port
	s.Up("-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-c", "ssl_cert_file=cert.pem", "-c", "ssl_key_file=key.pem")
	s.Exec("set password_encryption = 'scram-sha-256'; create role rep login replication password 'se cret'")

	passfile := filepath.Join(w.Dir, "passfile")
	require.NoError(t, os.WriteFile(passfile, []byte(fmt.Sprintf("127.0.0.1:%d:replication:rep:se cret\n", port)), 0o600))
	from, err := conninfo.Parse(fmt.Sprintf("host=127.0.0.1 port=%d user=rep passfile=%s sslmode=verify-full sslrootcert=%s",
		port, passfile, filepath.Join(s.Data, "cert.pem")))
	require.NoError(t, err)
	target := filepath.Join(w.Dir, "copy")
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	var encrypted string
	_, err = basebackup.Run(ctx, from, basebackup.Options{Target: target, MaxRate: slow, Progress: during(basebackup.Copying, func() {
		encrypted = s.Ask("select string_agg(distinct ssl::text, ',') from pg_stat_ssl natural join pg_stat_replication")
		cancel(cause)
	})})
	require.ErrorIs(t, err, cause)
	require.Equal(t, "true", encrypted)
	wantNothingLeft(t, s, target)
	_, err = basebackup.Run(t.Context(), from, basebackup.Options{Target: target})
	require.NoError(t, err)
	_, err = basebackup.Run(t.Context(), from.With("sslmode", "disable"), basebackup.Options{Target: target + "2"})
	require.ErrorIs(t, err, basebackup.ErrNoAccess)
}
