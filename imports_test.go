package understudy_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/understudy-ha/understudy"

// pkg is what go list says about a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

// standardOnly are the packages that import the standard library and each other only, so that who imports them compiles
// nothing else. Each with the reason.
var standardOnly = map[string]string{
	"pgconf":               "a configuration editor must be embeddable everywhere",
	"pgconf/guc":           "as pgconf",
	"pgconf/hba":           "as pgconf",
	"pgconf/conninfo":      "as pgconf",
	"recovery":             "settings and judgements are values; what connects is a package of its own",
	"recovery/command":     "as pgconf",
	"recovery/datadir":     "leaf values and readers for everyone",
	"walarchive":           "archive_command starts for every segment and must start fast; stores bring their own clients. age's keys are part of its API",
	"walarchive/wal":       "leaf values for everyone",
	"walarchive/catalog":   "decisions about names; pure",
	"walarchive/store/dir": "the store that needs nothing",
	"walarchive/queue":     "leaf values and readers for everyone",
	"topology":             "pure; drivers are in its sub-packages",
	"failover":             "the decisions are pure; agents and leases will be packages of their own",
	"gocd":                 "stands alone, beside the diff it shows",
	"internal/atomicfile":  "used by all of these",
}

// mayImport says which packages of the module each part may import; x/... means x and all below it. The most particular part
// counts. A package that belongs to no part may import nothing of the module, so a new one has to be placed first.
var mayImport = map[string][]string{
	"":                     {},
	"internal/atomicfile":  {},
	"internal/ctxio":       {},
	"internal/localpg":     {},
	"internal/pgserver":    {"internal/localpg", "internal/atomicfile"}, // for tests
	"internal/powerloss":   {"internal/localpg"},                        // for tests
	"internal/s3test":      {"internal/localpg"},                        // for tests
	"internal/script":      {},
	"internal/walsender":   {"pgconf/..."},
	"internal/waltest":     {"walarchive/wal"},   // for tests
	"internal/sshtest":     {"internal/localpg"}, // for tests
	"internal/sshlogin":    {},
	"internal/debiantest":  {"internal/localpg", "internal/sshtest", "topology/host"}, // for tests
	"internal/pgtest":      {"topology/host"},
	"pgconf":               {"pgconf/..."},
	"pgconf/internal":      {"internal/localpg"}, // for tests
	"walarchive/wal":       {},
	"walarchive/codec":     {},
	"walarchive/catalog":   {"walarchive/wal"},
	"walarchive/archiver":  {"walarchive/wal"},
	"walarchive":           {"walarchive/...", "internal/atomicfile", "internal/ctxio"},
	"walarchive/stream":    {"internal/walsender", "walarchive", "walarchive/wal", "pgconf/...", "internal/atomicfile"},
	"recovery":             {"pgconf/...", "recovery/command", "recovery/datadir", "walarchive/wal", "internal/atomicfile"},
	"recovery/basebackup":  {"recovery/datadir", "pgconf/...", "internal/walsender", "walarchive/wal", "internal/atomicfile"},
	"recovery/command":     {"pgconf"},
	"recovery/datadir":     {"pgconf", "walarchive/wal"},
	"recovery/pitr":        {"recovery", "recovery/datadir", "pgconf", "internal/atomicfile"},
	"recovery/promote":     {"recovery", "pgconf/...", "walarchive/wal"},
	"topology":             {"pgconf/...", "recovery", "recovery/command", "recovery/datadir", "walarchive/wal"},
	"topology/build":       {"topology", "topology/host", "topology/pgnode", "topology/pgprobe", "pgconf/...", "recovery/...", "walarchive/wal"},
	"topology/clusterfile": {"topology", "pgconf"},
	"topology/host":        {"topology/host/...", "internal/atomicfile", "internal/sshlogin"},
	"topology/pgnode":      {"topology/host", "pgconf/...", "recovery/...", "walarchive/wal"},
	"topology/pgprobe":     {"topology", "pgconf/...", "walarchive/wal"},
	"topology/internal":    {"topology", "topology/host", "topology/pgnode", "pgconf/...", "recovery/...", "internal/localpg"}, // for tests
	"failover":             {"topology", "walarchive/wal"},
	"gocd":                 {"internal/atomicfile"},
	"examples": {
		"examples/internal/...", "gocd", "failover", "topology/...", "walarchive/...", "recovery/...", "pgconf/...",
	},
	"benchmarks/basebackup":      {"recovery/basebackup", "pgconf/...", "internal/localpg"},
	"benchmarks/walarchive":      {"internal/localpg", "walarchive/wal"}, // what it measures are programs
	"walarchive/store/sftp":      {"walarchive/...", "internal/sshlogin", "internal/ctxio", "internal/atomicfile"},
	"walarchive/store/storetest": {"walarchive/...", "internal/waltest"},
	"examples/pgconf":            {"examples/internal/cli", "pgconf/...", "recovery/...", "internal/atomicfile"},
	"examples/configure":         {"examples/internal/cli", "topology/...", "internal/atomicfile"},
}

// foreign names who may import which module from elsewhere, by prefix of the package; heavy ones stay in leaves.
var foreign = map[string][]string{
	"pgconf/role":                {"github.com/jackc/pgx/v5"},
	"pgconf/role/verifier":       {"golang.org/x/text"},
	"pgconf/internal":            {"github.com/jackc/pgx/v5"}, // for tests
	"recovery/basebackup":        {"github.com/jackc/pgx/v5", "golang.org/x/sys"},
	"walarchive/stream":          {"github.com/jackc/pgx/v5", "github.com/jackc/pglogrepl"},
	"recovery/promote":           {"github.com/jackc/pgx/v5"},
	"topology/pgprobe":           {"github.com/jackc/pgx/v5"},
	"topology/pgnode":            {"github.com/jackc/pgx/v5"},
	"topology/build":             {"github.com/jackc/pgx/v5"},
	"topology/clusterfile":       {"go.yaml.in/yaml/v3"},
	"internal/sshlogin":          {"golang.org/x/crypto"},
	"internal/debiantest":        {"github.com/stretchr/testify"}, // for tests
	"topology/host":              {"golang.org/x/crypto"},
	"walarchive/archiver":        {"github.com/jackc/pgx/v5"},
	"topology/internal":          {"github.com/jackc/pgx/v5", "github.com/stretchr/testify"},
	"internal/walsender":         {"github.com/jackc/pgx/v5"},
	"internal/pgserver":          {"github.com/jackc/pgx/v5", "github.com/stretchr/testify"},
	"internal/s3test":            {"github.com/minio/minio-go/v7"},
	"internal/script":            {"github.com/stretchr/testify"},
	"internal/sshtest":           {"github.com/stretchr/testify", "golang.org/x/crypto"}, // for tests
	"walarchive/store/sftp":      {"github.com/pkg/sftp", "golang.org/x/crypto"},
	"walarchive":                 {"filippo.io/age"},
	"walarchive/codec":           {"filippo.io/age", "github.com/klauspost/compress", "github.com/pierrec/lz4/v4"},
	"walarchive/wal":             {},
	"walarchive/store/dir":       {},
	"walarchive/store/storetest": {"github.com/stretchr/testify", "filippo.io/age"},
	"walarchive/store/s3":        {"github.com/minio/minio-go/v7"},
	"topology/host/hosttest":     {"github.com/stretchr/testify"},
	"internal/pgtest":            {"github.com/testcontainers/testcontainers-go", "github.com/stretchr/testify", "github.com/jackc/pgx/v5", "github.com/docker/", "github.com/moby/", "golang.org/x/sys", "github.com/containerd/errdefs"},
	"gocd":                       {"github.com/aymanbagabas/go-udiff"},
	"benchmarks/basebackup":      {"github.com/jackc/pgx/v5"},
	"benchmarks/walarchive":      {"github.com/jackc/pgx/v5", "golang.org/x/sys"},
	"examples":                   {"filippo.io/age", "go.yaml.in/yaml/v3", "github.com/alecthomas/kong", "github.com/vbauerster/mpb/v8", "github.com/jackc/pgx/v5", "golang.org/x/term"},
}

func TestImports(t *testing.T) {
	packages := list(t, "-deps", "./...")
	byPath := map[string]pkg{}
	for _, p := range packages {
		byPath[p.ImportPath] = p
	}
	checked := 0
	for _, p := range packages {
		name, ours := local(p.ImportPath)
		if !ours {
			continue
		}
		checked++
		for _, imported := range p.Imports {
			if byPath[imported].Standard || imported == "C" || imported == "unsafe" {
				continue
			}
			if problem := check(name, imported); problem != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, problem)
			}
		}
	}
	require.Greater(t, checked, 10, "go list found too few packages of the module")
	for name := range standardOnly {
		require.Contains(t, byPath, module+"/"+name, "a package of the list is gone")
	}
}

// check says what is wrong with a package of the module importing another package, or nothing.
func check(name, imported string) string {
	dependency, ours := local(imported)
	if !ours {
		if why, ok := standardOnly[name]; ok && !allowed(foreign, name, imported) {
			return "it may use the standard library only, because: " + why
		}
		if !allowed(foreign, name, imported) {
			return "not in the list of who may import what from elsewhere"
		}
		return ""
	}
	rule, ok := longest(maps.Keys(mayImport), name)
	if !ok {
		return "the package is not in the list of who may import what"
	}
	for _, target := range mayImport[rule] {
		if tree, deep := strings.CutSuffix(target, "/..."); dependency == target || deep && below(dependency, tree) {
			return ""
		}
	}
	return "imports run one way, and not this one"
}

// The rules themselves are checked: each of these must be refused.
func TestImportRulesRefuse(t *testing.T) {
	for _, c := range []struct{ name, imported string }{
		{"pgconf", "github.com/jackc/pgx/v5"},
		{"topology/pgprobe", module + "/failover"},
		{"topology", module + "/failover"},
		{"failover", "github.com/jackc/pgx/v5"},
		{"failover", module + "/gocd"},
		{"failover", module + "/topology/pgprobe"},
		{"topology", module + "/topology/pgprobe"},
		{"walarchive/wal", module + "/walarchive"},
		{"recovery", module + "/topology"},
		{"pgconf", module + "/recovery"},
		{"gocd", module + "/failover/agent"},
		{"examples/quickstart", module + "/internal/pgtest"},
		{"nobodysplace", module + "/pgconf"},
	} {
		require.NotEmpty(t, check(c.name, c.imported), "%s imports %s", c.name, c.imported)
	}
}

// local returns the path of a package below the module's root.
func local(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// below reports whether path is prefix or lies below it.
func below(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

// longest returns the longest key that name is or lies below.
func longest(keys func(func(string) bool), name string) (string, bool) {
	found, ok := "", false
	for key := range keys {
		if (key == name || key != "" && below(name, key)) && (!ok || len(key) > len(found)) {
			found, ok = key, true
		}
	}
	return found, ok
}

func allowed(rules map[string][]string, name, imported string) bool {
	rule, ok := longest(maps.Keys(rules), name)
	return ok && slices.ContainsFunc(rules[rule], func(prefix string) bool {
		return below(imported, strings.TrimSuffix(prefix, "/"))
	})
}

// list runs go list.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,Standard"}, args...)...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(t, err, problems.String())
	var packages []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}
