package clusterfile

import (
	"bytes"
	"encoding/json"
)

// SchemaID is the address of the published schema. An editor that finds it in the first line of a file,
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/understudy-ha/understudy/main/topology/clusterfile/schema.json
//
// completes keys and marks faults.
const SchemaID = "https://raw.githubusercontent.com/understudy-ha/understudy/main/topology/clusterfile/schema.json"

// Schema returns the JSON Schema (draft 2020-12) of cluster files. It is made from the table that [Parse] reads by, and refuses
// what Parse refuses by the look of one value: unknown, missing and misplaced keys, wrong types, malformed values. What takes
// more than one value, such as an upstream that is not there, or text beyond its form, such as a password in a command, only Parse
// finds.
func Schema() []byte {
	s := clusterKeys.schema()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = SchemaID
	s["title"] = "PostgreSQL cluster"
	s["description"] = "What a cluster of PostgreSQL servers should be: its nodes, who streams from whom, and what they share."
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s); err != nil {
		panic(err) // the table is ours, and a test encodes it
	}
	return out.Bytes()
}
