package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

// Migrated is what [Migrate] leaves of recovery.conf, in the data directory.
const Migrated = "recovery.conf.migrated"

// Migrate carries recovery.conf, which was written for a major up to 11, over to the major of the data directory that it lies in, as after
// pg_upgrade. The server is not running.
//
// From 12 on, the role and settings go where [TakeOver] writes them, with the meaning they had: the timeline that was the default up to
// 11 is named, a percent sign that 16 would stop at is doubled. recovery.conf, beside which no server from 12 on starts, is
// removed last, so that an interruption leaves a server that does not start; what it said is kept in [Migrated]. Up to 11 it is edited in
// place, for what changed in 9.4 and 9.5.
//
// The remarks say what became of each line, and what is left to do. If one of them is an Error, or the result would not be valid,
// nothing was written, and the error is not nil.
func Migrate(ctx context.Context, files Files, server Server, from pgconf.Major) ([]guc.Remark, error) {
	v := view{ctx: ctx, files: files}
	major, err := v.major(server)
	if err != nil {
		return nil, err
	}
	if from < pgconf.Oldest || from > 11 {
		return nil, fmt.Errorf("recovery.conf is of majors %s to 11, not of %s: %w", pgconf.Oldest, from, &MajorError{from})
	}
	if from > major {
		return nil, fmt.Errorf("recovery.conf of PostgreSQL %s is not for the older %s: write a Config with Apply", from, major)
	}
	name := server.path(RecoveryConf)
	data, err := v.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &DataDirError{name, "it is not there, so there is nothing to carry over"}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", RecoveryConf, err)
	}
	if strings.HasPrefix(string(data), guardMark) {
		return nil, &DataDirError{name, "an interrupted Apply left it: call that again"}
	}
	old, err := v.readOld(server, data, from)
	if err != nil {
		return nil, err
	}
	if major < 12 {
		return v.migrateOld(server, old, major)
	}
	return v.migrate(server, old, major, data)
}

// oldConf is recovery.conf of a server up to 11.
type oldConf struct {
	from  pgconf.Major
	file  *pgconf.File
	start Start // of a server of that major
}

// readOld reads recovery.conf as its server does, which must start with it.
func (v view) readOld(server Server, data []byte, from pgconf.Major) (oldConf, error) {
	r := &reading{view: v, server: server, Start: Start{Major: from}, inUse: effective{}}
	if err := r.recoveryConf(); err != nil {
		return oldConf{}, err
	}
	if r.Outcome == RefusesToStart {
		return oldConf{}, &DataDirError{r.Why[0].File, fmt.Sprintf("line %d: %s: %s", r.Why[0].Line, r.Why[0].Name, r.Why[0].Msg)}
	}
	f, err := guc.ParseRecoveryConf(server.path(RecoveryConf), data, from)
	for _, s := range f.Settings() {
		if s.IsInclude() {
			return oldConf{}, &DataDirError{s.File, fmt.Sprintf("line %d: it includes other files: put their lines here", s.Line)}
		}
	}
	return oldConf{from, f, r.Start}, err
}

// migrate carries over to a major from 12 on.
func (v view) migrate(server Server, old oldConf, major pgconf.Major, data []byte) ([]guc.Remark, error) {
	cfg, remarks, err := old.translate(major)
	if err != nil {
		return remarks, err
	}
	todo, err := (&planner{view: v, server: server, major: major, cfg: cfg, takeOver: true, migrate: true}).plan()
	if err != nil {
		return remarks, err
	}
	last := len(todo) - 1 // the removal of recovery.conf
	keep := step{path: server.path(Migrated), data: data}
	return remarks, carryOut(v.ctx, v.files, append(append(todo[:last:last], keep), todo[last]))
}

// translate returns the Config for a major from 12 on, with commands as package guc rewrites them, and its remarks.
func (o oldConf) translate(major pgconf.Major) (Config, []guc.Remark, error) {
	scratch := pgconf.New(SettingsFile)
	done, err := guc.Translation{From: o.from, To: major, Pin: true, RecoveryConf: o.file}.Apply(scratch)
	if err != nil {
		return Config{}, nil, err
	}
	var remarks []guc.Remark
	for _, r := range done.Remarks {
		if r.File == SettingsFile || r.File == "" && !isParameter(major, r.Name) {
			continue // about defaults of a postgresql.conf that is none
		}
		if r.File == o.file.Name() && r.Line == 0 {
			continue // what to do with the file, which is done here
		}
		remarks = append(remarks, r)
		if r.Severity == guc.Error {
			err = errors.Join(err, errors.New(r.String()))
		}
	}
	cfg := o.start.Config
	cfg.RestoreCommand, cfg.ArchiveCleanupCommand, cfg.RecoveryEndCommand = valueOf(scratch, "restore_command"),
		valueOf(scratch, "archive_cleanup_command"), valueOf(scratch, "recovery_end_command")
	if major >= 16 {
		cfg.TriggerFile = ""
	}
	return cfg, remarks, errors.Join(err, cfg.Validate(major))
}

func valueOf(f *pgconf.File, name string) string {
	s, _ := f.Get(name)
	return s.Value
}

// migrateOld edits recovery.conf for a later major up to 11.
func (v view) migrateOld(server Server, old oldConf, major pgconf.Major) ([]guc.Remark, error) {
	cfg := old.start.Config
	if err := cfg.Validate(major); err != nil {
		return nil, err
	}
	scratch := pgconf.New(SettingsFile)
	done, err := guc.Translation{From: old.from, To: major, RecoveryConf: old.file}.Apply(scratch)
	if err != nil {
		return nil, err
	}
	var remarks []guc.Remark
	for _, r := range done.Remarks {
		if r.File == old.file.Name() {
			remarks = append(remarks, r)
		}
	}
	data, err := cfg.recoveryConf(major, old.file.Bytes()) // where only the default changed, nobody has written it yet
	if err != nil {
		return remarks, err
	}
	todo := []step{{path: server.path(RecoveryConf), data: data}}
	if err := (&planner{view: v, server: server, major: major, cfg: cfg}).verify(todo); err != nil {
		return remarks, err
	}
	return remarks, carryOut(v.ctx, v.files, todo)
}
