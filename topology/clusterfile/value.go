package clusterfile

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// value is a kind of value: how it is read, written and described. decode stores it in a field of the model, or says what is
// wrong; encode returns nil for what is left out, a zero value.
type value interface {
	decode(d *decoder, at path, n *yaml.Node, into reflect.Value)
	encode(v reflect.Value) (*yaml.Node, error)
	schema() schema
}

// schema is a JSON Schema, or a part of one.
type schema = map[string]any

// The tags of YAML's scalars that are told apart.
const (
	tagText  = "!!str"
	tagInt   = "!!int"
	tagFloat = "!!float"
	tagBool  = "!!bool"
	tagNull  = "!!null"
	tagMerge = "!!merge"
)

// text is a string that is not empty.
type text struct {
	want    string         // what it is, in words
	pattern *regexp.Regexp // what it must match, if not nil. The schema has it, too, so only what all dialects share is used.
}

func (v text) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	s, ok := d.text(at, n, v.want)
	switch {
	case !ok:
	case s == "":
		d.fault(at, n, "is empty: want %s; or leave the key out", v.want)
	case holdsPassword(s):
		d.fault(at, n, "%s", noPassword)
	case v.pattern != nil && !v.pattern.MatchString(s):
		d.fault(at, n, "is not right: want %s", v.want)
	default:
		set(into, s)
	}
}

func (text) encode(v reflect.Value) (*yaml.Node, error) {
	if v.String() == "" {
		return nil, nil
	}
	return textNode(v.String())
}

func (v text) schema() schema {
	s := schema{"type": "string", "minLength": 1}
	if v.pattern != nil {
		s["pattern"] = v.pattern.String()
	}
	return s
}

// textNode is a string as YAML. What has lines or blanks at its ends is quoted, so that they show.
func textNode(s string) (*yaml.Node, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("a text is not UTF-8")
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: tagText, Value: s}
	odd := strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
	if odd || s != strings.TrimSpace(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n, nil
}

// word is one of a few texts.
type word []string

func (v word) want() string { return strings.Join(v, ", ") }

func (v word) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	s, ok := d.text(at, n, v.want())
	switch {
	case !ok:
	case slices.Contains(v, s):
		set(into, s)
	default:
		d.fault(at, n, "is none of %s%s", v.want(), suggestion(s, v))
	}
}

func (word) encode(v reflect.Value) (*yaml.Node, error) { return text{}.encode(v) }
func (v word) schema() schema                           { return schema{"enum": []string(v)} }

// suggestion ends a message with what may have been meant.
func suggestion(s string, known []string) string {
	if near, ok := didYouMean(s, known); ok {
		return "; did you mean " + near + "?"
	}
	return ""
}

// flag is true or false.
type flag struct{}

func (flag) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	if n.Kind != yaml.ScalarNode || n.Tag != tagBool || inspected(n) {
		d.wrong(at, n, "true or false")
		return
	}
	into.SetBool(strings.EqualFold(n.Value, "true"))
}

func (flag) encode(v reflect.Value) (*yaml.Node, error) {
	if !v.Bool() {
		return nil, nil
	}
	return plainNode("true", tagBool), nil
}

func (flag) schema() schema { return schema{"type": "boolean"} }

func plainNode(s, tag string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: s}
}

// number is a whole number within bounds.
type number struct{ least, most int }

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (v number) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	want := fmt.Sprintf("a whole number from %d to %d", v.least, v.most)
	if n.Kind != yaml.ScalarNode || n.Tag != tagInt || inspected(n) {
		d.wrong(at, n, want)
		return
	}
	i, err := strconv.Atoi(n.Value)
	if err != nil || !decimal.MatchString(n.Value) || i < v.least || i > v.most {
		d.fault(at, n, "is not right: want %s, in plain digits", want)
		return
	}
	into.SetInt(int64(i))
}

func (number) encode(v reflect.Value) (*yaml.Node, error) {
	if v.Int() == 0 {
		return nil, nil
	}
	return plainNode(strconv.FormatInt(v.Int(), 10), tagInt), nil
}

func (v number) schema() schema {
	return schema{"type": "integer", "minimum": v.least, "maximum": v.most}
}

// size is an amount of memory or disk as PostgreSQL writes it.
type size struct{ unbounded bool } // whether -1 says that there is no bound

var sizeText = regexp.MustCompile(`^[1-9][0-9]{0,9}(kB|MB|GB|TB)$`)

const unbounded = "-1"

func (v size) want() string {
	if v.unbounded {
		return "a size such as 512MB or 10GB (kB, MB, GB, TB), or -1 for no bound"
	}
	return "a size such as 512MB or 10GB (kB, MB, GB, TB)"
}

func (v size) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	scalar := n.Kind == yaml.ScalarNode && !inspected(n)
	switch {
	case scalar && v.unbounded && n.Value == unbounded:
		set(into, unbounded)
	case scalar && n.Tag == tagText && sizeText.MatchString(n.Value):
		set(into, n.Value)
	case scalar && n.Tag != tagNull:
		d.fault(at, n, "is not right: want %s", v.want())
	default:
		d.wrong(at, n, v.want())
	}
}

func (size) encode(v reflect.Value) (*yaml.Node, error) {
	if v.String() == unbounded {
		return plainNode(unbounded, tagInt), nil
	}
	return text{}.encode(v)
}

func (v size) schema() schema {
	sized := schema{"type": "string", "pattern": sizeText.String()}
	if !v.unbounded {
		return sized
	}
	return schema{"anyOf": []schema{sized, {"enum": []any{-1, unbounded}}}}
}

// duration is a time in one of PostgreSQL's units.
type duration struct{ none bool } // whether the word none stands for a negative one

var durationText = regexp.MustCompile(`^([1-9][0-9]{0,15})(ms|s|min|h|d)$`)

const none = "none"

// units from the largest.
var units = []struct {
	name string
	of   time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

func (v duration) want() string {
	if v.none {
		return "a time such as 30s or 5min (ms, s, min, h, d), or none"
	}
	return "a time such as 30s or 5min (ms, s, min, h, d)"
}

func (v duration) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	if n.Kind != yaml.ScalarNode || n.Tag == tagNull || inspected(n) {
		d.wrong(at, n, v.want())
		return
	}
	t, ok := parseDuration(n.Value)
	switch {
	case v.none && n.Value == none:
		into.SetInt(-1)
	case n.Tag == tagText && ok:
		into.SetInt(int64(t))
	default:
		d.fault(at, n, "is not right: want %s", v.want())
	}
}

// parseDuration reads a number with a unit.
func parseDuration(s string) (time.Duration, bool) {
	m := durationText.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	for _, u := range units {
		if u.name == m[2] {
			t := time.Duration(n) * u.of
			return t, err == nil && t/u.of == time.Duration(n)
		}
	}
	return 0, false
}

func (v duration) encode(value reflect.Value) (*yaml.Node, error) {
	t := time.Duration(value.Int())
	switch {
	case t == 0:
		return nil, nil
	case t < 0 && v.none:
		return textNode(none)
	}
	for _, u := range units {
		if t > 0 && t%u.of == 0 {
			return textNode(strconv.FormatInt(int64(t/u.of), 10) + u.name)
		}
	}
	return nil, fmt.Errorf("%v: a time in a file is positive, in whole milliseconds", t)
}

func (v duration) schema() schema {
	timed := schema{"type": "string", "pattern": durationText.String()}
	if !v.none {
		return timed
	}
	return schema{"anyOf": []schema{timed, {"const": none}}}
}

// list is a list of texts. A single one may stand without the list.
type list struct{ of text }

func (v list) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	items := n.Content
	switch n.Kind {
	case yaml.ScalarNode:
		items = []*yaml.Node{n}
	case yaml.SequenceNode:
	default:
		d.wrong(at, n, "a list, each "+v.of.want)
		return
	}
	for i, item := range items {
		element := reflect.New(into.Type().Elem()).Elem()
		v.of.decode(d, at.item(i), item, element)
		into.Set(reflect.Append(into, element))
	}
}

func (v list) encode(value reflect.Value) (*yaml.Node, error) {
	if value.Len() == 0 {
		return nil, nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for i := range value.Len() {
		item, err := textNode(value.Index(i).String())
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, item)
	}
	return n, nil
}

func (v list) schema() schema {
	return schema{"anyOf": []schema{v.of.schema(), {"type": "array", "items": v.of.schema()}}}
}

// table has keys that are the user's, with texts, numbers, true and false as values, which are taken as they stand.
type table struct{ keys word } // if not empty, the only ones

func (v table) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	if n.Kind != yaml.MappingNode || inspected(n) {
		d.wrong(at, n, "a mapping of names to values")
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	d.pairs(at, n, func(key, value *yaml.Node) {
		at := at.item(key.Value)
		d.places[at.model] = place{at.file, value}
		switch {
		case len(v.keys) > 0 && !slices.Contains(v.keys, key.Value):
			d.fault(at, key, "is none of %s%s", v.keys.want(), suggestion(key.Value, v.keys))
		case value.Kind != yaml.ScalarNode || value.Tag == tagNull || inspected(value):
			d.wrong(at, value, "a text or number; '' is the empty text")
		case holdsPassword(value.Value):
			d.fault(at, value, "%s", noPassword)
		default:
			into.SetMapIndex(reflect.ValueOf(key.Value), reflect.ValueOf(value.Value))
		}
	})
	if into.Len() == 0 {
		into.SetZero()
	}
}

func (table) encode(v reflect.Value) (*yaml.Node, error) {
	return mapNode(v, func(v reflect.Value) (*yaml.Node, error) {
		for _, tag := range []string{tagInt, tagFloat, tagBool} {
			if plain[tag].MatchString(v.String()) {
				return plainNode(v.String(), tag), nil
			}
		}
		return textNode(v.String())
	})
}

// plain is what needs no quotes to be taken as it stands, although it is no text for YAML.
var plain = map[string]*regexp.Regexp{
	tagInt:   decimal,
	tagFloat: regexp.MustCompile(`^-?(0|[1-9][0-9]*)\.[0-9]+$`),
	tagBool:  regexp.MustCompile(`^(true|false)$`),
}

// mapNode is a mapping in the order of its keys.
func mapNode(v reflect.Value, encode func(reflect.Value) (*yaml.Node, error)) (*yaml.Node, error) {
	if v.Len() == 0 {
		return nil, nil
	}
	keys := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range keys {
		key, err := textNode(k)
		if err != nil {
			return nil, err
		}
		item, err := encode(v.MapIndex(reflect.ValueOf(k)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		n.Content = append(n.Content, key, item)
	}
	return n, nil
}

func (v table) schema() schema {
	names := schema{"minLength": 1, "not": schema{"enum": passwordKeys}}
	if len(v.keys) > 0 {
		names = v.keys.schema()
	}
	return schema{
		"type": "object", "propertyNames": names,
		"additionalProperties": schema{"type": []string{"string", "number", "boolean"}},
	}
}
