package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/internal/localpg"
	"github.com/understudy-ha/understudy/internal/pgtest"
	"github.com/understudy-ha/understudy/topology/host"
	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

// judged is a directory and a call of pg_archivecleanup for it.
type judged struct {
	files   []string
	call    catalog.PgCleanup
	args    string
	planned []string // what the program would remove, and did
	left    []string
	failed  bool
}

func randomJudged(r *rand.Rand, backupHistory bool) judged {
	var j judged
	for range r.IntN(30) {
		j.files = append(j.files, randomName(r))
	}
	slices.Sort(j.files)
	j.files = slices.Compact(j.files)
	j.call = catalog.PgCleanup{Oldest: randomName(r), Extension: []string{"", "", ".gz", ".partial", "0", ".backup", ".gz.gz"}[r.IntN(7)]}
	if r.IntN(2) == 0 {
		j.call.Oldest = fmt.Sprintf("%08X%08X%08X", r.IntN(3), r.IntN(2), r.IntN(5))
	}
	if j.call.Extension != "" {
		j.args += " -x " + j.call.Extension
	}
	if backupHistory && r.IntN(2) == 0 {
		j.call.BackupHistory = true
		j.args += " -b"
	}
	return j
}

// randomName is mostly that of a segment, and else what a strict and a sloppy look at a name tell apart.
func randomName(r *rand.Rand) string {
	stem := fmt.Sprintf("%08X%08X%08X", r.IntN(3), r.IntN(2), r.IntN(5))
	endings := []string{".partial", ".00000028.backup", ".28.backup", ".backup", ".x.backup", ".00000028.backup.gz", ".gz", ".partial.gz", ".tmp",
		"0", "a", ".PARTIAL", ".history", ".0000002G.backup", "..backup", "A.00000028.backup", ".partial.partial", ".gz.gz", "backup", ".repair-1"}
	switch r.IntN(12) {
	case 0:
		return "0000000" + fmt.Sprint(r.IntN(4)) + ".history"
	case 1:
		return strings.ToLower("0000000100000000000000") + "0a"
	case 2:
		return stem[1:]
	case 3, 4, 5, 6, 7, 8:
		return stem + endings[r.IntN(len(endings))]
	}
	return stem
}

// program is the shell script that tries all cases with a pg_archivecleanup and says what came of it.
func program(bin string, cases []judged) string {
	var b strings.Builder
	b.WriteString("set -e\nexport LC_ALL=C\nD=$(mktemp -d)\ncd $D\n")
	for _, j := range cases {
		b.WriteString("mkdir d\n")
		for _, f := range j.files {
			b.WriteString(": > d/" + f + "\n")
		}
		call := bin + j.args
		fmt.Fprintf(&b, "%s -n d %s 2>&- && echo =ok || echo =failed\n", call, j.call.Oldest)
		fmt.Fprintf(&b, "%s d %s 2>&- || true\nls -A d\necho =end\nrm -r d\n", call, j.call.Oldest)
	}
	b.WriteString("cd /\nrmdir $D\n")
	return b.String()
}

// answers fills in what the script said.
func answers(t *testing.T, out string, cases []judged) {
	t.Helper()
	parts := strings.Split(strings.TrimSuffix(out, "=end\n"), "=end\n")
	require.Len(t, parts, len(cases), "the script broke off: %s", out[max(0, len(out)-500):])
	for i, part := range parts {
		planned, left, ok := strings.Cut(part, "=ok\n")
		if !ok {
			planned, left, cases[i].failed = "", strings.TrimPrefix(part, "=failed\n"), true
		}
		for line := range strings.Lines(planned) {
			cases[i].planned = append(cases[i].planned, strings.TrimPrefix(strings.TrimSpace(line), "d/"))
		}
		slices.Sort(cases[i].planned)
		cases[i].left = strings.Fields(left)
	}
}

func compare(t *testing.T, cases []judged) {
	t.Helper()
	removed, failed := 0, 0
	for _, j := range cases {
		got, err := j.call.Plan(j.files)
		require.Equal(t, j.failed, err != nil, "%+v: %v", j, err)
		require.Equal(t, j.planned, got, "%+v", j)
		left := slices.DeleteFunc(slices.Clone(j.files), func(n string) bool { return slices.Contains(got, n) })
		require.ElementsMatch(t, j.left, left, "%+v", j)
		removed += len(got)
		if j.failed {
			failed++
		}
	}
	require.Greater(t, removed, len(cases), "the directories are too plain")
	require.Greater(t, failed, len(cases)/20)
	require.Less(t, failed, len(cases)*19/20)
}

func randomCases(n int, seed uint64, backupHistory bool) []judged {
	r := rand.New(rand.NewPCG(seed, 2))
	cases := make([]judged, n)
	for i := range cases {
		cases[i] = randomJudged(r, backupHistory)
	}
	return cases
}

// The program of the machine's own PostgreSQL.
func TestPgCleanup_oracle(t *testing.T) {
	const bin = "/usr/lib/postgresql/15/bin/pg_archivecleanup"
	if _, err := os.Stat(bin); err != nil {
		localpg.Missing(t, "no pg_archivecleanup of PostgreSQL 15: "+err.Error())
	}
	cases := randomCases(200, 15, false)
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte(program(bin, cases)), 0o600))
	cmd := exec.CommandContext(t.Context(), "sh", script)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.Output()
	require.NoError(t, err)
	answers(t, string(out), cases)
	compare(t, cases)
}

// The programs of other majors; 17 and later have -b.
func TestContainerPgCleanup(t *testing.T) {
	for _, major := range []int{17, 18} {
		t.Run(fmt.Sprintf("major=%d", major), func(t *testing.T) {
			n := pgtest.NewCluster(t, pgtest.Config{Major: major, Nodes: []string{"a"}}).Node("a")
			cases := randomCases(120, uint64(major), major >= 17)
			require.NoError(t, n.Host().WriteFile(t.Context(), "/tmp/script", []byte(program(n.Bin("pg_archivecleanup"), cases)), 0o600))
			r, err := n.Host().Run(t.Context(), host.Cmd{Path: "/bin/sh", Args: []string{"/tmp/script"}})
			require.NoError(t, err)
			answers(t, string(r.Stdout), cases)
			compare(t, cases)
		})
	}
}

var cleanupFiles = []string{
	"000000010000000000000001", "000000010000000000000002", "000000010000000000000003",
	"000000010000000000000003.partial", "000000010000000000000002.partial", "000000010000000000000002.00000028.backup",
	"000000020000000000000001", "000000020000000000000003", "000000030000000100000000", "00000002.history",
	"000000010000000000000001.gz", "000000010000000000000002.partial.gz", catalog.MarkerName,
	"00000001000000000000000a", "0000000100000000000000010", "000000010000000000000001.tmp", "notes.txt", "",
}

// The vectors that were tried with 9.3 and 15.
func TestPgCleanup(t *testing.T) {
	before3 := []string{"000000010000000000000001", "000000010000000000000002", "000000010000000000000002.partial", "000000020000000000000001"}
	with := func(more ...string) []string { return append(more, before3...) }
	for _, tc := range []struct {
		name string
		call catalog.PgCleanup
		want []string
	}{
		{"segment", catalog.PgCleanup{Oldest: "000000010000000000000003"}, before3},
		{"timeline_does_not_count", catalog.PgCleanup{Oldest: "000000020000000000000003"}, before3},
		{"backup_history", catalog.PgCleanup{Oldest: "000000010000000000000003.00000028.backup"}, before3},
		{"partial", catalog.PgCleanup{Oldest: "000000010000000000000003.partial"}, before3},
		{"with_backup_histories", catalog.PgCleanup{Oldest: "000000010000000000000003", BackupHistory: true}, with("000000010000000000000002.00000028.backup")},
		{"extension", catalog.PgCleanup{Oldest: "000000010000000000000003", Extension: ".gz"}, with("000000010000000000000001.gz", "000000010000000000000002.partial.gz")},
		{"extension_of_both", catalog.PgCleanup{Oldest: "000000010000000000000003.gz", Extension: ".gz"}, with("000000010000000000000001.gz", "000000010000000000000002.partial.gz")},
		{"unknown_yet", catalog.PgCleanup{Oldest: "000000000000000000000000"}, nil},
		{"first", catalog.PgCleanup{Oldest: "000000010000000000000001"}, nil},
		{"everything", catalog.PgCleanup{Oldest: "00000001FFFFFFFF000000FF"}, with("000000010000000000000003", "000000010000000000000003.partial",
			"000000020000000000000003", "000000030000000100000000")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.call.Plan(cleanupFiles)
			require.NoError(t, err)
			require.ElementsMatch(t, tc.want, got)
		})
	}
}

func TestPgCleanup_refused(t *testing.T) {
	for _, oldest := range []string{"", "00000002.history", "000000010000000000000003.gz", "%r", "00000001000000000000000a"} {
		_, err := catalog.PgCleanup{Oldest: oldest}.Plan(cleanupFiles)
		var syntax *wal.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", oldest)
	}
}
