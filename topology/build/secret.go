package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/understudy-ha/understudy/topology"
)

// Secret returns what a reference stands for: the value of the environment variable of "env:NAME", or the first line of the file of
// "file:/path". An empty one is an error: a password that is not there shall not become one that is empty. Errors name the
// reference, never what was found.
func Secret(_ context.Context, ref topology.SecretRef) (string, error) {
	kind, name, _ := strings.Cut(string(ref), ":")
	var secret string
	switch {
	case kind == "env" && name != "":
		secret = os.Getenv(name)
	case kind == "file" && filepath.IsAbs(name):
		data, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read the secret %s: %w", ref, err)
		}
		secret, _, _ = strings.Cut(string(data), "\n")
		secret = strings.TrimSuffix(secret, "\r")
	default:
		// A secret that somebody wrote in place of a reference must not be repeated here.
		return "", errors.New("a secret is named env:NAME or file:/absolute/path; this is neither")
	}
	if secret == "" {
		return "", fmt.Errorf("the secret %s is empty or not set", ref)
	}
	if strings.ContainsAny(secret, "\n\r\x00") {
		return "", fmt.Errorf("the secret %s holds a line break or a NUL byte", ref)
	}
	return secret, nil
}

// secret resolves a reference; an empty one is no secret.
func (b *Builder) secret(ctx context.Context, ref topology.SecretRef) (string, error) {
	if ref == "" {
		return "", nil
	}
	return b.cfg.Secret(ctx, ref)
}
