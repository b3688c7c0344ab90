package clusterfile

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// isJSON reports whether data is an object in JSON. JSON is nearly YAML: tabs, \/ and the halves of surrogate pairs are not.
func isJSON(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) && json.Valid(data)
}

// jsonReader makes of valid JSON what the YAML package would, with duplicate keys.
type jsonReader struct {
	decoder *json.Decoder
	data    []byte
	at      int // where in data the rest begins
	line    int // of at, from 1
	column  int
}

func readJSON(data []byte) *yaml.Node {
	r := &jsonReader{decoder: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1, column: 1}
	r.decoder.UseNumber()
	return r.node()
}

// advance goes on to an offset.
func (r *jsonReader) advance(to int) {
	for r.at < to {
		_, width := utf8.DecodeRune(r.data[r.at:])
		if r.data[r.at] == '\n' {
			r.line, r.column = r.line+1, 0
		}
		r.column++
		r.at += width
	}
}

// node reads a value.
func (r *jsonReader) node() *yaml.Node {
	start := int(r.decoder.InputOffset())
	for start < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[start]) >= 0 {
		start++
	}
	r.advance(start)
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line, Column: r.column}
	token, err := r.decoder.Token()
	if err != nil {
		return n // not of valid JSON
	}
	switch v := token.(type) {
	case json.Delim:
		r.fill(n, v)
	case string:
		n.Tag, n.Value = tagText, v
	case json.Number:
		n.Tag, n.Value = tagFloat, v.String()
		if decimal.MatchString(n.Value) {
			n.Tag = tagInt
		}
	case bool:
		n.Tag, n.Value = tagBool, string(r.data[start:r.decoder.InputOffset()])
	case nil:
		n.Tag = tagNull
	}
	return n
}

// fill reads what is in an object or a list.
func (r *jsonReader) fill(n *yaml.Node, opening json.Delim) {
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	if opening == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	for r.decoder.More() {
		n.Content = append(n.Content, r.node())
	}
	_, _ = r.decoder.Token() // the closing one, as the JSON is valid
}
