package recovery_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/recovery"
)

func migrate(t *testing.T, m *memory, from pgconf.Major) ([]guc.Remark, error) {
	t.Helper()
	return recovery.Migrate(t.Context(), m, recovery.Server{DataDir: dataDir}, from)
}

// Every config that two majors have in common survives the way from one to the other with its meaning, and an interruption leaves a
// server that does not start until the work is done.
func TestMigrate_keepsTheMeaning(t *testing.T) {
	for _, from := range []pgconf.Major{pgconf.V9_0, pgconf.V9_1, pgconf.V9_4, pgconf.V9_5, 11} {
		for _, to := range []pgconf.Major{pgconf.V9_5, 11, 12, 15, 16, 18} {
			for _, name := range sortedConfigs() {
				cfg := configs[name]
				if from > to || cfg.Validate(from) != nil {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s_to_%s", name, from, to), func(t *testing.T) {
					files, err := cfg.Render(from)
					require.NoError(t, err)
					before := dir(to, recovery.RecoveryConf, string(files[0].Data))
					want := cfg.WithDefaults(from)
					if to >= 16 {
						want.TriggerFile = ""
					}
					whole := newMemory(before)
					_, err = migrate(t, whole, from)
					require.NoError(t, err)
					start, err := recovery.Read(t.Context(), whole, recovery.Server{DataDir: dataDir})
					require.NoError(t, err)
					require.Equal(t, want, start.Config)
					if to < 12 {
						return
					}
					require.Equal(t, before[recovery.RecoveryConf], whole.files[recovery.Migrated])
					require.NotContains(t, whole.files, recovery.RecoveryConf)
					for k := 1; k <= len(whole.writes); k++ {
						for _, halfDone := range []bool{false, true} {
							m := newMemory(before)
							m.failWrite, m.halfDone = k, halfDone
							_, err = migrate(t, m, from)
							require.ErrorIs(t, err, errDisk)
							if k == len(whole.writes) && halfDone {
								require.Equal(t, whole.files, m.files)
								continue
							}
							require.Equal(t, "refuses", role(t, to, m.files))
							m.failWrite = 0
							_, err = migrate(t, m, from)
							require.NoError(t, err)
							require.Equal(t, whole.files, m.files)
						}
					}
				})
			}
		}
	}
}

func TestMigrate(t *testing.T) {
	for _, tc := range []struct {
		name     string
		from, to pgconf.Major
		conf     string
		says     []string // in the remarks, which name the line
		refused  string   // in the error
		after    func(t *testing.T, m *memory)
	}{
		{"placeholder_for_16", pgconf.V9_6, 16, "standby_mode = on\nrestore_command = 'date +%s; cp /a/%f %p'\n", []string{"recovery.conf:2: "}, "", func(t *testing.T, m *memory) {
			require.Contains(t, m.files[recovery.SettingsFile], "restore_command = 'date +%%s; cp /a/%f %p'\n")
		}},
		{"pause", pgconf.V9_4, 17, "restore_command = 'cp /a/%f %p'\nrecovery_target_xid = 0x10\npause_at_recovery_target = off\n", []string{"recovery.conf:3: "}, "", func(t *testing.T, m *memory) {
			require.Contains(t, m.files[recovery.SettingsFile], "recovery_target_action = 'promote'\n")
			require.Contains(t, m.files[recovery.SettingsFile], "recovery_target_xid = '16'\n")
			require.Contains(t, m.files, recovery.RecoverySignal)
		}},
		{"pause_within_old_majors", pgconf.V9_4, 11, "restore_command = 'x'\npause_at_recovery_target = off\nrecovery_target_xid = 99\n", []string{"recovery.conf:2: "}, "", func(t *testing.T, m *memory) {
			require.Equal(t, "restore_command = 'x'\nrecovery_target_action = promote\nrecovery_target_xid = 99\nrecovery_target_inclusive = 'on'\n", m.files["recovery.conf"])
		}},
		{"overruled_target", pgconf.V9_3, 12, "restore_command = 'x'\nrecovery_target_xid = 99\nrecovery_target_name = 'a'\n", []string{"recovery.conf:3: "}, "", func(t *testing.T, m *memory) {
			require.NotContains(t, m.files[recovery.SettingsFile], "recovery_target_name")
		}},
		{"trigger_for_16", 11, 16, "standby_mode = on\nprimary_conninfo = 'host=h'\ntrigger_file = '/t'\n", []string{"recovery.conf:3: "}, "", func(t *testing.T, m *memory) {
			require.NotContains(t, m.files[recovery.SettingsFile], "trigger")
		}},
		{"9.0_grammar", pgconf.V9_0, 15, "standby_mode = xx 'on'\nrestore_command = 'copy \\\\srv\\%f %p'\n", nil, "", func(t *testing.T, m *memory) {
			require.Contains(t, m.files[recovery.SettingsFile], `restore_command = 'copy \\\\srv\\%f %p'`)
		}},
		{"not_9.0_grammar", pgconf.V9_0, 15, "standby_mode = on\n", nil, "9.0 wants", nil},
		{"does_not_start", 11, 15, "standby_mod = on\n", nil, "no such parameter", nil},
		{"syntax", 11, 15, "standby_mode = 'marker\n", nil, "line 1", nil},
		{"include", 11, 15, "include_if_exists 'x'\nrestore_command = x\n", nil, "put their lines here", nil},
		{"no_source", 11, 15, "standby_mode = on\n", nil, "both empty", nil},
		{"from_12", 12, 15, "restore_command = x\n", nil, "9.0 to 11", nil},
		{"backwards", 11, pgconf.V9_6, "restore_command = x\n", nil, "older", nil},
		{"interrupted_apply", 11, 15, "# understudy is changing the role of this server, and so on\n", nil, "interrupted", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMemory(dir(tc.to, recovery.RecoveryConf, tc.conf))
			remarks, err := migrate(t, m, tc.from)
			var text []string
			for _, r := range remarks {
				text = append(text, r.String())
			}
			for _, says := range tc.says {
				require.Contains(t, strings.Join(text, "\n"), says)
			}
			if tc.refused != "" {
				require.ErrorContains(t, err, tc.refused)
				require.NotContains(t, err.Error(), "marker")
				require.Empty(t, m.writes)
				return
			}
			require.NoError(t, err)
			tc.after(t, m)
		})
	}
	m := newMemory(dir(15))
	_, err := migrate(t, m, 11)
	require.True(t, errors.As(err, new(*recovery.DataDirError)))
}
