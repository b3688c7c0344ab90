package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answers is a person at a terminal who gives these, one after the other, and remembers what was asked.
type answers struct {
	given []string
	asked []string
}

func (a *answers) ask(question string) (string, error) {
	a.asked = append(a.asked, question)
	if len(a.given) == 0 {
		return "", errors.New("nothing more is answered")
	}
	answer := a.given[0]
	a.given = a.given[1:]
	return answer, nil
}

func (a *answers) secret(question string) (string, error) {
	answer, err := a.ask(question)
	a.asked[len(a.asked)-1] = "secret: " + question
	return answer, err
}

// configure runs the program and returns all that it wrote.
func configure(t *testing.T, person terminal, args ...string) (code int, output string) {
	t.Helper()
	var out bytes.Buffer
	code = runWith(t.Context(), args, person, &out, &out)
	t.Logf("configure %s: %d\n%s", strings.Join(args, " "), code, &out)
	return code, out.String()
}

// A word that is no command does nothing, and clean takes more than a word.
func TestWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := "nodes:\n  - id: standby\n    host: db1\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	for _, args := range [][]string{
		{}, {"foo"}, {"my-host"}, {"0"}, {"08"}, {"clea"}, {"clean"}, {"clean", "standby", "x"}, {"clean", "--yes"}, {"standby", "10.0.0.1"},
		{"--clean"}, {"master", "--port", "x"}, {"apply", "standby"}, {"master", "--cluster", "17/main", "--data-dir", "/x"},
	} {
		code, _ := configure(t, nobody{}, append([]string{"-f", file}, args...)...)
		require.Equal(t, exitUsage, code, "%v", args)
	}
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, string(data))
}

func TestRefusals(t *testing.T) {
	const good = "nodes:\n  - id: master\n    host: 127.0.0.1\n    port: 5433\n    data_dir: /srv/m\n    service:\n      bin_dir: /opt/bin\n"
	for _, tt := range []struct {
		name, file string
		args       []string
		code       int
		want       string
	}{
		{"no_file", "", []string{"apply"}, exitUsage, "is not there: configure master makes it"},
		{"no_file_to_clean", "", []string{"clean", "master"}, exitUsage, "is not there"},
		{"no_place", "", []string{"master"}, exitUsage, "give --cluster VERSION/NAME or --data-dir DIR"},
		{"no_programs", "", []string{"master", "--data-dir", "/srv/m"}, exitUsage, "give --bin-dir DIR"},
		{"no_port", "", []string{"master", "--cluster", "17/main"}, exitUsage, "give --port N"},
		{"programs_for_debian", "", []string{"master", "--cluster", "17/main", "--bin-dir", "/x"}, exitUsage, "Debian's tools know"},
		{"no_master", "", []string{"cascade", "--cluster", "17/c", "--port", "5433"}, exitUsage, `upstream "master" is not a node`},
		{"no_password", "", []string{"master", "--cluster", "17/main", "--port", "5433"}, exitUsage, "password of the role postgres is missing"},
		{"bad_file", "nodes: 5\n", []string{"apply"}, exitFile, "c.yaml:1:8: nodes: is a number"},
		{"elsewhere", "nodes:\n  - id: a\n    host: db1\n    machine: ssh://postgres@db1\n", []string{"apply"}, exitUsage, "on another machine"},
		{"other_port", good, []string{"master", "--port", "5434"}, exitUsage, "is in the file with --port 5433, not 5434"},
		{"other_directory", good, []string{"master", "--data-dir", "/srv/n"}, exitUsage, "with --data-dir /srv/m, not /srv/n"},
		{"other_manager", good, []string{"master", "--cluster", "17/main"}, exitUsage, "with --cluster (nothing), not 17/main"},
		{"other_sync", good, []string{"master", "--port", "5433", "--host", "db2"}, exitUsage, "with --host 127.0.0.1, not db2"},
		{"same_port", good, []string{"cascade", "--cluster", "17/c", "--port", "5433"}, exitUsage, "share the address 127.0.0.1:5433"},
		{"unknown_node", good, []string{"clean", "mastre"}, exitUsage, `has no node "mastre"; it has master`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "c.yaml")
			if tt.file != "" {
				require.NoError(t, os.WriteFile(file, []byte(tt.file), 0o600))
			}
			code, output := configure(t, nobody{}, append([]string{"-f", file}, tt.args...)...)
			require.Equal(t, tt.code, code)
			require.Contains(t, output, tt.want)
			left, err := os.ReadDir(filepath.Dir(file))
			require.NoError(t, err)
			if tt.file == "" {
				require.Empty(t, left, "nothing was made")
				return
			}
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, tt.file, string(data))
		})
	}
}

// A file that somebody has written is not written over; what it has to say is shown.
func TestCommentsAreKept(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	text := "# ours\nnodes:\n  - {id: master, host: 127.0.0.1, data_dir: /srv/m, service: {bin_dir: /opt/bin}}\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	code, output := configure(t, nobody{}, "-f", file, "cascade", "--data-dir", "/srv/c", "--bin-dir", "/opt/bin", "--port", "5433")
	require.Equal(t, exitUsage, code)
	require.Contains(t, output, "has comments, or another form")
	require.Contains(t, output, "  - id: cascade\n    host: 127.0.0.1\n    port: 5433\n    upstream: master\n    sync: true\n")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, string(data))
}

// Passwords are asked for twice, without being shown, before anything is made.
func TestPasswords(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-f", filepath.Join(dir, "c.yaml"), "master"}

	person := &answers{given: []string{"/nowhere/m", "/nowhere/bin", "", "s3cr3t-a", "s3cr3t-b"}}
	code, output := configure(t, person, args...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, output, "differ")
	require.NotContains(t, output, "s3cr3t")
	require.Equal(t, []string{
		"Debian cluster of master, as in 17/main, or its data directory: ",
		"Folder of the programs of master, as in /usr/lib/postgresql/17/bin: ",
		"Port of master [5432]: ",
		"secret: Password of the role postgres: ", "secret: Once more: ",
	}, person.asked)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	person = &answers{given: []string{"/nowhere/m", "/nowhere/bin", "", "s3cr3t-a", "s3cr3t-a", "s3cr3t-b", "s3cr3t-b"}}
	code, output = configure(t, person, args...)
	require.Equal(t, exitFailed, code, "there are no such programs")
	require.NotContains(t, output, "s3cr3t")
	for name, want := range map[string]string{"admin": "s3cr3t-a\n", "replication": "s3cr3t-b\n"} {
		path := filepath.Join(dir, "c.yaml.secrets", name)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(data))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}

	person = &answers{}
	code, _ = configure(t, person, args...)
	require.Equal(t, exitFailed, code)
	require.Empty(t, person.asked, "the file and the passwords are there")
}
