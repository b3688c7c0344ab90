package clusterfile

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/understudy-ha/understudy/topology"
)

// Render writes the file that describes c, in the one form that such a file has without comments: keys in the order of the
// documentation, nothing that is the default, no short forms but lists in brackets.
//
// What it returns, [Parse] reads as c; empty maps and slices are nil then, and every negative Archive.Timeout is -1. A cluster
// for which that cannot be is an error.
func Render(c topology.Cluster) ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	out, err := render(c)
	if err != nil {
		return nil, err
	}
	again, err := Parse("what was rendered", out)
	if err != nil {
		return nil, fmt.Errorf("no cluster file can say this: %w", err)
	}
	if same, err := render(again); err != nil || !bytes.Equal(out, same) {
		return nil, errors.Join(errors.New("what was rendered reads as another cluster"), err)
	}
	return out, nil
}

func render(c topology.Cluster) ([]byte, error) {
	n, err := clusterKeys.encode(reflect.ValueOf(c))
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, errors.New("the cluster is empty")
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(n), encoder.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
