package s3_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/s3test"
	"github.com/understudy-ha/understudy/walarchive/store/s3"
)

func ExampleOpen() {
	store, err := s3.Open(s3.Config{Bucket: "wal-archive", Prefix: "main", Region: "eu-central-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store)

	_, err = s3.Open(s3.Config{Bucket: "wal-archive", Endpoint: "minio.example.com"})
	fmt.Println(err)
	// Output:
	// s3://wal-archive/main?region=eu-central-1
	// s3: Endpoint must be a URL such as https://minio.example.com:9000
}

func TestOpen_refuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("neither a key nor a certificate: marker"), 0o600))
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	good := s3.Config{Bucket: "bucket", Region: "eu-1", Endpoint: "https://h:1"}
	_, err := s3.Open(good)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(c *s3.Config)
		want   string
	}{
		"no_bucket":               {func(c *s3.Config) { c.Bucket = "" }, "Bucket is empty"},
		"bucket_upper_case":       {func(c *s3.Config) { c.Bucket = "Bucket" }, "Bucket"},
		"bucket_short":            {func(c *s3.Config) { c.Bucket = "ab" }, "Bucket"},
		"bucket_long":             {func(c *s3.Config) { c.Bucket = strings.Repeat("a", 64) }, "Bucket"},
		"bucket_dots":             {func(c *s3.Config) { c.Bucket = "a..b" }, "Bucket"},
		"bucket_ends_with_hyphen": {func(c *s3.Config) { c.Bucket = "abc-" }, "Bucket"},
		"bucket_slash":            {func(c *s3.Config) { c.Bucket = "a/bc" }, "Bucket"},
		"prefix_slash_first":      {func(c *s3.Config) { c.Prefix = "/a" }, "Prefix"},
		"prefix_slash_last":       {func(c *s3.Config) { c.Prefix = "a/" }, "Prefix"},
		"prefix_slashes":          {func(c *s3.Config) { c.Prefix = "a//b" }, "Prefix"},
		"prefix_dots":             {func(c *s3.Config) { c.Prefix = "a/../b" }, "Prefix"},
		"prefix_control":          {func(c *s3.Config) { c.Prefix = "a\nb" }, "Prefix"},
		"endpoint_no_scheme":      {func(c *s3.Config) { c.Endpoint = "h:1" }, "Endpoint must be a URL"},
		"endpoint_other_scheme":   {func(c *s3.Config) { c.Endpoint = "ftp://h" }, "Endpoint must be a URL"},
		"endpoint_malformed":      {func(c *s3.Config) { c.Endpoint = "https://marker:marker" }, "Endpoint must be a URL"},
		"endpoint_password":       {func(c *s3.Config) { c.Endpoint = "https://u:marker@h" }, "Endpoint must not hold a user"},
		"endpoint_path":           {func(c *s3.Config) { c.Endpoint = "https://h/bucket" }, "without a path"},
		"endpoint_query":          {func(c *s3.Config) { c.Endpoint = "https://h?x=marker" }, "without a path"},
		"aws_without_region":      {func(c *s3.Config) { c.Region, c.Endpoint = "", "" }, "AWS_REGION"},
		"timeout":                 {func(c *s3.Config) { c.Timeout = -1 }, "negative"},
		"attempts":                {func(c *s3.Config) { c.Attempts = -1 }, "negative"},
		"kms_key_without_kms":     {func(c *s3.Config) { c.KMSKeyID = "x" }, "EncryptKMS"},
		"customer_without_key":    {func(c *s3.Config) { c.Encryption = s3.EncryptCustomer }, "belong together"},
		"key_without_customer":    {func(c *s3.Config) { c.CustomerKeyFile = file }, "belong together"},
		"customer_over_http":      {func(c *s3.Config) { c.Encryption, c.CustomerKeyFile, c.Endpoint = s3.EncryptCustomer, file, "http://h" }, "https"},
		"customer_key_bad":        {func(c *s3.Config) { c.Encryption, c.CustomerKeyFile = s3.EncryptCustomer, file }, "neither 32 bytes"},
		"customer_key_missing":    {func(c *s3.Config) { c.Encryption, c.CustomerKeyFile = s3.EncryptCustomer, file+"x" }, "no such file"},
		"ca_bad":                  {func(c *s3.Config) { c.CAFile = file }, "no certificate"},
		"ca_missing":              {func(c *s3.Config) { c.CAFile = file + "x" }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			c.change(&config)
			s, err := s3.Open(config)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "marker")
			require.Nil(t, s)
		})
	}
}

func TestRegion(t *testing.T) {
	for _, c := range []struct{ name, config, first, second, endpoint, want string }{
		{"config", "a-1", "b-1", "c-1", "", "s3://bucket?region=a-1"},
		{"aws_region", "", "b-1", "c-1", "", "s3://bucket?region=b-1"},
		{"aws_default_region", "", "", "c-1", "", "s3://bucket?region=c-1"},
		{"another_server", "", "", "", "https://h:1", "s3://bucket?endpoint=https://h:1&region=us-east-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("AWS_REGION", c.first)
			t.Setenv("AWS_DEFAULT_REGION", c.second)
			s, err := s3.Open(s3.Config{Bucket: "bucket", Region: c.config, Endpoint: c.endpoint})
			require.NoError(t, err)
			require.Equal(t, c.want, s.String())
		})
	}
}

func credentialsFile(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func section(name, key, secret string) string {
	return fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, key, secret)
}

// TestKeys: where they are looked for, and in which order.
func TestKeys(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t)
	right, wrong := section("default", s3test.AccessKey, s3test.SecretKey), section("default", s3test.AccessKey, "marker")
	named := wrong + section("archive", s3test.AccessKey, s3test.SecretKey)
	for name, c := range map[string]struct {
		env     map[string]string // of AWS_ACCESS_KEY_ID and others; "" for all that are not named
		content string            // of a file at FILE
		config  s3.Config
		want    string // of the error; "" for none
	}{
		"environment":                 {map[string]string{"ACCESS_KEY_ID": s3test.AccessKey, "SECRET_ACCESS_KEY": s3test.SecretKey}, "", s3.Config{}, ""},
		"environment_before_shared":   {map[string]string{"ACCESS_KEY_ID": s3test.AccessKey, "SECRET_ACCESS_KEY": s3test.SecretKey, "SHARED_CREDENTIALS_FILE": "FILE"}, wrong, s3.Config{}, ""},
		"shared_file":                 {map[string]string{"SHARED_CREDENTIALS_FILE": "FILE"}, right, s3.Config{}, ""},
		"shared_file_and_aws_profile": {map[string]string{"SHARED_CREDENTIALS_FILE": "FILE", "PROFILE": "archive"}, named, s3.Config{}, ""},
		"file":                        {nil, right, s3.Config{CredentialsFile: "FILE"}, ""},
		"file_before_environment":     {map[string]string{"ACCESS_KEY_ID": s3test.AccessKey, "SECRET_ACCESS_KEY": "marker"}, right, s3.Config{CredentialsFile: "FILE"}, ""},
		"profile_of_file":             {nil, named, s3.Config{CredentialsFile: "FILE", Profile: "archive"}, ""},
		"profile_before_environment":  {map[string]string{"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "marker", "SHARED_CREDENTIALS_FILE": "FILE"}, named, s3.Config{Profile: "archive"}, ""},
		"nothing":                     {nil, "", s3.Config{}, "set AWS_ACCESS_KEY_ID"},
		"half":                        {map[string]string{"SECRET_ACCESS_KEY": "marker"}, "", s3.Config{}, "only one of"},
		"other_half":                  {map[string]string{"ACCESS_KEY_ID": "marker"}, "", s3.Config{}, "only one of"},
		"no_file":                     {nil, "", s3.Config{CredentialsFile: "/nonexistent/file"}, "/nonexistent/file"},
		"no_profile":                  {nil, right, s3.Config{CredentialsFile: "FILE", Profile: "other"}, `profile "other"`},
		"file_of_another_form":        {nil, "marker-secret\nmarker: x\n[marker", s3.Config{CredentialsFile: "FILE"}, "gives none"},
		"half_a_file":                 {nil, "[default]\naws_secret_access_key = marker\n", s3.Config{CredentialsFile: "FILE"}, "gives none"},
		"empty_file":                  {nil, "", s3.Config{CredentialsFile: "FILE"}, "gives none"},
		"wrong_secret":                {nil, wrong, s3.Config{CredentialsFile: "FILE"}, "does not accept these keys"},
		"wrong_key":                   {nil, section("default", "nobody", "marker"), s3.Config{CredentialsFile: "FILE"}, "does not accept these keys"},
	} {
		t.Run(name, func(t *testing.T) {
			file := credentialsFile(t, filepath.Join(t.TempDir(), "file"), c.content)
			t.Setenv("HOME", t.TempDir())
			t.Setenv("AWS_CONFIG_FILE", "/nonexistent/config")
			for _, variable := range []string{"ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "SHARED_CREDENTIALS_FILE"} {
				t.Setenv("AWS_"+variable, strings.ReplaceAll(c.env[variable], "FILE", file))
			}
			config := c.config
			if config.CredentialsFile == "FILE" {
				config.CredentialsFile = file
			}
			config.Bucket, config.Endpoint, config.Region = bucket, server.Endpoint, s3test.Region
			s, err := s3.Open(config)
			require.NoError(t, err)
			defer s.Close()
			_, err = s.Open(t.Context(), "missing")
			if c.want == "" {
				require.ErrorIs(t, err, fs.ErrNotExist)
				return
			}
			wantTrouble(t, err, c.want)
			require.NotContains(t, err.Error(), "marker")
		})
	}
}

// TestKeys_that_were_exchanged: a store that lives for long finds the new ones.
func TestKeys_that_were_exchanged(t *testing.T) {
	server := s3test.Start(t)
	file := credentialsFile(t, filepath.Join(t.TempDir(), "file"), section("default", "expired-key", "x"))
	s, err := s3.Open(s3.Config{Bucket: server.Bucket(t), Endpoint: server.Endpoint, Region: s3test.Region, CredentialsFile: file})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.List(t.Context())
	wantTrouble(t, err, "does not accept these keys")
	credentialsFile(t, file, section("default", s3test.AccessKey, s3test.SecretKey))
	require.NoError(t, s.Create(t.Context(), "a", strings.NewReader("x")))
	_, err = s.Open(t.Context(), "a")
	require.NoError(t, err)
}
