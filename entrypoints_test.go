package understudy_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shownTrees are the folders in which each exported function and method is used by a runnable example. The other packages
// follow as they are completed.
var shownTrees = []string{"pgconf"}

// interfaceMethods are called by fmt, errors, log/slog and the encoders rather than by users.
var interfaceMethods = []string{
	"Error", "Unwrap", "Is", "As", "String", "GoString", "Format", "LogValue", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON",
}

func TestEveryEntryPointIsInAnExample(t *testing.T) {
	checked := 0
	for _, tree := range shownTrees {
		err := filepath.WalkDir(tree, func(dir string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "internal" || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			files := parseDir(t, dir)
			if len(files) == 0 {
				return nil
			}
			shown := usedInExamples(files)
			for _, entry := range entryPoints(t, dir, files) {
				checked++
				if name := entry[strings.LastIndexByte(entry, '.')+1:]; !shown[name] {
					t.Errorf("%s: %s is in no Example function with an Output comment", dir, entry)
				}
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.Greater(t, checked, 30, "too few entry points found")
}

// parseDir parses the Go files of a folder, tests included.
func parseDir(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		f, err := parser.ParseFile(fileSet, name, source, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, f)
	}
	return files
}

var fileSet = token.NewFileSet()

// usedInExamples returns all names that runnable examples select, as Set in f.Set(…).
func usedInExamples(files []*ast.File) map[string]bool {
	used := map[string]bool{}
	for _, example := range doc.Examples(files...) {
		if example.Output == "" && !example.EmptyOutput {
			continue
		}
		ast.Inspect(example.Code, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				used[s.Sel.Name] = true
			}
			return true
		})
	}
	return used
}

// entryPoints returns the exported functions and methods of a package, as Parse and File.Set.
func entryPoints(t *testing.T, dir string, files []*ast.File) []string {
	t.Helper()
	files = slices.DeleteFunc(slices.Clone(files), func(f *ast.File) bool {
		return strings.HasSuffix(fileSet.Position(f.Package).Filename, "_test.go")
	})
	if len(files) == 0 {
		return nil
	}
	p, err := doc.NewFromFiles(fileSet, files, module+"/"+dir)
	require.NoError(t, err)
	var all []string
	add := func(prefix string, functions []*doc.Func) {
		for _, f := range functions {
			if ast.IsExported(f.Name) && (prefix == "" || !slices.Contains(interfaceMethods, f.Name)) {
				all = append(all, prefix+f.Name)
			}
		}
	}
	add("", p.Funcs)
	for _, typ := range p.Types {
		add("", typ.Funcs)
		if ast.IsExported(typ.Name) {
			add(typ.Name+".", typ.Methods)
		}
	}
	return all
}
