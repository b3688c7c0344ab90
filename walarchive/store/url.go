package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/walarchive/store/s3"
	"github.com/understudy-ha/understudy/walarchive/store/sftp"
)

// place is a parsed URL: one of the three.
type place struct {
	dir  string
	sftp *sftp.Config
	s3   *s3.Config
}

// What to write instead. No message of this file repeats the URL: it may hold a password at the wrong place.
var (
	errForms = errors.New("archive: write an absolute path, file:///PATH, sftp://USER@HOST/PATH or s3://BUCKET/PREFIX?region=REGION")
	errAt    = errors.New("archive URL: an @ after the host must be written as %40; " + noSecrets)
)

const noSecrets = "passwords and keys do not belong into a URL, which is in process lists and messages"

// parse reads a URL or an absolute path.
func parse(raw string) (place, error) {
	scheme, rest, isURL := strings.Cut(raw, "://")
	if !isURL {
		return parsePath(raw)
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 && !strings.EqualFold(scheme, "file") && strings.Contains(rest[end:], "@") {
		return place{}, errAt // perhaps the end of a password with a slash in it
	}
	u, err := url.Parse(raw)
	if err != nil {
		return place{}, errors.New("archive URL: it is malformed: write %XX for special characters; " + noSecrets)
	}
	if u.Fragment != "" || strings.Contains(raw, "#") {
		return place{}, errors.New("archive URL: a # must be written as %23")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return place{}, errors.New("archive URL: what follows the ? is malformed: write NAME=VALUE&NAME=VALUE, and %XX for special characters")
	}
	params := &parameters{values: query, known: map[string]bool{}}
	var p place
	switch u.Scheme {
	case "file":
		p, err = parseFile(u)
	case "sftp":
		p, err = parseSFTP(u, params)
	case "s3":
		p, err = parseS3(u, params)
	default:
		return place{}, errForms
	}
	if err := errors.Join(err, params.finish()); err != nil {
		return place{}, fmt.Errorf("archive URL: %w", err)
	}
	return p, nil
}

func parsePath(raw string) (place, error) {
	if !path.IsAbs(raw) || strings.ContainsRune(raw, 0) {
		return place{}, errForms
	}
	return place{dir: raw}, nil
}

func parseFile(u *url.URL) (place, error) {
	switch {
	case u.Host != "" || u.User != nil:
		return place{}, errors.New("file: takes no host: write file:///PATH, with three slashes")
	case !path.IsAbs(u.Path) || strings.ContainsRune(u.Path, 0):
		return place{}, errors.New("file: needs an absolute path: write file:///PATH")
	}
	return place{dir: u.Path}, nil
}

func parseSFTP(u *url.URL, q *parameters) (place, error) {
	user := u.User.Username()
	if _, secret := u.User.Password(); secret || strings.Contains(user, ":") {
		return place{}, errors.New("there is a password: log in with a key (key=FILE, or an ssh-agent); " + noSecrets)
	}
	c := &sftp.Config{
		Host: u.Hostname(), User: user, Path: u.Path,
		KnownHosts: q.files("known_hosts"), HostKey: q.text("host_key"), KeyFiles: q.files("key"),
		PassphraseFile: q.file("passphrase_file"), PassphraseEnv: q.text("passphrase_env"), Agent: q.text("agent"),
		Unsynced: q.choice("unsynced", "true", "false") == "true",
	}
	if home, ok := strings.CutPrefix(c.Path, "/~/"); ok {
		c.Path = home
	}
	if mode := q.text("mode"); mode != "" {
		n, err := strconv.ParseUint(mode, 8, 9)
		if err != nil || n == 0 {
			return place{}, errors.New("mode is an octal number such as 0640")
		}
		c.Mode = fs.FileMode(n)
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return place{}, errors.New("the port is a number from 1 to 65535")
		}
		c.Port = int(n)
	}
	switch {
	case c.Host == "":
		return place{}, errors.New("no host: write sftp://USER@HOST/PATH")
	case strings.Trim(c.Path, "/") == "" || strings.ContainsRune(c.Path, 0):
		return place{}, errors.New("no directory: write sftp://USER@HOST/PATH")
	}
	return place{sftp: c}, nil
}

func parseS3(u *url.URL, q *parameters) (place, error) {
	switch {
	case u.User != nil:
		return place{}, errors.New("there is a user or key before the bucket: keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
			"or credentials_file=FILE; " + noSecrets)
	case u.Host == "":
		return place{}, errors.New("no bucket: write s3://BUCKET/PREFIX")
	case strings.Contains(u.Host, ":"):
		return place{}, errors.New("a bucket has no port: write s3://BUCKET/PREFIX?endpoint=https://HOST:PORT")
	}
	c := &s3.Config{
		Bucket: u.Host, Prefix: strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/"),
		Region: q.text("region"), Endpoint: strings.TrimSuffix(q.text("endpoint"), "/"),
		CAFile: q.file("ca_file"), CredentialsFile: q.file("credentials_file"), Profile: q.text("profile"),
		KMSKeyID: q.text("sse_kms_key_id"), CustomerKeyFile: q.file("sse_customer_key_file"), StorageClass: q.text("storage_class"),
		CheckThenCreate: q.choice("create", "check") == "check",
	}
	c.Addressing = map[string]s3.Addressing{"true": s3.AddressPath, "false": s3.AddressVirtualHost}[q.choice("path_style", "true", "false")]
	c.Encryption = map[string]s3.Encryption{
		"s3": s3.EncryptS3, "kms": s3.EncryptKMS, "customer": s3.EncryptCustomer,
	}[q.choice("sse", "s3", "kms", "customer")]
	return place{s3: c}, nil
}

// parameters reads what follows the question mark, and collects what is wrong with it.
type parameters struct {
	values url.Values
	known  map[string]bool // asked for so far
	errs   []error
}

// all returns the values of a parameter.
func (q *parameters) all(name string) []string {
	q.known[name] = true
	if slices.Contains(q.values[name], "") {
		q.errs = append(q.errs, fmt.Errorf("%s is empty: leave it out, or write %[1]s=VALUE", name))
	}
	return q.values[name]
}

// text returns the value of a parameter that stands there once, or "".
func (q *parameters) text(name string) string {
	values := q.all(name)
	if len(values) > 1 {
		q.errs = append(q.errs, fmt.Errorf("%s stands there more than once", name))
	}
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// choice returns the value of a parameter that has only these.
func (q *parameters) choice(name string, values ...string) string {
	value := q.text(name)
	if value != "" && !slices.Contains(values, value) {
		q.errs = append(q.errs, fmt.Errorf("%s can be %s", name, strings.Join(values, ", ")))
	}
	return value
}

// files returns the values of a parameter that are paths of files.
func (q *parameters) files(name string) []string {
	files := q.all(name)
	for _, file := range files {
		if file != "" && !path.IsAbs(file) {
			q.errs = append(q.errs, fmt.Errorf("%s needs an absolute path", name))
		}
	}
	return files
}

func (q *parameters) file(name string) string {
	q.files(name)
	return q.text(name)
}

// finish returns what is wrong, unknown parameters included.
func (q *parameters) finish() error {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if !q.known[name] {
			q.errs = append(q.errs, unknown(name))
		}
	}
	return errors.Join(q.errs...)
}

// unknown repeats the name of a parameter only if it looks like one.
func unknown(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyz_"
	switch {
	case strings.Contains(name, "pass") || strings.Contains(name, "secret") || strings.Contains(name, "key") || strings.Contains(name, "token"):
		return errors.New("there is a parameter that looks like a secret and is not known: name a file or use the environment; " + noSecrets)
	case len(name) > 30 || strings.Trim(name, letters) != "":
		return errors.New("there is an unknown parameter")
	}
	return fmt.Errorf("the parameter %s is unknown here", name)
}
