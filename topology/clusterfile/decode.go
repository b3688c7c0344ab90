package clusterfile

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// path leads to a value: in the words of the file, as nodes[1].upstream, and in those of the model, as Nodes[1].Upstream.
type path struct{ file, model string }

func (p path) key(key, field string) path { return path{join(p.file, key), join(p.model, field)} }

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// item is an element of a list, or of a mapping whose keys are the user's.
func (p path) item(at any) path {
	suffix := fmt.Sprintf("[%v]", at)
	return path{p.file + suffix, p.model + suffix}
}

// place is where a value stands.
type place struct {
	file string // its path in the file
	node *yaml.Node
}

// decoder reads one file and collects what is wrong with it.
type decoder struct {
	file   string
	faults []*Error
	places map[string]place // by path in the model
}

func (d *decoder) fault(at path, n *yaml.Node, format string, args ...any) {
	d.faults = append(d.faults, &Error{
		File: d.file, Line: n.Line, Column: n.Column, Path: at.file, Msg: fmt.Sprintf(format, args...),
	})
}

// inspect refuses what a cluster file has no use for, wherever it stands: YAML that stands for other YAML, or claims a type.
func (d *decoder) inspect(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.fault(path{}, n, noAlias)
		return
	case n.Anchor != "":
		d.fault(path{}, n, "an anchor (&name) is not taken here: leave it out, or quote the text that begins with &")
	case n.Style&yaml.TaggedStyle != 0:
		d.fault(path{}, n, "a tag (!type) is not taken here: leave it out, or quote the text that begins with !")
	case n.Tag == tagMerge:
		d.fault(path{}, n, "a merge (<<) is not taken here: write out what it stands for")
	}
	for _, child := range n.Content {
		d.inspect(child)
	}
}

const noAlias = "an alias (*name) is not taken here: write out what it stands for, or quote the text that begins with *"

// inspected reports whether inspect has complained about a value, so that nothing more is to be said of it.
func inspected(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Style&yaml.TaggedStyle != 0 || n.Tag == tagMerge
}

// text returns the content of a scalar that is a text.
func (d *decoder) text(at path, n *yaml.Node, want string) (string, bool) {
	switch {
	case inspected(n):
	case n.Kind == yaml.ScalarNode && n.Tag == tagText:
		return n.Value, true
	case n.Kind == yaml.ScalarNode && n.Tag != tagNull:
		d.fault(at, n, "is %s: want %s; put it in quotes if it is meant as it stands", kindOf(n), want)
	default:
		d.wrong(at, n, want)
	}
	return "", false
}

// wrong says that a value is of the wrong kind.
func (d *decoder) wrong(at path, n *yaml.Node, want string) {
	switch {
	case inspected(n):
	case n.Tag == tagNull:
		d.fault(at, n, "has no value: want %s; or leave the key out", want)
	default:
		d.fault(at, n, "is %s: want %s", kindOf(n), want)
	}
}

// kindOf says what a value is, in words.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == tagText:
		return "a text"
	case n.Tag == tagBool:
		return "true or false"
	case n.Tag == tagNull:
		return "nothing"
	case n.Tag == "!!timestamp":
		return "a date"
	default:
		return "a number"
	}
}

// pairs calls use for every key of a mapping with its value. Keys are texts that stand there once, and no passwords.
func (d *decoder) pairs(at path, n *yaml.Node, use func(key, value *yaml.Node)) {
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		first, twice := seen[key.Value]
		switch {
		case inspected(key):
		case key.Kind != yaml.ScalarNode || key.Tag != tagText:
			d.fault(at, key, "a key is %s: want a word, in quotes if it looks like something else", kindOf(key))
		case key.Value == "":
			d.fault(at, key, "a key is empty: want a word")
		case slices.Contains(passwordKeys, strings.ToLower(key.Value)):
			d.fault(at.key(key.Value, ""), key, "%s", noPassword)
		case twice:
			d.fault(at, key, "key%s stands twice: the first time at line %d; leave one of them out", shown(key.Value), first.Line)
		default:
			seen[key.Value] = key
			use(key, value)
		}
	}
}

// A cluster file holds no password, but says where it is to be found.
const noPassword = "a password must not stand in this file: write secret: env:NAME or secret: file:/path, " +
	"and keep it in that variable or file"

// passwordKeys name passwords, in lower case.
var passwordKeys = []string{"password", "passwd", "passphrase", "pass", "pwd", "pgpassword", "sslpassword"}

// passwordText is password=…, as in a connection string or before a command, or user:…@ in a URL.
var passwordText = regexp.MustCompile(`(?i)\b(pg|ssl)?passw(or)?d\s*=\s*['"]?[^\s'"$]|://[^/@\s]*:[^/@\s]*@`)

// holdsPassword reports whether a text spells a password out. What stands for a variable of the shell is none.
func holdsPassword(s string) bool { return passwordText.MatchString(s) }

// shown is a key for an error, after a blank. What is no word is left out: by a slip of the pen, it may hold a password.
func shown(key string) string {
	if !oneWord.MatchString(key) {
		return ""
	}
	return " " + key
}

var oneWord = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,63}$`)

// set stores a value of a basic kind in a field, whose type may have a name of its own.
func set[T any](into reflect.Value, v T) { into.Set(reflect.ValueOf(v).Convert(into.Type())) }
