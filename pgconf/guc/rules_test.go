package guc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

func ExampleCheck() {
	f, err := pgconf.Parse("postgresql.conf", []byte("wal_level = minimal\narchive_mode = on\nsynchronous_standby_names = 'berlin'\n"))
	if err != nil {
		panic(err)
	}
	problems := guc.Check(guc.Situation{Major: 17, Settings: f.Settings(), Standbys: []string{"munich"}})
	for _, p := range problems {
		fmt.Println(p.Severity, p.Code)
	}
	fmt.Println(problems[0])
	// Output:
	// error wal-level-too-low
	// error wal-level-too-low
	// error sync-unsatisfiable
	// warning archive-without-command
	// warning sync-unknown-name
	// warning listen-local
	// postgresql.conf:1: error: wal_level is minimal and max_wal_senders is not 0: the server does not start; set wal_level = replica, or max_wal_senders = 0 on a server without standbys
}

// situations are configurations and what is wrong with them: "code" for an error, "code?" for a warning, "code." for less.
var situations = []struct {
	name     string
	major    pgconf.Major
	settings string
	standby  bool
	primary  string // with one: what the primary has
	standbys string // blank separated; "none" for none
	want     string
}{
	{name: "defaults of every major", major: 17},
	{name: "md5 by default", major: 13, want: "weak-passwords."},

	{name: "connections below the primary's", major: 17, settings: "max_connections = 50\nprimary_conninfo = 'x'", standby: true, primary: "max_connections = 100", want: "standby-below-primary"},
	{name: "connections below the primary's default", major: 17, settings: "max_connections = 50\nprimary_conninfo = 'x'", standby: true, primary: "port = 1", want: "standby-below-primary"},
	{name: "unknown primary", major: 17, settings: "max_connections = 50\nprimary_conninfo = 'x'", standby: true},
	{name: "no standby", major: 17, settings: "max_connections = 50", primary: "max_connections = 100"},
	{name: "cold standby", major: 17, settings: "max_connections = 50\nhot_standby = off\nprimary_conninfo = 'x'", standby: true, primary: "port = 1", want: "standby-below-primary?"},
	{name: "senders from 12 on", major: 12, settings: "max_wal_senders = 5\nprimary_conninfo = 'x'", standby: true, primary: "max_wal_senders = 9", want: "standby-below-primary weak-passwords."},
	{name: "senders up to 11", major: 11, settings: "max_wal_senders = 5", standby: true, primary: "max_wal_senders = 9", want: "weak-passwords."},
	{name: "all five", major: 17, settings: "max_connections = 50\nmax_prepared_transactions=1\nmax_locks_per_transaction=64\nmax_worker_processes=4\nmax_wal_senders=3\nprimary_conninfo = 'x'",
		standby: true, primary: "max_prepared_transactions=2\nmax_locks_per_transaction=65",
		want: "standby-below-primary standby-below-primary standby-below-primary standby-below-primary standby-below-primary"},
	{name: "the same", major: 17, settings: "max_connections = 100\nprimary_conninfo = 'x'", standby: true, primary: "max_connections = 100"},

	{name: "minimal primary", major: 14, settings: "hot_standby = off\nprimary_conninfo = 'x'", standby: true, primary: "wal_level = minimal", want: "primary-wal-level"},
	{name: "minimal primary, cold standby of 13", major: 13, settings: "hot_standby = off\nprimary_conninfo = 'x'", standby: true, primary: "wal_level = minimal", want: "primary-wal-level? weak-passwords."},
	{name: "minimal primary, hot standby of 13", major: 13, settings: "primary_conninfo = 'x'", standby: true, primary: "wal_level = minimal", want: "primary-wal-level weak-passwords."},
	{name: "archive level", major: v95, settings: "hot_standby = on", standby: true, primary: "wal_level = archive", want: "primary-wal-level"},

	{name: "minimal with default senders", major: 17, settings: "wal_level = minimal", want: "wal-level-too-low"},
	{name: "minimal without senders", major: 17, settings: "wal_level = minimal\nmax_wal_senders = 0"},
	{name: "minimal 9.6", major: v96, settings: "wal_level = minimal"},
	{name: "minimal with archive", major: 17, settings: "wal_level = minimal\nmax_wal_senders = 0\narchive_mode = always\narchive_command = 'x %p'", want: "wal-level-too-low"},
	{name: "minimal with summaries", major: 17, settings: "wal_level = minimal\nmax_wal_senders = 0\nsummarize_wal = on", want: "wal-level-too-low"},
	{name: "minimal with slots", major: 17, settings: "wal_level = minimal\nmax_wal_senders = 0\nmax_replication_slots = 3", want: "slots-without-wal?"},

	{name: "all reserved", major: 17, settings: "max_connections = 3", want: "no-connections-left"},
	{name: "reserved for others too", major: 16, settings: "max_connections = 10\nreserved_connections = 7", want: "no-connections-left"},
	{name: "one left", major: 16, settings: "max_connections = 10\nreserved_connections = 6"},
	{name: "11 counts senders", major: 11, settings: "max_connections = 13\nmax_wal_senders = 10", want: "no-connections-left weak-passwords."},
	{name: "10 compares senders", major: 10, settings: "max_connections = 10", want: "senders-exceed-connections weak-passwords."},
	{name: "12 does not", major: 12, settings: "max_connections = 10", want: "weak-passwords."},

	{name: "min_wal_size", major: 17, settings: "min_wal_size = 16MB", want: "wal-size-too-small"},
	{name: "two segments", major: 17, settings: "min_wal_size = 32MB\nmax_wal_size = 32MB"},
	{name: "max_wal_size", major: 11, settings: "max_wal_size = 31MB", want: "wal-size-too-small weak-passwords."},
	{name: "one sender", major: 17, settings: "max_wal_senders = 1", want: "few-senders?"},
	{name: "too few senders", major: 17, settings: "listen_addresses = '*'\nmax_wal_senders = 1", standbys: "a b", want: "few-senders"},
	{name: "no room for a backup", major: 17, settings: "listen_addresses = '*'\nmax_wal_senders = 2", standbys: "a b", want: "few-senders?"},

	{name: "archive without command", major: 17, settings: "archive_mode = on", want: "archive-without-command?"},
	{name: "archive with library", major: 17, settings: "archive_mode = on\narchive_library = 'x'"},
	{name: "command without archive", major: 17, settings: "archive_command = 'x'", want: "command-without-archive?"},
	{name: "both", major: 16, settings: "archive_mode = on\narchive_command = 'x'\narchive_library = 'x'", want: "archive-command-and-library"},
	{name: "both in 15", major: 15, settings: "archive_mode = on\narchive_command = 'x'\narchive_library = 'x'", want: "archive-command-and-library?"},
	{name: "shared archive", major: 17, settings: "archive_mode = always\narchive_command = 'x'\nprimary_conninfo = 'x'", standby: true, primary: "archive_command = 'x'", want: "shared-archive?"},
	{name: "own archive", major: 17, settings: "archive_mode = always\narchive_command = 'y'\nprimary_conninfo = 'x'", standby: true, primary: "archive_command = 'x'"},
	{name: "placeholder", major: 16, settings: "restore_command = 'x %d'", want: "bad-placeholder"},
	{name: "placeholder in 15", major: 15, settings: "restore_command = 'x %d'"},
	{name: "shell variable", major: 17, settings: "archive_mode = on\narchive_command = 'cp %p $REP_ARCHIVE/%f'", want: "shell-variable?"},
	{name: "shell variable in braces", major: 17, settings: "archive_mode = on\narchive_command = 'cp %p ${REP_ARCHIVE}/%f'", want: "shell-variable?"},
	{name: "known shell variables", major: 17, settings: "archive_mode = on\narchive_command = 'd=x; cp %p $HOME/$d/%f; for i in 1; do echo $i $1 $(date); done $'"},
	{name: "old directory", major: 10, settings: "archive_mode = on\narchive_command = 'cp /d/pg_xlog/%f x'", want: "old-directory? weak-passwords."},
	{name: "like an old directory", major: 17, settings: "archive_mode = on\narchive_command = 'cp /d/pg_xlogs/%f x'"},

	{name: "two targets", major: 12, settings: "recovery_target_xid = 1\nrecovery_target_name = 'x'", want: "two-recovery-targets weak-passwords."},
	{name: "empty after another", major: 17, settings: "recovery_target_xid = 1\nrecovery_target_name = ''", want: "two-recovery-targets"},
	{name: "empty before another", major: 17, settings: "recovery_target_name = ''\nrecovery_target_xid = 1"},
	{name: "the same twice", major: 17, settings: "recovery_target_xid = 2\nrecovery_target_xid = 1"},
	{name: "two targets that are no parameters", major: 11, settings: "port = 1", want: "weak-passwords."},
	{name: "standby without source", major: 17, standby: true, want: "no-wal-source?"},
	{name: "slot only", major: 17, settings: "primary_slot_name = 's'", want: "slot-without-primary?"},
	{name: "slot sync", major: 17, settings: "sync_replication_slots = on\nprimary_conninfo = 'host=x'", standby: true, want: "slot-sync?"},
	{name: "slot sync complete", major: 17, standby: true,
		settings: "sync_replication_slots = on\nprimary_conninfo = 'host=x dbname=d'\nprimary_slot_name = s\nhot_standby_feedback = on\nwal_level = logical"},

	{name: "sync syntax", major: 17, settings: "synchronous_standby_names = 'a-b'", want: "sync-syntax"},
	{name: "sync syntax 9.5", major: v95, settings: "wal_level = hot_standby\nmax_wal_senders = 3\nsynchronous_standby_names = 'a-b'"},
	{name: "sync, unknown standbys", major: 17, settings: "synchronous_standby_names = 'a'"},
	{name: "sync, more than names", major: 17, settings: "synchronous_standby_names = '2 (a)'", want: "sync-unsatisfiable?"},
	{name: "sync, any", major: 17, settings: "synchronous_standby_names = '2 (*)'", want: "sync-any-name?"},
	{name: "sync, nobody", major: 17, settings: "synchronous_standby_names = 'a'", standbys: "none", want: "sync-unsatisfiable sync-unknown-name?"},
	{name: "sync, the only one", major: 17, settings: "listen_addresses = '*'\nsynchronous_standby_names = 'a'", standbys: "A", want: "sync-no-spare?"},
	{name: "sync, one to spare", major: 17, settings: "listen_addresses = '*'\nsynchronous_standby_names = 'ANY 1 (a, b)'", standbys: "a b"},
	{name: "sync, all by any", major: 17, settings: "listen_addresses = '*'\nsynchronous_standby_names = '*'", standbys: "a", want: "sync-any-name? sync-no-spare?"},
	{name: "sync, two of one name", major: 17, settings: "listen_addresses = '*'\nsynchronous_standby_names = 'ANY 2 (a)'", standbys: "a a a"},
	{name: "sync, two too few", major: 17, settings: "listen_addresses = '*'\nsynchronous_standby_names = 'ANY 2 (a, b)'", standbys: "a c", want: "sync-unsatisfiable sync-unknown-name?"},
	{name: "sync, not awaited", major: 17, settings: "synchronous_commit = local\nsynchronous_standby_names = 'a'", want: "sync-not-awaited?"},
	{name: "sync, no senders", major: 17, settings: "max_wal_senders = 0\nsynchronous_standby_names = 'a'", want: "sync-unsatisfiable"},

	{name: "listen local", major: 17, standbys: "a", want: "listen-local?"},
	{name: "listen nowhere", major: 17, settings: "listen_addresses = ''", standbys: "a", want: "listen-local?"},
	{name: "listen loopback", major: 17, settings: "listen_addresses = '127.0.0.1, ::1'", standbys: "a", want: "listen-local?"},
	{name: "listen, nobody to come", major: 17, settings: "listen_addresses = ''"},
	{name: "listen range", major: 17, settings: "listen_addresses = '10.0.0.0/8'", want: "listen-address listen-address?"},
	{name: "listen range and address", major: 17, settings: "listen_addresses = '10.0.0.0/8, 10.0.0.1'", want: "listen-address?"},
	{name: "listen blank", major: 17, settings: "listen_addresses = 'localhost 10.0.0.1'", want: "listen-address"},
	{name: "listen port", major: 17, settings: "listen_addresses = 'localhost,10.0.0.1:5432'", want: "listen-address?"},
	{name: "listen names", major: 17, settings: "listen_addresses = 'db-1.example, fe80::1%eth0, 0.0.0.0'", standbys: "a"},

	{name: "md5", major: 14, settings: "password_encryption = md5", want: "weak-passwords?"},
	{name: "clear text", major: v96, settings: "password_encryption = off", want: "weak-passwords?"},
	{name: "md5 9.6", major: v96, settings: "password_encryption = on"},
	{name: "workers", major: 18, settings: "max_parallel_workers = 10\nautovacuum_max_workers = 17", want: "workers-over-pool? workers-over-pool?"},
	{name: "small pool", major: 18, settings: "max_worker_processes = 2"},

	{name: "too old", major: 13, settings: "wal_keep_segments = 3\npassword_encryption = scram-sha-256", want: "wrong-major"},
	{name: "too old twice", major: 17, settings: "wal_keep_segments = 3\nWAL_keep_segments = 4", want: "wrong-major wrong-major"},
	{name: "in no major", major: 17, settings: "wal_keep_segmants = 3\na.b = 1"},
	{name: "too new", major: 12, settings: "wal_keep_size = 3\npassword_encryption = scram-sha-256", want: "wrong-major"},
	{name: "recovery.conf", major: 11, settings: "standby_mode = on\npassword_encryption = scram-sha-256", want: "wrong-major"},
	{name: "unknown", major: 17, settings: "bogus = 1\nx.y = 2"},
	{name: "not valid", major: 17, settings: "max_connections = many\nwal_level = full\nmax_wal_senders = -1\nlisten_addresses = '*'", standbys: "a"},
}

func situation(t *testing.T, i int) guc.Situation {
	t.Helper()
	test := situations[i]
	s := guc.Situation{Major: test.major, Settings: settingsOf(t, test.settings), Standby: test.standby}
	if test.primary != "" {
		s.Primary = settingsOf(t, test.primary)
	}
	if test.standbys != "" {
		s.Standbys = strings.Fields(strings.ReplaceAll(test.standbys, "none", ""))
	}
	return s
}

func TestCheck(t *testing.T) {
	for i, test := range situations {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range guc.Check(situation(t, i)) {
				got = append(got, string(p.Code)+map[guc.Severity]string{guc.Error: "", guc.Warning: "?", guc.Info: "."}[p.Severity])
				require.NotEmpty(t, p.Message)
				require.NotEmpty(t, p.Remedy)
				require.NotEmpty(t, p.Settings)
				for _, s := range p.Settings {
					require.NotEmpty(t, s.Name)
				}
			}
			require.Equal(t, test.want, strings.Join(got, " "))
		})
	}
}

func TestProblemPlaces(t *testing.T) {
	p := guc.Check(guc.Situation{Major: 17, Settings: settingsOf(t, "port = 1\nwal_level = minimal")})
	require.Len(t, p, 1)
	require.Equal(t, 2, p[0].Settings[0].Line)
	require.Equal(t, pgconf.Setting{Name: "max_wal_senders", Spelling: "max_wal_senders", Value: "10"}, p[0].Settings[1])
	require.True(t, strings.HasPrefix(p[0].String(), "postgresql.conf:2: error: "))
	p = guc.Check(guc.Situation{Major: 13, Settings: settingsOf(t, "port = 1")})
	require.True(t, strings.HasPrefix(p[0].String(), "info: "))
	text, err := p[0].Severity.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "info", string(text))
}

// Rules say nothing about what the defaults of a major are.
func TestCheckDefaults(t *testing.T) {
	for m := pgconf.Oldest; m <= pgconf.Newest; m++ {
		for _, p := range guc.Check(guc.Situation{Major: m}) {
			require.Equal(t, guc.WeakPasswords, p.Code, "%s: %s", m, p)
		}
	}
}
