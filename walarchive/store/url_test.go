package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/store/s3"
	"github.com/understudy-ha/understudy/walarchive/store/sftp"
)

var good = []struct {
	name, raw string
	want      place
}{
	{"path", "/mnt/backup/archive", place{dir: "/mnt/backup/archive"}},
	{"path_with_anything", "/mnt/a@b:c?d#e%20f g", place{dir: "/mnt/a@b:c?d#e%20f g"}},
	{"file", "file:///mnt/archive", place{dir: "/mnt/archive"}},
	{"file_escaped", "FILE:///mnt/a%20b@c", place{dir: "/mnt/a b@c"}},
	{"sftp", "sftp://backup.example.com/srv/wal", place{sftp: &sftp.Config{Host: "backup.example.com", Path: "/srv/wal"}}},
	{"sftp_home", "sftp://archive@host/~/wal", place{sftp: &sftp.Config{Host: "host", User: "archive", Path: "wal"}}},
	{"sftp_ipv6", "sftp://[2001:db8::1]:2222/wal", place{sftp: &sftp.Config{Host: "2001:db8::1", Port: 2222, Path: "/wal"}}},
	{
		"sftp_everything", "sftp://a%40b@host:22/x%20y?known_hosts=/k1&known_hosts=/k2&key=/i1&key=/i2&passphrase_file=/p&agent=/a.sock&unsynced=true&mode=0640",
		place{sftp: &sftp.Config{
			Host: "host", Port: 22, User: "a@b", Path: "/x y", KnownHosts: []string{"/k1", "/k2"}, KeyFiles: []string{"/i1", "/i2"},
			PassphraseFile: "/p", Agent: "/a.sock", Unsynced: true, Mode: 0o640,
		}},
	},
	{
		"sftp_host_key", "sftp://h/w?host_key=SHA256:abc%2B/d&passphrase_env=X&unsynced=false&agent=none",
		place{sftp: &sftp.Config{Host: "h", Path: "/w", HostKey: "SHA256:abc+/d", PassphraseEnv: "X", Agent: "none"}},
	},
	{"s3", "s3://bucket", place{s3: &s3.Config{Bucket: "bucket"}}},
	{"s3_prefix", "s3://bucket/a/b/", place{s3: &s3.Config{Bucket: "bucket", Prefix: "a/b"}}},
	{
		"s3_everything", "s3://bucket/p?region=eu-central-1&endpoint=https://h:9000/&path_style=true&ca_file=/ca&credentials_file=/c&profile=x" +
			"&sse=kms&sse_kms_key_id=arn:aws:kms:1&storage_class=STANDARD_IA&create=check",
		place{s3: &s3.Config{
			Bucket: "bucket", Prefix: "p", Region: "eu-central-1", Endpoint: "https://h:9000", Addressing: s3.AddressPath, CAFile: "/ca",
			CredentialsFile: "/c", Profile: "x", Encryption: s3.EncryptKMS, KMSKeyID: "arn:aws:kms:1", StorageClass: "STANDARD_IA", CheckThenCreate: true,
		}},
	},
	{
		"s3_customer_key", "s3://bucket/p?sse=customer&sse_customer_key_file=/k&path_style=false",
		place{s3: &s3.Config{
			Bucket: "bucket", Prefix: "p", Encryption: s3.EncryptCustomer, CustomerKeyFile: "/k", Addressing: s3.AddressVirtualHost,
		}},
	},
	{"s3_sse", "s3://bucket/p?sse=s3", place{s3: &s3.Config{Bucket: "bucket", Prefix: "p", Encryption: s3.EncryptS3}}},
}

var bad = []struct{ name, raw, want string }{
	{"empty", "", "sftp://USER@HOST/PATH"},
	{"relative", "archive/x", "absolute path"},
	{"scp", "user@host:/path", "sftp://USER@HOST/PATH"},
	{"no_slashes", "s3:bucket", "s3://BUCKET/PREFIX"},
	{"one_slash", "file:/mnt", "file:///PATH"},
	{"nul", "/a\x00b", "absolute path"},
	{"other_scheme", "https://bucket.s3.amazonaws.com/x", "s3://BUCKET/PREFIX"},
	{"no_scheme", "://x", "malformed"},
	{"bad_escape", "s3://bucket/%zz", "malformed"},
	{"control", "s3://bucket/a\nb", "malformed"},
	{"file_host", "file://mnt/archive", "three slashes"},
	{"file_user", "file://u:marker@/mnt/archive", "three slashes"},
	{"file_relative", "file://", "absolute path"},
	{"file_nul", "file:///a%00", "absolute path"},
	{"file_parameter", "file:///a?region=x", "the parameter region is unknown"},
	{"fragment", "s3://bucket/a#b", "%23"},
	{"empty_fragment", "s3://bucket/a#", "%23"},
	{"query", "s3://bucket/a?%zz", "malformed"},
	{"semicolon", "s3://bucket/a?region=x;y=z", "malformed"},
	{"sftp_password", "sftp://u:marker@h/p", "key=FILE"},
	{"sftp_empty_password", "sftp://u:@h/p", "key=FILE"},
	{"sftp_escaped_password", "sftp://u%3Amarker@h/p", "key=FILE"},
	{"sftp_password_with_slash", "sftp://u:12/marker@h/p", "%40"},
	{"sftp_password_with_question_mark", "sftp://u:12?marker@h/p", "%40"},
	{"sftp_password_with_hash", "sftp://u:12#marker@h/p", "%40"},
	{"sftp_port", "sftp://h:0/p", "port"},
	{"sftp_port_large", "sftp://h:65536/p", "port"},
	{"sftp_port_no_number", "sftp://h:marker/p", "malformed"},
	{"sftp_no_host", "sftp:///p", "no host"},
	{"sftp_no_path", "sftp://h", "no directory"},
	{"sftp_root", "sftp://h//", "no directory"},
	{"sftp_home_itself", "sftp://h/~/", "no directory"},
	{"sftp_nul", "sftp://h/a%00", "no directory"},
	{"sftp_passphrase", "sftp://h/p?passphrase=marker", "looks like a secret"},
	{"sftp_relative_file", "sftp://h/p?key=id", "key needs an absolute path"},
	{"sftp_relative_known_hosts", "sftp://h/p?known_hosts=/a&known_hosts=b", "known_hosts needs an absolute path"},
	{"sftp_mode", "sftp://h/p?mode=9", "octal"},
	{"sftp_mode_large", "sftp://h/p?mode=1777", "octal"},
	{"sftp_unsynced", "sftp://h/p?unsynced=yes", "unsynced can be true, false"},
	{"s3_key", "s3://AKIA:marker@bucket/p", "AWS_SECRET_ACCESS_KEY"},
	{"s3_user", "s3://marker@bucket/p", "AWS_SECRET_ACCESS_KEY"},
	{"s3_secret", "s3://bucket/p?secret_key=marker", "looks like a secret"},
	{"s3_token", "s3://bucket/p?session_token=marker", "looks like a secret"},
	{"s3_secret_as_name", "s3://bucket/p?MARKERmarker", "unknown parameter"},
	{"s3_key_at_end", "s3://bucket/p?endpoint=https://u:marker@h", "%40"},
	{"s3_no_bucket", "s3:///p", "no bucket"},
	{"s3_port", "s3://h:9000/p", "endpoint=https://HOST:PORT"},
	{"s3_unknown", "s3://bucket/p?regoin=x", "the parameter regoin is unknown"},
	{"s3_twice", "s3://bucket/p?region=a&region=b", "region stands there more than once"},
	{"s3_empty", "s3://bucket/p?region=", "region is empty"},
	{"s3_sse", "s3://bucket/p?sse=aes", "sse can be s3, kms, customer"},
	{"s3_create", "s3://bucket/p?create=yes", "create can be check"},
	{"s3_path_style", "s3://bucket/p?path_style=1", "path_style can be true, false"},
	{"s3_relative_file", "s3://bucket/p?ca_file=ca.pem", "ca_file needs an absolute path"},
}

func TestParse(t *testing.T) {
	for _, c := range good {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.raw)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestParse_refuses(t *testing.T) {
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.raw)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, strings.ToLower(err.Error()), "marker")
			require.Zero(t, got)
		})
	}
}

// FuzzNoSecret: nothing panics, and whatever stands where a password does, or is given as one, is refused and not repeated.
func FuzzNoSecret(f *testing.F) {
	for _, c := range good {
		f.Add(c.raw, "correct horse")
	}
	for _, c := range bad {
		f.Add(c.raw, "battery/staple")
	}
	for _, secret := range []string{"12/abcdefgh", "12?abcdefgh", "12#abcdefgh", "%zzabcdefgh", "a@bcdefghij", "://abcdefgh", "abcdefgh&region=x", "[::1abcdefgh", "\x00abcdefgh"} {
		f.Add("s3://bucket", secret)
	}
	f.Fuzz(func(t *testing.T, raw, secret string) {
		_, _ = parse(raw) // it must not panic
		if len(secret) < 8 {
			return
		}
		for _, raw := range []string{
			"sftp://user:" + secret + "@host/path", "s3://key:" + secret + "@bucket/prefix", "s3://bucket/prefix?secret_access_key=" + secret,
			"sftp://host/path?password=" + secret, "file://u:" + secret + "@/path", "ftp://u:" + secret + "@h/",
		} {
			_, err := parse(raw)
			if err == nil {
				t.Fatalf("%q is taken", raw)
			}
			// Our own words are no secret.
			if own := strings.Contains(ownWords, secret); !own && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the message repeats the secret: %v", raw, err)
			}
		}
	})
}

// ownWords are all messages that a secret could be a part of by chance.
var ownWords = func() string {
	var all strings.Builder
	for _, c := range bad {
		_, err := parse(c.raw)
		all.WriteString(err.Error() + "\n")
	}
	return all.String()
}()
