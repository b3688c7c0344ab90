package promote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/understudy-ha/understudy/recovery"
)

// signals are the files by which pg_ctl asks for a promotion: promote since 9.1, fallback_promote from 9.3 to 13.
var signals = []string{"promote", "fallback_promote"}

// Clear removes what would promote a server as soon as it starts as a standby, and returns the paths of what it removed: the trigger
// file that its configuration names for that case (up to 11 recovery.conf, or recovery.done if that is not there), and the files
// promote and fallback_promote. The server must not be running: Clear would take back a request that somebody has made.
//
// An error says what could not be looked at or removed; the server must not be started then.
func Clear(ctx context.Context, files recovery.Files, server recovery.Server) ([]string, error) {
	start, err := recovery.Read(ctx, asStandby(files, server), server)
	if err == nil && start.Outcome == recovery.RefusesToStart {
		err = fmt.Errorf("whether it has a trigger file cannot be told: as a standby it %v", start)
	}
	if err != nil {
		return nil, fmt.Errorf("clear %s: %w", server.DataDir, err)
	}
	var names []string
	for _, name := range signals {
		names = append(names, path.Join(server.DataDir, name))
	}
	if name := absolute(server, start.Config.TriggerFile); name != "" {
		names = append(names, name)
	}
	var removed []string
	for _, name := range names {
		err := files.Remove(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return removed, fmt.Errorf("clear %s: %w", server.DataDir, err)
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// ErrDiverged is matched by the error of [Return] for a server that may not follow as it is.
var ErrDiverged = errors.New("the server may not follow as it is")

// Return makes a stopped server that was promoted, or was a primary always, a standby as cfg says. judgement is what [recovery.Judge]
// says of it and the primary to follow; unless that is [recovery.Follow], Return does nothing and its error matches [ErrDiverged].
// Renaming recovery.done to recovery.conf, as old instructions have it, skips that question, and keeps the address of a server that
// may be gone.
//
// It removes what [Clear] does. Up to 11, recovery.done becomes recovery.conf again, with the lines that cfg does not speak of, if it
// was that of a standby; one with a recovery target stays where it is. Then [recovery.TakeOver] does its part. An interruption leaves a
// primary or a standby, and calling it again completes the work.
func Return(ctx context.Context, files recovery.Files, server recovery.Server, judgement recovery.Judgement, cfg recovery.Config) error {
	if judgement.Verdict != recovery.Follow {
		return fmt.Errorf("return %s: %w: %s", server.DataDir, ErrDiverged, judgement.Reason)
	}
	if _, err := Clear(ctx, files, server); err != nil {
		return err
	}
	done, err := takeUp(ctx, files, server)
	if err != nil {
		return fmt.Errorf("return %s: %w", server.DataDir, err)
	}
	if err := recovery.TakeOver(ctx, files, server, cfg); err != nil {
		return err
	}
	if done == "" {
		return nil
	}
	if err := remove(ctx, files, done); err != nil {
		return fmt.Errorf("return %s: %w", server.DataDir, err)
	}
	return nil
}

// takeUp writes recovery.done as recovery.conf, if it is that of a standby, and returns its path. One that is there besides recovery.conf
// is a left-over.
func takeUp(ctx context.Context, files recovery.Files, server recovery.Server) (done string, err error) {
	now, err := recovery.Read(ctx, files, server)
	if err != nil || now.Major > 11 {
		return "", err
	}
	done, conf := path.Join(server.DataDir, recovery.RecoveryDone), path.Join(server.DataDir, recovery.RecoveryConf)
	data, err := files.ReadFile(ctx, done)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil || now.Outcome != recovery.StartsPrimary {
		return done, err
	}
	start, err := recovery.Read(ctx, asStandby(files, server), server)
	if err != nil || start.Outcome != recovery.StartsStandby || start.Config.Target != nil {
		return "", err
	}
	return done, files.WriteFile(ctx, conf, data, 0o600)
}

// asStandby shows the files of a server as if it were a standby again: with standby.signal, and with recovery.done in the place of a
// recovery.conf that is not there.
func asStandby(files recovery.Files, server recovery.Server) recovery.Files {
	s := supposed{files, server.DataDir}
	if l, ok := files.(recovery.Lister); ok {
		return struct {
			supposed
			recovery.Lister
		}{s, l}
	}
	return s
}

type supposed struct {
	recovery.Files
	dataDir string
}

// ReadFile implements [recovery.Files].
func (s supposed) ReadFile(ctx context.Context, name string) ([]byte, error) {
	data, err := s.Files.ReadFile(ctx, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	switch name {
	case path.Join(s.dataDir, recovery.StandbySignal):
		return nil, nil
	case path.Join(s.dataDir, recovery.RecoveryConf):
		return s.Files.ReadFile(ctx, path.Join(s.dataDir, recovery.RecoveryDone))
	}
	return data, err
}
