package recovery

import (
	"context"
	"fmt"
)

// Apply gives the server the role and settings of cfg, from its next start on; a standby that runs takes a new upstream up at a
// reload (from 13) or restart. Apply neither starts, reloads nor stops anything.
//
// It looks first and refuses before it has written anything: where the Files are a [Checker], if a file to be written is a symbolic link
// or of an owner that could not get it back (on a [Disk], that is a [*DataDirError]); with a [*ConflictError] if a line of the configuration would
// defeat cfg, with a [*DataDirError] if a file would make the server something else (see "Left-overs" in the package's
// overview), and with the reader's or a [*pgconf.SyntaxError] if it cannot know. What it is about to write, it has [Read] judge: that
// must say what cfg says.
//
// Then it writes. Each file is replaced atomically, in an order in which an interruption leaves what was there before, a server
// with the role of cfg and at worst its former settings or none, or one that refuses to start; never a primary that was none.
// Calling it again completes the work, and once more changes no byte. What the files hold besides stays: from 12 on the main
// configuration file gains one line, up to 11 recovery.conf is edited.
func Apply(ctx context.Context, files Files, server Server, cfg Config) error {
	return apply(ctx, files, server, cfg, false)
}

// TakeOver is [Apply] for a server that is not running, from 12 on: what an earlier life of the data directory left behind, and Apply
// would refuse, it clears away. The signal file of the other role is removed; parameters that Config speaks of leave
// postgresql.auto.conf; lines that set a recovery target are commented out. Up to 11 it does what Apply does.
func TakeOver(ctx context.Context, files Files, server Server, cfg Config) error {
	return apply(ctx, files, server, cfg, true)
}

func apply(ctx context.Context, files Files, server Server, cfg Config, takeOver bool) error {
	v := view{ctx: ctx, files: files}
	major, err := v.major(server)
	if err != nil {
		return err
	}
	if err := cfg.Validate(major); err != nil {
		return err
	}
	todo, err := (&planner{view: v, server: server, major: major, cfg: cfg, takeOver: takeOver}).plan()
	if err != nil {
		return err
	}
	return carryOut(ctx, files, todo)
}

// carryOut does the steps in order, up to the first one that fails. What can be seen to fail is looked for before the first one.
func carryOut(ctx context.Context, files Files, todo []step) error {
	if c, ok := files.(Checker); ok {
		for _, s := range todo {
			if s.gone {
				continue
			}
			if err := c.CheckWrite(ctx, s.path); err != nil {
				return err
			}
		}
	}
	for _, s := range todo {
		act, do := "write", func() error { return files.WriteFile(ctx, s.path, s.data, 0o600) }
		if s.gone {
			act, do = "remove", func() error { return files.Remove(ctx, s.path) }
		}
		if err := do(); err != nil {
			return fmt.Errorf("%s %s: %w", act, s.path, err)
		}
	}
	return nil
}
