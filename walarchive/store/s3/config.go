package s3

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// Config says where the objects are. Only Bucket is always needed. No field holds a secret: those come from the environment or from
// files.
type Config struct {
	// Bucket must exist; it is never made.
	Bucket string

	// Prefix goes before the names of all objects, with a slash between: "clusters/main". Empty means the bucket's top.
	Prefix string

	// Endpoint is the server's URL, "https://minio.example.com:9000". Empty means AWS, at the region's own endpoint. "http://" sends
	// everything but the secret key in the clear.
	Endpoint string

	// Region is the region of the bucket. Empty means what AWS_REGION or AWS_DEFAULT_REGION says, or else, for another Endpoint than AWS,
	// us-east-1, which most other servers take.
	Region string

	// Addressing is how the bucket is named to the server. The zero value suits AWS and nearly all others.
	Addressing Addressing

	// CAFile holds the certificates (PEM) of who may vouch for the server, instead of those the system trusts.
	CAFile string

	// CredentialsFile is a file in the format of ~/.aws/credentials. Empty means: the environment (AWS_ACCESS_KEY_ID,
	// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), and if nothing is there, the shared files ~/.aws/credentials and ~/.aws/config, or
	// those that AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name.
	CredentialsFile string

	// Profile is the section of the file. Empty means what AWS_PROFILE says, or "default". With a Profile or a CredentialsFile, keys in the
	// environment do not count.
	Profile string

	// Encryption is what the server does with what it stores. Zero leaves it to the bucket's default.
	Encryption Encryption

	// KMSKeyID names the key for EncryptKMS. Empty means the account's default key.
	KMSKeyID string

	// CustomerKeyFile holds the key for EncryptCustomer: 32 bytes, or the same in base64. The server forgets the key: who loses it, loses the
	// archive.
	CustomerKeyFile string

	// StorageClass is the class of new objects, such as STANDARD_IA. Empty means the bucket's default. Classes from which an object must
	// be called back first, such as GLACIER, cannot be restored from.
	StorageClass string

	// CheckThenCreate lets Create work on servers that do not know conditional writes: it looks whether the name is taken, stores,
	// and looks whose object is there. Of two who create the same name within the same moment, the later one then replaces the
	// earlier one, and both may be told that they succeeded. Use it only where one server archives and no second one can be
	// promoted by mistake.
	CheckThenCreate bool

	// Timeout bounds how long a request may go without progress: until it is answered, but longer as long as the server takes more of an
	// object, and between the pieces of one that is read. Zero means 30 seconds.
	Timeout time.Duration

	// Attempts is how often a request is sent until one is answered. Zero means 5. Between them are growing, random pauses, at
	// most some seconds long.
	Attempts int
}

// Addressing is how requests name the bucket.
type Addressing int

// Ways to name a bucket.
const (
	AddressAuto        Addressing = iota // in the host name for AWS, in the path for others
	AddressPath                          // https://endpoint/bucket/object
	AddressVirtualHost                   // https://bucket.endpoint/object
)

// Encryption is a kind of encryption on the server's side.
type Encryption int

// Kinds of encryption.
const (
	EncryptDefault  Encryption = iota // what the bucket does by itself
	EncryptS3                         // SSE-S3: with a key that the store has
	EncryptKMS                        // SSE-KMS: with a key that a key management service has; see KMSKeyID
	EncryptCustomer                   // SSE-C: with a key that every request brings along; see CustomerKeyFile. Needs https
)

const (
	defaultTimeout  = 30 * time.Second
	defaultAttempts = 5
	awsEndpoint     = "https://s3.amazonaws.com"
	usualRegion     = "us-east-1"
)

// complete returns the configuration with its defaults, or says what is wrong with it.
func (c Config) complete() (Config, error) {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
	if c.Region == "" {
		c.Region = firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	}
	if c.Endpoint == "" {
		c.Endpoint = awsEndpoint
	} else if c.Region == "" {
		c.Region = usualRegion
	}
	return c, c.check()
}

func (c Config) check() error {
	endpoint, err := url.Parse(c.Endpoint)
	switch {
	case c.Bucket == "":
		return errors.New("Bucket is empty: an archive needs the name of a bucket that exists")
	case !validBucket(c.Bucket):
		return fmt.Errorf("Bucket %q: a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens", c.Bucket)
	case strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/") || strings.Contains(c.Prefix, "//"):
		return fmt.Errorf("Prefix %q: no slash at its beginning or end, and no two in a row", c.Prefix)
	case !validPrefix(c.Prefix):
		return fmt.Errorf("Prefix %q: no control characters, and neither . nor .. as a part", c.Prefix)
	case err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http":
		return errors.New("Endpoint must be a URL such as https://minio.example.com:9000")
	case endpoint.User != nil:
		return errors.New("Endpoint must not hold a user or password: keys come from the environment or CredentialsFile")
	case strings.Trim(endpoint.Path, "/") != "" || endpoint.RawQuery != "" || endpoint.Fragment != "":
		return errors.New("Endpoint must be a scheme, a host and a port, without a path: the bucket is Bucket")
	case c.Region == "":
		return errors.New("Region is empty: AWS needs the bucket's region, such as eu-central-1, here or in AWS_REGION")
	case c.Timeout < 0 || c.Attempts < 0:
		return errors.New("Timeout and Attempts must not be negative")
	case c.Encryption != EncryptKMS && c.KMSKeyID != "":
		return errors.New("KMSKeyID is of use with EncryptKMS only")
	case (c.Encryption == EncryptCustomer) != (c.CustomerKeyFile != ""):
		return errors.New("EncryptCustomer and CustomerKeyFile belong together")
	case c.Encryption == EncryptCustomer && endpoint.Scheme != "https":
		return errors.New("EncryptCustomer needs an https Endpoint: every request carries the key")
	}
	return nil
}

func validBucket(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789.-"
	return len(name) >= 3 && len(name) <= 63 && strings.Trim(name, letters) == "" &&
		!strings.Contains(name, "..") && strings.Trim(name, ".-") == name
}

func validPrefix(prefix string) bool {
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "." || part == ".." || !printable(part) {
			return false
		}
	}
	return true
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}

// serverSide reads the key of EncryptCustomer, and returns what requests carry; nil for the bucket's default.
func (c Config) serverSide() (encrypt.ServerSide, error) {
	switch c.Encryption {
	case EncryptS3:
		return encrypt.NewSSE(), nil
	case EncryptKMS:
		return encrypt.NewSSEKMS(c.KMSKeyID, nil)
	case EncryptCustomer:
		key, err := customerKey(c.CustomerKeyFile)
		if err != nil {
			return nil, err
		}
		return encrypt.NewSSEC(key)
	default:
		return nil, nil
	}
}

const customerKeySize = 32

func customerKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the encryption key: %w", err)
	}
	if len(key) == customerKeySize {
		return key, nil
	}
	key, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(key)))
	if err != nil || len(key) != customerKeySize {
		return nil, fmt.Errorf("the encryption key in %s is neither 32 bytes nor 32 bytes in base64", path)
	}
	return key, nil
}

// tlsConfig returns whom to trust.
func (c Config) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificates of CAFile: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CAFile %s holds no certificate in PEM form", c.CAFile)
	}
	return config, nil
}

// firstOf returns the first that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
