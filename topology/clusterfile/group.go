package clusterfile

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// group is a mapping with keys of ours: a struct of the model.
type group struct {
	keys  []key
	short *short // nil if there is none
}

// key is a key of a group.
type key struct {
	name     string
	field    string // of the model
	of       value
	doc      string
	required bool
}

// short is a text that may stand for a group: its parts are the values of keys.
type short struct {
	want    string
	pattern *regexp.Regexp
	keys    []string // one for each part
}

func (g group) names() []string {
	var names []string
	for _, k := range g.keys {
		names = append(names, k.name)
	}
	return names
}

func (g group) key(name string) (key, bool) {
	i := slices.IndexFunc(g.keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return g.keys[i], true
}

func (g group) want() string {
	if g.short != nil {
		return g.short.want + ", or a mapping with the keys " + strings.Join(g.names(), ", ")
	}
	return "a mapping with the keys " + strings.Join(g.names(), ", ")
}

func (g group) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	switch {
	case n.Kind == yaml.MappingNode && !inspected(n):
		g.decodeKeys(d, at, n, into)
	case g.short != nil && n.Kind == yaml.ScalarNode && n.Tag == tagText && !inspected(n):
		g.decodeShort(d, at, n, into)
	default:
		d.wrong(at, n, g.want())
	}
}

func (g group) decodeKeys(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	there := map[string]bool{}
	d.pairs(at, n, func(name, value *yaml.Node) {
		k, ok := g.key(name.Value)
		if !ok {
			d.fault(at, name, "%s", g.unknown(name.Value))
			return
		}
		there[k.name] = true
		k.decode(d, at, value, into)
	})
	for _, k := range g.keys {
		if k.required && !there[k.name] {
			what, _, _ := strings.Cut(k.doc, ".")
			d.fault(at.key(k.name, k.field), n, "is missing; it is %s%s", strings.ToLower(what[:1]), what[1:])
		}
	}
}

func (k key) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	at = at.key(k.name, k.field)
	d.places[at.model] = place{at.file, n}
	k.of.decode(d, at, n, into.FieldByName(k.field))
}

// unknown says what is wrong with a key that the group does not have, and what may have been meant.
func (g group) unknown(name string) string {
	msg := "unknown key" + shown(name)
	if near, ok := didYouMean(name, g.names()); ok {
		return msg + "; did you mean " + near + "?"
	}
	if elsewhere := homes(name); len(elsewhere) > 0 {
		return msg + "; it belongs to " + strings.Join(elsewhere, " or ")
	}
	return msg + "; known here: " + strings.Join(g.names(), ", ")
}

func (g group) decodeShort(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	parts := g.short.pattern.FindStringSubmatch(n.Value)
	if parts == nil {
		d.fault(at, n, "is not right: want %s", g.want())
		return
	}
	for i, part := range parts[1:] {
		k, _ := g.key(g.short.keys[i])
		value := *n
		value.Value = part
		if _, ok := k.of.(number); ok {
			value.Tag = tagInt
		}
		if part != "" {
			k.decode(d, at, &value, into)
		}
	}
}

func (g group) encode(v reflect.Value) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range g.keys {
		item, err := k.of.encode(v.FieldByName(k.field))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		if item != nil {
			n.Content = append(n.Content, plainNode(k.name, tagText), item)
		}
	}
	if len(n.Content) == 0 {
		return nil, nil
	}
	return n, nil
}

func (g group) schema() schema {
	properties, required := schema{}, []string{}
	for _, k := range g.keys {
		s := k.of.schema()
		s["description"] = k.doc
		properties[k.name] = s
		if k.required {
			required = append(required, k.name)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	if g.short == nil {
		return s
	}
	return schema{"anyOf": []schema{{"type": "string", "pattern": g.short.pattern.String()}, s}}
}

// groups is a list of groups.
type groups struct{ of group }

func (v groups) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	if n.Kind != yaml.SequenceNode || inspected(n) {
		d.wrong(at, n, "a list, each "+v.of.want())
		return
	}
	if len(n.Content) == 0 {
		d.fault(at, n, "is an empty list: name at least one, each %s", v.of.want())
		return
	}
	for i, item := range n.Content {
		at := at.item(i)
		d.places[at.model] = place{at.file, item}
		element := reflect.New(into.Type().Elem()).Elem()
		v.of.decode(d, at, item, element)
		into.Set(reflect.Append(into, element))
	}
}

func (v groups) encode(value reflect.Value) (*yaml.Node, error) {
	if value.Len() == 0 {
		return nil, nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range value.Len() {
		item, err := v.of.encode(value.Index(i))
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		}
		n.Content = append(n.Content, item)
	}
	return n, nil
}

func (v groups) schema() schema {
	return schema{"type": "array", "minItems": 1, "items": v.of.schema()}
}

// named are groups with names of the user's.
type named struct{ of group }

func (v named) decode(d *decoder, at path, n *yaml.Node, into reflect.Value) {
	if n.Kind != yaml.MappingNode || inspected(n) {
		d.wrong(at, n, "a mapping of names, each to "+v.of.want())
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	d.pairs(at, n, func(name, value *yaml.Node) {
		at := at.item(name.Value)
		d.places[at.model] = place{at.file, value}
		element := reflect.New(into.Type().Elem()).Elem()
		v.of.decode(d, at, value, element)
		into.SetMapIndex(reflect.ValueOf(name.Value), element)
	})
	if into.Len() == 0 {
		into.SetZero()
	}
}

func (v named) encode(value reflect.Value) (*yaml.Node, error) {
	return mapNode(value, func(v2 reflect.Value) (*yaml.Node, error) {
		n, err := v.of.encode(v2)
		if n == nil && err == nil {
			n = &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle} // all defaults, but there
		}
		return n, err
	})
}

func (v named) schema() schema {
	return schema{
		"type": "object", "propertyNames": schema{"minLength": 1, "not": schema{"enum": passwordKeys}},
		"additionalProperties": v.of.schema(),
	}
}
