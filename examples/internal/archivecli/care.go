package archivecli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/understudy-ha/understudy/walarchive"
	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/queue"
	"github.com/understudy-ha/understudy/walarchive/store"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// fileName is the name of a file that a server archives. Another text is a mistake of usage.
type fileName string

// Validate is called by kong. An argument that was left out is empty.
func (n fileName) Validate() error {
	if n == "" {
		return nil
	}
	_, err := wal.ParseFileName(string(n))
	return err
}

// moment is the name of a file, or a position.
type moment string

// Validate is called by kong.
func (m moment) Validate() error {
	if _, err := wal.ParseLSN(string(m)); err == nil {
		return nil
	}
	return fileName(m).Validate()
}

func plainExit(err error) int {
	if err != nil {
		return exitFailed
	}
	return 0
}

// errBad ends a command whose answer is bad news. The news has been printed.
var errBad = errors.New("see above")

// badExit is the exit code of a command that can end with errBad.
func badExit(err error) int {
	if errors.Is(err, errBad) {
		return exitBad
	}
	return plainExit(err)
}

// show prints a value as text, or as JSON.
func (a app) show(value fmt.Stringer, asJSON bool) error {
	if !asJSON {
		text := value.String()
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return a.print(text)
	}
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return a.print(string(b) + "\n")
}

type listCmd struct {
	JSON  bool `name:"json" help:"As JSON."`
	Names bool `help:"Only the names of the archived files, sorted, one a line."`
}

func (c *listCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.withMarked(ctx, g, func(_ settings, archive *archiveOf) error {
		if c.Names {
			names, err := archive.Names(ctx)
			if err != nil || len(names) == 0 {
				return err
			}
			return a.print(strings.Join(names, "\n") + "\n")
		}
		held, err := archive.Catalog(ctx)
		if err != nil {
			return err
		}
		return a.show(held.List(), c.JSON)
	})
}

func (c *listCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }

type gapsCmd struct {
	JSON bool     `name:"json" help:"As JSON."`
	From fileName `placeholder:"FILE" help:"Instead, show the files that a recovery from this backup history file or segment needs, and whether each is there."`
}

func (c *gapsCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.withMarked(ctx, g, func(s settings, archive *archiveOf) error {
		held, err := archive.Catalog(ctx)
		if err != nil {
			return err
		}
		if c.From != "" {
			need, err := held.Need(catalog.Target{From: string(c.From)})
			if err != nil {
				return err
			}
			return a.verdict(need, c.JSON, need.Missing() > 0)
		}
		var cfg catalog.GapConfig
		if s.Drop.Records != "" {
			drops, err := queue.Dropped(s.Drop.Records)
			if err != nil {
				return err
			}
			for _, d := range drops {
				cfg.Dropped = append(cfg.Dropped, d.Name.String())
			}
		}
		gaps := held.Gaps(cfg)
		return a.verdict(gaps, c.JSON, gaps.Bad())
	})
}

// verdict shows a value, and returns errBad if it is bad.
func (a app) verdict(value fmt.Stringer, asJSON, bad bool) error {
	if err := a.show(value, asJSON); err != nil || !bad {
		return err
	}
	return errBad
}

func (c *gapsCmd) exitCode(_ *grammar, err error) int { return badExit(err) }

type verifyCmd struct {
	Names    []string `arg:"" optional:"" help:"Files to look at. Default: all."`
	Parallel int      `placeholder:"N" help:"How many are read at once. Default: one for each processor."`
	Quiet    bool     `short:"q" help:"No progress, only what is wrong."`
}

// progressEvery is how often verify says how far it is.
const progressEvery = 5 * time.Second

func (c *verifyCmd) do(ctx context.Context, a app, g *grammar) error {
	return a.withMarked(ctx, g, func(_ settings, archive *archiveOf) error {
		cfg := walarchive.VerifyConfig{Names: c.Names, Parallel: c.Parallel}
		last := time.Now()
		if !c.Quiet {
			cfg.Progress = func(p walarchive.VerifyProgress) {
				if now := time.Now(); now.Sub(last) >= progressEvery {
					last = now
					fmt.Fprintf(a.stderr, "%d of %d files, %d MiB\n", p.Done, p.Total, p.Bytes>>20)
				}
			}
		}
		report, err := archive.Verify(ctx, cfg)
		if err != nil {
			return err
		}
		var b strings.Builder
		for _, f := range report.Findings {
			fmt.Fprintln(&b, f)
		}
		if !c.Quiet {
			fmt.Fprintf(&b, "%d files ok, %d not, %d MiB read\n", report.Count[walarchive.VerdictOK], len(report.Findings), report.Bytes>>20)
		}
		if err := a.print(b.String()); err != nil || !report.Bad() {
			return err
		}
		return errBad
	})
}

func (c *verifyCmd) exitCode(_ *grammar, err error) int { return badExit(err) }

type waitCmd struct {
	For      moment        `arg:"" help:"A position such as 16/B374D848, whose segment is meant, or the name of a file."`
	Timeline uint32        `placeholder:"N" help:"Timeline of the position. Default: any."`
	Timeout  time.Duration `placeholder:"TIME" help:"Give up after so long. Default: never."`
}

func (c *waitCmd) do(ctx context.Context, a app, g *grammar) error {
	if c.Timeout <= 0 {
		return c.wait(ctx, a, g)
	}
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err := c.wait(limited, a, g)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s is not archived after %v", c.For, c.Timeout)
	}
	return err
}

func (c *waitCmd) wait(ctx context.Context, a app, g *grammar) error {
	return a.withMarked(ctx, g, func(_ settings, archive *archiveOf) error {
		lsn, err := wal.ParseLSN(string(c.For))
		if err != nil {
			return archive.Wait(ctx, string(c.For))
		}
		name, err := archive.WaitLSN(ctx, wal.Timeline(c.Timeline), lsn)
		if err != nil {
			return err
		}
		return a.print(name + "\n")
	})
}

func (c *waitCmd) exitCode(_ *grammar, err error) int { return plainExit(err) }

type checkCmd struct {
	Read     string `placeholder:"URL" help:"The archive as the server that restores reaches it. Default: as the one that archives."`
	Mounted  string `placeholder:"DIR" help:"A directory that must be a mount point."`
	Segments int64  `default:"64" placeholder:"N" help:"How many segments must still fit."`
}

func (c *checkCmd) do(ctx context.Context, a app, g *grammar) error {
	s, err := g.settings()
	if err != nil {
		return err
	}
	cfg := walarchive.CheckConfig{MountPoint: c.Mounted, Segments: c.Segments}
	switch id, err := a.identify(g); {
	case err == nil:
		cfg.Identity = id
	case errors.Is(err, os.ErrNotExist) && g.DataDir == ".": // none was named and none is here: any cluster's archive will do
		cfg.Segments = -1
	default:
		return err
	}
	bad := false
	for _, p := range s.Archives {
		findings, err := c.place(ctx, p.URL, cfg)
		if err != nil {
			return err
		}
		for _, f := range findings {
			bad = true
			if err := a.print(f.String() + "\n"); err != nil {
				return err
			}
		}
	}
	if bad {
		return errBad
	}
	return nil
}

// place checks one of the places.
func (c *checkCmd) place(ctx context.Context, url string, cfg walarchive.CheckConfig) ([]walarchive.CheckFinding, error) {
	write, err := store.Later(url, store.Options{})
	if err != nil {
		return nil, err
	}
	defer write.Close()
	cfg.Write = write
	if c.Read != "" {
		read, err := store.Later(c.Read, store.Options{})
		if err != nil {
			return nil, err
		}
		defer read.Close()
		cfg.Read = read
	}
	return walarchive.Check(ctx, cfg)
}

func (c *checkCmd) exitCode(_ *grammar, err error) int { return badExit(err) }
