package archivecli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/store"
)

// settings are those of the configuration file, or of the flags in its place.
func (g *grammar) settings() (settings, error) {
	s, err := g.base()
	if err != nil {
		return settings{}, usageError{err}
	}
	if g.Spool != "" {
		s.Spool = g.Spool
	}
	if g.Ahead != nil {
		s.Ahead = *g.Ahead
	}
	if g.Retry != nil {
		s.Retry = duration(*g.Retry)
	}
	if g.Deadline != nil {
		s.Deadline = duration(*g.Deadline)
	}
	s.CheckRecords = s.CheckRecords || g.CheckRecords
	if err := s.check(); err != nil {
		return settings{}, usageError{err}
	}
	return s, nil
}

func (g *grammar) base() (settings, error) {
	inFlags := len(g.Archive) > 0 || g.Compress != "" || len(g.Recipient) > 0 || g.Identities != ""
	switch {
	case g.Config != "" && inFlags:
		return settings{}, errors.New("--config (or UNDERSTUDY_ARCHIVE_CONFIG) stands in the place of --archive (or UNDERSTUDY_ARCHIVE), --compress, --recipient and --identities: give one or the other")
	case g.Config != "":
		return readSettings(g.Config)
	}
	s := defaults()
	s.Identities = g.Identities
	for _, url := range g.Archive {
		s.Archives = append(s.Archives, place{URL: url, Compress: g.Compress, Recipients: g.Recipient})
	}
	return s, nil
}

// archiveOf is an open archive, to be closed.
type archiveOf struct {
	*walarchive.Archive
	stores []store.Store
}

func (a *archiveOf) close() {
	for _, s := range a.stores {
		_ = s.Close() // everything was acknowledged before
	}
}

// open opens the archive of the cluster id, or with a zero id that of whatever cluster the archive is.
func (a app) open(ctx context.Context, s settings, id walarchive.Identity) (*archiveOf, error) {
	opened := &archiveOf{}
	cfg, err := a.config(s, opened)
	if err == nil {
		if cfg.Identity = id; id == (walarchive.Identity{}) {
			opened.Archive, err = walarchive.Open(ctx, cfg)
		} else {
			opened.Archive, err = walarchive.New(cfg)
		}
	}
	if err != nil {
		opened.close()
		return nil, err
	}
	return opened, nil
}

func (a app) config(s settings, opened *archiveOf) (walarchive.Config, error) {
	cfg := walarchive.Config{Quorum: s.Quorum, Timeout: time.Duration(s.Deadline), Logger: a.logger(), CheckRecords: s.CheckRecords}
	var err error
	if cfg.Keys, err = s.identities(); err != nil {
		return cfg, err
	}
	for _, p := range s.Archives {
		encoding, err := p.encoding()
		if err != nil {
			return cfg, err
		}
		st, err := store.Later(p.URL, store.Options{})
		if err != nil {
			return cfg, err
		}
		opened.stores = append(opened.stores, st)
		cfg.Targets = append(cfg.Targets, walarchive.Target{Name: p.Name, Store: st, Encoding: encoding, Need: needs[p.Need]})
	}
	return cfg, nil
}

// needs are the needs by name.
var needs = map[string]walarchive.Need{
	"": walarchive.Must, "must": walarchive.Must, "quorum": walarchive.Quorum, "best-effort": walarchive.BestEffort,
}

// logger writes warnings to standard error, which is the server's log, one line each.
func (a app) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: withoutTime}))
}

// withoutTime leaves the time out: the server's log has its own.
func withoutTime(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && attr.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return attr
}

// identify reads whose the data directory is.
func (a app) identify(g *grammar) (walarchive.Identity, error) {
	id, err := a.identity(g.DataDir)
	if err == nil && id == (walarchive.Identity{}) {
		err = errors.New("pg_control names none")
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return id, fmt.Errorf("identify the cluster: %w (run it in the data directory, or name that with -D)", err)
	case err != nil:
		return id, fmt.Errorf("identify the cluster: %w", err)
	}
	return id, nil
}

// with opens the archive of the data directory's cluster for as long as use works with it.
func (a app) with(ctx context.Context, g *grammar, use func(settings, *archiveOf) error) error {
	id, err := a.identify(g)
	if err != nil {
		return err
	}
	return a.withCluster(ctx, g, id, use)
}

// withMarked is with for the cluster that the archive's marker names: no data directory is needed.
func (a app) withMarked(ctx context.Context, g *grammar, use func(settings, *archiveOf) error) error {
	return a.withCluster(ctx, g, walarchive.Identity{}, use)
}

func (a app) withCluster(ctx context.Context, g *grammar, id walarchive.Identity, use func(settings, *archiveOf) error) error {
	s, err := g.settings()
	if err != nil {
		return err
	}
	opened, err := a.open(ctx, s, id)
	if err != nil {
		return err
	}
	defer opened.close()
	return use(s, opened)
}

// fingerprint is all in which a command and its helper must agree, without secrets.
func fingerprint(g *grammar, s settings) string {
	h := sha256.New()
	files := []string{g.Config, s.Identities}
	for _, p := range s.Archives {
		files = append(files, p.Recipients...)
	}
	for _, name := range files {
		if content, err := os.ReadFile(name); err == nil { // none is not read
			_, _ = h.Write(content) // a hash cannot fail
		}
	}
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	return strings.Join(append(g.global(), fmt.Sprintf("%x", h.Sum(nil)[:8]), version), " ")
}

// global are the flags that are for every verb, as they would have to be given again; but for --retry, which is not the helper's business.
func (g *grammar) global() []string {
	var args []string
	for _, url := range g.Archive {
		args = append(args, "--archive="+url)
	}
	for _, r := range g.Recipient {
		if !isRecipient(r) {
			r = absolute(r)
		}
		args = append(args, "--recipient="+r)
	}
	for _, flag := range [][2]string{
		{"--config=", absolute(g.Config)}, {"--compress=", g.Compress}, {"--identities=", absolute(g.Identities)}, {"--spool=", absolute(g.Spool)},
	} {
		if flag[1] != "" {
			args = append(args, flag[0]+flag[1])
		}
	}
	if g.Ahead != nil {
		args = append(args, fmt.Sprintf("--ahead=%d", *g.Ahead))
	}
	if g.Deadline != nil {
		args = append(args, "--deadline="+g.Deadline.String())
	}
	if g.CheckRecords {
		args = append(args, "--check-records")
	}
	return args
}

func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// print writes lines.
func (a app) print(text string) error {
	_, err := io.WriteString(a.stdout, text)
	return err
}
