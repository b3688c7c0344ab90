package clusterfile

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/understudy-ha/understudy/topology"
)

// validate adds what the model refuses, where it stands.
func (d *decoder) validate(c topology.Cluster, root *yaml.Node) {
	var found []*Error
	for _, err := range parts(c.Validate()) {
		at, msg := place{node: root}, err.Error()
		var fault *topology.FieldError
		if errors.As(err, &fault) {
			at = d.locate(fault.Field, root)
			msg += d.meant(c, fault.Field)
		}
		if d.independent(at.file) {
			found = append(found, &Error{File: d.file, Line: at.node.Line, Column: at.node.Column, Path: at.file, Msg: msg})
		}
	}
	d.faults = append(d.faults, found...)
}

// parts returns the errors that were joined.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// locate returns where a field of the model stands in the file, or, if it is not there, what it would be part of.
func (d *decoder) locate(field string, root *yaml.Node) place {
	for field != "" {
		if at, ok := d.places[field]; ok {
			return at
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return place{node: root}
}

// meant ends the message about an upstream that is no node with the one that may have been meant.
func (d *decoder) meant(c topology.Cluster, field string) string {
	at, ok := d.places[field]
	if !ok || !strings.HasSuffix(field, ".Upstream") {
		return ""
	}
	ids := []string{string(topology.Leader)}
	for _, n := range c.Nodes {
		ids = append(ids, string(n.ID))
	}
	if slices.Contains(ids, at.node.Value) {
		return ""
	}
	return suggestion(at.node.Value, ids)
}

// independent reports whether what the model refuses there does not just follow from what the file has wrong: that is elsewhere,
// and all nodes have their names.
func (d *decoder) independent(at string) bool {
	if len(d.faults) == 0 {
		return true
	}
	if at == "" || at == "nodes" {
		return false
	}
	return !slices.ContainsFunc(d.faults, func(f *Error) bool {
		return f.Path == "" || f.Path == "nodes" || section(f.Path) == section(at) || strings.HasSuffix(f.Path, "].id")
	})
}

// section is the first part of a path: a node, or a key at the top.
func section(at string) string {
	first, _, _ := strings.Cut(at, ".")
	return first
}
