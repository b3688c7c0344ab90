package archivecli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"go.yaml.in/yaml/v3"

	"github.com/understudy-ha/understudy/walarchive/codec"
)

// settings are where the archive is and how to use it: from a configuration file, or from the command line.
type settings struct {
	// Archives are the places; most have one.
	Archives []place `yaml:"archives"`
	// Quorum is how many of the places that need quorum must hold a file.
	Quorum int `yaml:"quorum"`
	// Identities is a file with the age keys that decrypt.
	Identities string `yaml:"identities"`
	// Retry is for how long a fetch tries again what failed, before it says that it cannot tell.
	Retry duration `yaml:"retry"`
	// Deadline is how long a push or fetch may take in all.
	Deadline duration `yaml:"deadline"`
	// Spool is the folder of the helper that looks ahead, and Ahead how many files it works on at once; 0 for none.
	Spool string `yaml:"spool"`
	Ahead int    `yaml:"ahead"`
	// CheckRecords has push and verify look at the WAL records in segments.
	CheckRecords bool `yaml:"check-records"`
	// Drop says when WAL that cannot be archived is given up. By default never.
	Drop drop `yaml:"drop"`
}

// place is a store.
type place struct {
	URL        string   `yaml:"url"`
	Name       string   `yaml:"name"`       // for messages; by default the URL
	Need       string   `yaml:"need"`       // must (default), quorum, best-effort
	Compress   string   `yaml:"compress"`   // none (default), zstd, zstd:3, lz4, gzip, s2
	Recipients []string `yaml:"recipients"` // age public keys, or files with some
}

// drop are the limits of the drop policy, in bytes.
type drop struct {
	MaxBytes int64  `yaml:"max-bytes"`
	MinFree  int64  `yaml:"min-free"`
	Records  string `yaml:"records"` // folder
}

// duration is a time.Duration as Go prints it.
type duration time.Duration

func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	v, err := time.ParseDuration(node.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("line %d: %q is no duration such as 30s", node.Line, node.Value)
	}
	*d = duration(v)
	return nil
}

const (
	defaultRetry    = 20 * time.Second
	defaultDeadline = 10 * time.Minute
)

func defaults() settings {
	return settings{Retry: duration(defaultRetry), Deadline: duration(defaultDeadline)}
}

// readSettings reads a configuration file. Errors name it.
func readSettings(path string) (settings, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return settings{}, err
	}
	s, err := parseSettings(b)
	if err != nil {
		return settings{}, fmt.Errorf("%s: %w", path, err)
	}
	if s.Identities != "" && !filepath.IsAbs(s.Identities) {
		s.Identities = filepath.Join(filepath.Dir(path), s.Identities)
	}
	return s, nil
}

func parseSettings(b []byte) (settings, error) {
	s := defaults()
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return settings{}, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return s, s.check()
}

// check finds what is wrong without opening anything.
func (s settings) check() error {
	if len(s.Archives) == 0 {
		return errors.New("archives: name at least one, as url: file:///DIR, sftp://USER@HOST/DIR or s3://BUCKET/PREFIX")
	}
	for i, p := range s.Archives {
		if p.URL == "" {
			return fmt.Errorf("archives: number %d has no url", i+1)
		}
		if _, ok := needs[p.Need]; !ok {
			return fmt.Errorf("archives: number %d: need %q: want must, quorum or best-effort", i+1, p.Need)
		}
		if _, err := p.encoding(); err != nil {
			return fmt.Errorf("archives: number %d: %w", i+1, err)
		}
	}
	if s.Ahead > 0 && s.Spool == "" {
		return errors.New("ahead needs a spool: a local folder that the server's user owns and nobody else may enter")
	}
	return nil
}

// encoding is how files are stored in this place.
func (p place) encoding() (codec.Encoding, error) {
	compress := p.Compress
	if compress == "" {
		compress = "none"
	}
	e, err := codec.ParseEncoding(compress)
	if err != nil {
		return e, err
	}
	for _, text := range p.Recipients {
		recipients, err := readRecipients(text)
		if err != nil {
			return e, fmt.Errorf("recipient %q: %w", text, err)
		}
		e.Recipients = append(e.Recipients, recipients...)
	}
	return e, nil
}

// isRecipient reports whether the text is a public key and no file.
func isRecipient(text string) bool { return strings.HasPrefix(text, "age1") }

// readRecipients reads a public key, or a file with one on each line.
func readRecipients(text string) ([]age.Recipient, error) {
	if !isRecipient(text) {
		b, err := os.ReadFile(text)
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	return age.ParseRecipients(strings.NewReader(text))
}

// identities reads the keys that decrypt. Errors do not show them.
func (s settings) identities() ([]age.Identity, error) {
	if s.Identities == "" {
		return nil, nil
	}
	f, err := os.Open(s.Identities)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("%s: not a file of age identities (age-keygen makes one)", s.Identities)
	}
	return ids, nil
}
