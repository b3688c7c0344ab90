package clusterfile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/clusterfile"
)

func ExampleParse() {
	data, err := os.ReadFile("testdata/orders.yaml") // it stands in the documentation of the package
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := clusterfile.Parse("orders.yaml", data)
	if err != nil {
		fmt.Println(err)
		return
	}
	primary, _ := c.Primary()
	fmt.Println("primary:", primary)
	for _, n := range c.Children(primary.ID) {
		fmt.Println("below it:", n)
		for _, n := range c.Children(n.ID) {
			fmt.Println("and then:", n, n.Delay)
		}
	}
	// Output:
	// primary: alpha (10.0.1.11:5432)
	// below it: beta (10.0.2.11:5432)
	// and then: reports (10.0.2.12:5432) 0s
	// and then: yesterday (10.0.2.13:5432) 24h0m0s
}

// All faults of a file are found at once.
func ExampleParse_faults() {
	_, err := clusterfile.Parse("orders.yaml", []byte(`
nodes:
  - id: alpha
    host: 10.0.1.11
    prot: 5433
  - id: beta
    host: 10.0.2.11
    upstream: alhpa
monitor:
  name: observer
  password: not-here
keep_wal: 1gb
`))
	fmt.Println(err)
	// Output:
	// orders.yaml:5:5: nodes[0]: unknown key prot; did you mean port?
	// orders.yaml:8:15: nodes[1].upstream: node beta: upstream "alhpa" is not a node of the cluster; did you mean alpha?
	// orders.yaml:11:3: monitor.password: a password must not stand in this file: write secret: env:NAME or secret: file:/path, and keep it in that variable or file
	// orders.yaml:12:11: keep_wal: is not right: want a size such as 512MB or 10GB (kB, MB, GB, TB)
}

func ExampleRender() {
	out, err := clusterfile.Render(topology.Cluster{
		Name: "orders",
		Nodes: []topology.Node{
			{ID: "alpha", Host: "10.0.1.11"},
			{ID: "beta", Host: "10.0.2.11", Upstream: topology.Leader, Sync: true},
		},
		Replication: topology.Replication{User: "replicator", Secret: "env:REPLICATOR_PASSWORD"},
		Slots:       true,
	})
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// name: orders
	// nodes:
	//   - id: alpha
	//     host: 10.0.1.11
	//   - id: beta
	//     host: 10.0.2.11
	//     upstream: leader
	//     sync: true
	// replication:
	//   user: replicator
	//   secret: env:REPLICATOR_PASSWORD
	// slots: true
	// <nil>
}

func ExampleSchema() {
	var s struct {
		ID         string `json:"$id"`
		Properties map[string]struct{ Description string }
	}
	if err := json.Unmarshal(clusterfile.Schema(), &s); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Properties["keep_wal"].Description)
	// Output: How much WAL every node keeps in any case (wal_keep_size), 256MB by default.
}

// The file in the documentation is the one that is tested.
func TestDocumentationHasTheExample(t *testing.T) {
	example, err := os.ReadFile("testdata/orders.yaml")
	require.NoError(t, err)
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	var want bytes.Buffer
	for line := range strings.Lines(string(example)) {
		want.WriteString(strings.TrimRight("//\t"+line, "\t\n") + "\n")
	}
	require.Contains(t, string(doc), want.String())

	s := compiledSchema(t)
	require.NoError(t, validate(t, s, string(example)))
}
