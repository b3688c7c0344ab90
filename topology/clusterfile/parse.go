package clusterfile

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"sort"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/understudy-ha/understudy/topology"
)

// maxBytes is what a file may have: a thousand nodes take a fifth of it.
const maxBytes = 1 << 20

// Parse reads a cluster file, in YAML or JSON. name is for errors alone.
//
// Everything that is wrong is reported at once, as errors.Join of [*Error], in the order of the file. What
// [topology.Cluster.Validate] refuses is reported where it stands, unless it may only follow from another fault.
func Parse(name string, data []byte) (topology.Cluster, error) {
	d := &decoder{file: name, places: map[string]place{}}
	root := d.read(data)
	if root == nil {
		return topology.Cluster{}, joined(d.faults)
	}
	d.inspect(root)
	var c topology.Cluster
	clusterKeys.decode(d, path{}, root, reflect.ValueOf(&c).Elem())
	d.validate(c, root)
	if len(d.faults) > 0 {
		return topology.Cluster{}, joined(d.faults)
	}
	return c, nil
}

// read returns the one document of a file, or nil.
func (d *decoder) read(data []byte) *yaml.Node {
	if len(data) > maxBytes {
		d.fault(path{}, top, "has %d bytes: a cluster file has at most %d", len(data), maxBytes)
		return nil
	}
	if !utf8.Valid(data) {
		d.fault(path{}, top, "is not UTF-8")
		return nil
	}
	if isJSON(data) {
		return readJSON(data)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	document, err := next(decoder)
	switch {
	case errors.Is(err, io.EOF) || err == nil && empty(document):
		d.fault(path{}, top, "is empty: want at least nodes, a list of servers with id and host")
		return nil
	case err != nil:
		d.syntax(data, err)
		return nil
	}
	second, err := next(decoder)
	switch {
	case err == nil:
		d.fault(path{}, second, "a second document begins here: one file describes one cluster")
	case !errors.Is(err, io.EOF):
		d.syntax(data, err)
	}
	return document.Content[0]
}

// top is where a file begins.
var top = &yaml.Node{Line: 1, Column: 1}

// next reads a document. The YAML package panics where it finds itself in error; that is an error like others.
func next(decoder *yaml.Decoder) (document *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the YAML cannot be read")
		}
	}()
	document = new(yaml.Node)
	err = decoder.Decode(document)
	return document, err
}

func empty(document *yaml.Node) bool {
	return len(document.Content) == 0 || document.Content[0].Kind == yaml.ScalarNode && document.Content[0].Tag == tagNull
}

// syntax reports that the YAML cannot be read.
func (d *decoder) syntax(data []byte, err error) {
	parts := yamlError.FindStringSubmatch(err.Error())
	if unknown := unknownAnchor.FindStringSubmatch(parts[1]); unknown != nil { // it comes without a line, and may be a password
		before, _, _ := bytes.Cut(data, []byte("*"+unknown[1]))
		line := bytes.Count(before, []byte("\n")) + 1
		column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
		d.fault(path{}, &yaml.Node{Line: line, Column: column}, noAlias)
		return
	}
	line := failing(data)
	text := bytes.SplitN(data, []byte("\n"), line+1)[line-1]
	column := len(text) - len(bytes.TrimLeft(text, " \t")) + 1
	d.fault(path{}, &yaml.Node{Line: line, Column: column},
		"not valid YAML: %s; look at indentation, quotes and the blank after each colon, here and in the line before", parts[1])
}

// failing returns the line at which the YAML package gives up, which its errors often do not tell, or where what it waits for the
// end of begins: the first lines up to there, and no fewer, make it say the same as all of them.
func failing(data []byte) int {
	ends := []int{}
	for i := range data {
		if data[i] == '\n' || i == len(data)-1 {
			ends = append(ends, i+1)
		}
	}
	all := firstError(data)
	return 1 + sort.Search(len(ends)-1, func(i int) bool { return firstError(data[:ends[i]]) == all })
}

// firstError is what the YAML package says of the documents of a file.
func firstError(data []byte) string {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		switch _, err := next(decoder); {
		case errors.Is(err, io.EOF):
			return ""
		case err != nil:
			return err.Error()
		}
	}
}

// What the YAML package says when it cannot go on.
var (
	yamlError     = regexp.MustCompile(`(?s)^(?:yaml: )?(?:line [0-9]+: )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`(?s)^unknown anchor '(.*)' referenced$`)
)
