package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// errNoKeys is the end of every message about keys that are not there: nothing is ever asked anonymously.
var errNoKeys = errors.New("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a credentials file or a profile")

// keys looks up the keys when the first request needs them, and again after a server has refused them.
type keys struct {
	file    credentials.FileAWSCredentials
	fixed   bool // a file or profile is configured: the environment does not count
	lasting bool // the last ones have no date on which they expire

	mu      sync.Mutex
	secrets []string // of all that were ever found
}

func newKeys(c Config) *keys {
	return &keys{
		file:  credentials.FileAWSCredentials{Filename: c.CredentialsFile, Profile: c.Profile},
		fixed: c.CredentialsFile != "" || c.Profile != "",
	}
}

// RetrieveWithCredContext implements credentials.Provider.
func (k *keys) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	value, err := k.find(cc)
	k.lasting = err == nil && value.Expiration.IsZero()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, secret := range []string{value.SecretAccessKey, value.SessionToken} {
		if secret != "" && !slices.Contains(k.secrets, secret) {
			k.secrets = append(k.secrets, secret)
		}
	}
	return value, err
}

// known returns the secrets that requests may have been signed with.
func (k *keys) known() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.secrets)
}

func (k *keys) find(cc *credentials.CredContext) (credentials.Value, error) {
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if k.fixed || id == "" && secret == "" {
		return k.fromFile(cc)
	}
	if id == "" || secret == "" {
		return credentials.Value{}, errors.New("only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set")
	}
	return credentials.Value{
		AccessKeyID: id, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN"), SignerType: credentials.SignatureV4,
	}, nil
}

// fromFile reads the file. What its parser has to say may quote the file, so that is not passed on.
func (k *keys) fromFile(cc *credentials.CredContext) (credentials.Value, error) {
	value, err := k.file.RetrieveWithCredContext(cc)
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return credentials.Value{}, fmt.Errorf("no keys: %w (%w)", path, errNoKeys)
	case err != nil || value.AccessKeyID == "" || value.SecretAccessKey == "":
		profile := firstOf(k.file.Profile, os.Getenv("AWS_PROFILE"), "default")
		return credentials.Value{}, fmt.Errorf("no keys: profile %q of %s gives none (%w)",
			profile, firstOf(k.file.Filename, "the shared credentials files"), errNoKeys)
	}
	return value, nil
}

// Retrieve implements credentials.Provider.
func (k *keys) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider. Keys without a date are kept until a server refuses them.
func (k *keys) IsExpired() bool { return !k.lasting && k.file.IsExpired() }
