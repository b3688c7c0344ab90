package datadir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
)

// VersionFile is where a data directory keeps its major, relative to it. It makes a folder a data directory.
const VersionFile = "PG_VERSION"

// ParseVersion reads the content of a PG_VERSION file, a major and a newline; name is used in errors. Majors that this module does
// not know are a [*FileError].
func ParseVersion(name string, data []byte) (pgconf.Major, error) {
	text := strings.TrimSpace(string(data))
	major, err := pgconf.ParseMajor(text)
	if err != nil || major.String() != text {
		return 0, &FileError{File: name, Msg: fmt.Sprintf("want a major from %s to %s, not %.20q", pgconf.Oldest, pgconf.Newest, text)}
	}
	return major, nil
}

// ReadVersion reads the major of a data directory on this machine. Besides [*FileError] there are the errors of [os.ReadFile].
func ReadVersion(dataDir string) (pgconf.Major, error) {
	name := filepath.Join(dataDir, VersionFile)
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read major: %w", err)
	}
	return ParseVersion(name, data)
}
