package guc_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
	"github.com/understudy-ha/understudy/pgconf/internal/oracle"
)

// starts asks a server's program whether it would start with a postgresql.conf, as far as single settings go, and returns what it says
// against it.
func starts(t *testing.T, s *oracle.Server, text []byte) (complaint string) {
	t.Helper()
	file := filepath.Join(s.Socket, "translated.conf")
	require.NoError(t, os.WriteFile(file, text, 0o644)) //nolint:gosec // the server reads it
	cmd := exec.CommandContext(t.Context(), s.Bin("postgres"), "-C", "port", "-D", s.Data, "-c", "config_file="+file)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err == nil {
		return ""
	}
	return "refused: " + errs.String()
}

// unset are parameters that the tests of Translate do not set: a build or machine refuses the values, they exclude each other, or
// say where the server's files are.
var unset = []string{
	"bonjour", "data_directory", "config_file", "hba_file", "ident_file", "log_statement_stats", "max_stack_depth", "huge_page_size",
	"transaction_isolation", "transaction_read_only", "transaction_deferrable", "session_authorization", "role",
	"recovery_target", "recovery_target_lsn", "recovery_target_time", "recovery_target_xid", "extension_destdir", "seed", "dynamic_library_path",
	"lc_messages", "lc_monetary", "lc_numeric", "lc_time", "default_text_search_config", "default_tablespace", "temp_tablespaces",
	"effective_io_concurrency", "maintenance_io_concurrency", "debug_io_direct", "wal_sync_method", "timezone_abbreviations",
	"jit_debugging_support", "jit_profiling_support", "recovery_prefetch", "xmlbinary", "trace_sort", "trace_locks", "default_with_oids",
}

// together are limits that must not exceed one in sum.
var together = []string{"max_connections", "autovacuum_max_workers", "autovacuum_worker_slots", "max_worker_processes", "max_wal_senders"}

// written returns a file that sets very many parameters, with the values that choose returns for them.
func written(t *testing.T, m pgconf.Major, choose func(p guc.Param) string) []byte {
	t.Helper()
	var text bytes.Buffer
	for _, p := range guc.Params(m) {
		name := strings.ToLower(p.Name)
		if p.Context == guc.Internal || p.Hidden || p.Varies || slices.Contains(unset, name) {
			continue
		}
		value := choose(p)
		if p.Type == guc.String && value == "" && p.Default != "" {
			continue // nothing is known to try
		}
		if guc.Validate(m, name, value) == nil {
			text.WriteString(line(t, name, value))
		}
	}
	return text.Bytes()
}

// choices are the ways in which the files of the tests get their values.
var choices = []struct {
	name   string
	choose func(p guc.Param) string
}{
	{"defaults", defaultText},
	{"other values", func(p guc.Param) string {
		v, err := p.Parse(p.Default)
		if err != nil {
			return texts[strings.ToLower(p.Name)]
		}
		return other(p, v)
	}},
	{"least", func(p guc.Param) string { return bound(p, p.Min) }},
	{"most", func(p guc.Param) string {
		if slices.Contains(together, strings.ToLower(p.Name)) {
			return p.Default
		}
		return bound(p, p.Max)
	}},
	{"last words", func(p guc.Param) string {
		switch p.Type {
		case guc.Bool:
			return "tr"
		case guc.Enum:
			for _, v := range slices.Backward(p.Values) {
				if !v.Varies {
					return strings.ToUpper(v.Name)
				}
			}
		case guc.String:
			return texts[strings.ToLower(p.Name)]
		}
		return p.Default + " "
	}},
}

func bound(p guc.Param, n float64) string {
	if p.Type == guc.Int || p.Type == guc.Real {
		return strconv.FormatFloat(n, 'g', 17, 64)
	}
	return texts[strings.ToLower(p.Name)]
}

// requireStarts translates a file and wants the server to accept it but for the lines with an error, and to refuse each of
// those.
func requireStarts(t *testing.T, s *oracle.Server, from pgconf.Major, text []byte) (settings, refused int) {
	t.Helper()
	to := pgconf.Major(s.Major)
	f, err := pgconf.Parse("p", text)
	require.NoError(t, err)
	remarks, err := guc.Translate(f, from, to)
	require.NoError(t, err)
	bad := map[int]bool{}
	for _, r := range remarks {
		if r.Severity == guc.Error && r.Code == "" && r.Line > 0 {
			bad[r.Line] = true
		}
	}
	var good bytes.Buffer
	lines := strings.SplitAfter(string(f.Bytes()), "\n")
	for i, l := range lines {
		if !bad[i+1] {
			good.WriteString(l)
		}
	}
	require.Empty(t, starts(t, s, good.Bytes()), "%s to %s", from, to)
	for i := range bad {
		require.NotEmpty(t, starts(t, s, []byte(lines[i-1])), "%s to %s: %s", from, to, lines[i-1])
	}
	return len(f.Settings()), len(bad)
}

func TestOracleTranslate(t *testing.T) {
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		settings, refused := 0, 0
		for from := pgconf.Major(10); from <= pgconf.Newest; from++ {
			for _, c := range choices {
				text := written(t, from, c.choose)
				t.Run(fmt.Sprintf("from=%s/%s", from, c.name), func(t *testing.T) {
					n, bad := requireStarts(t, s, from, text)
					settings, refused = settings+n, refused+bad
				})
			}
		}
		t.Logf("%d settings, %d of them to be refused", settings, refused)
	})
}

// packaged are the files that initdb made, by major.
var packaged = map[int]string{}

func TestOracleTranslatePackaged(t *testing.T) {
	var mu sync.Mutex // the servers take turns at packaged
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		b, err := os.ReadFile(s.Path("postgresql.conf"))
		require.NoError(t, err)
		text := uncommented(t, pgconf.Major(s.Major), string(b))
		mu.Lock()
		packaged[s.Major] = text
		mu.Unlock()
		require.Empty(t, starts(t, s, []byte(text)), "the uncommented file of the server itself")
	})
	oracle.Each(t, func(t *testing.T, s *oracle.Server) {
		for from, text := range packaged {
			n, _ := requireStarts(t, s, pgconf.Major(from), []byte(text))
			require.Greater(t, n, 190)
			pinned := pgconf.New("p")
			_, err := guc.Translation{From: pgconf.Major(from), To: pgconf.Major(s.Major), Pin: true}.Apply(pinned)
			require.NoError(t, err)
			require.Empty(t, starts(t, s, pinned.Bytes()), "defaults of %d", from)
		}
		for _, r := range recoveries {
			recovery, err := guc.ParseRecoveryConf("r", []byte(r.text), r.from)
			require.NoError(t, err)
			main := pgconf.New("p")
			_, err = guc.Translation{From: r.from, To: pgconf.Major(max(s.Major, 12)), RecoveryConf: recovery}.Apply(main)
			require.NoError(t, err)
			if s.Major >= 12 {
				require.Empty(t, starts(t, s, main.Bytes()), r.name)
			}
		}
	})
}

// uncommented takes the # away from the settings of a packaged file.
func uncommented(t *testing.T, m pgconf.Major, text string) string {
	t.Helper()
	var b strings.Builder
	for l := range strings.Lines(text) {
		if f, err := pgconf.Parse("", []byte(strings.TrimPrefix(l, "#"))); err == nil && strings.HasPrefix(l, "#") && len(f.Settings()) == 1 {
			s := f.Settings()[0]
			p, ok := guc.Lookup(m, s.Name)
			if ok && p.Context != guc.Internal && !slices.Contains(unset, s.Name) && guc.Validate(m, s.Name, s.Value) == nil {
				l = strings.TrimPrefix(l, "#")
			}
		}
		b.WriteString(l)
	}
	return b.String()
}
