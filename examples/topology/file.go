package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/clusterfile"
)

// source is the description that a verb works with.
type source struct {
	File string `arg:"" help:"Description of the cluster, a YAML file; - is standard input."`
}

// load reads the description. Its faults are printed one a line, as a compiler does.
func (s source) load(out *streams) (topology.Cluster, error) {
	name, read := s.File, func() ([]byte, error) { return os.ReadFile(s.File) }
	if s.File == "-" {
		name, read = "standard input", func() ([]byte, error) { return io.ReadAll(out.In) }
	}
	data, err := read()
	if err != nil {
		return topology.Cluster{}, codeError{exitFile, err}
	}
	c, err := clusterfile.Parse(name, data)
	if err != nil {
		fmt.Fprintln(out.Err, strings.TrimSuffix(err.Error(), "\n"))
		return c, codeError{code: exitFile}
	}
	return c, nil
}

// node returns a node of the cluster by its name.
func node(c topology.Cluster, id topology.NodeID) (topology.Node, error) {
	n, ok := c.Node(id)
	if ok {
		return n, nil
	}
	var names []string
	for _, n := range c.Nodes {
		names = append(names, string(n.ID))
	}
	return n, codeError{exitUsage, fmt.Errorf("the description has no node %q; it has %s", id, strings.Join(names, ", "))}
}

type checkCommand struct {
	source
}

// Run says that a description is right, or what is wrong with it.
func (k *checkCommand) Run(out *streams) error {
	c, err := k.load(out)
	if err != nil {
		return err
	}
	primary, ok := c.Primary()
	if !ok {
		return codeError{exitFile, errors.New("no node of the description is the primary")}
	}
	fmt.Fprintf(out.Out, "%s: cluster %q, %d nodes, primary %s\n", k.File, c.Name, len(c.Nodes), primary)
	return nil
}

type schemaCommand struct{}

// Run prints the schema.
func (k *schemaCommand) Run(out *streams) error {
	_, err := out.Out.Write(clusterfile.Schema())
	return err
}
