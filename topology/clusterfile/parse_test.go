package clusterfile_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/understudy-ha/understudy/internal/script"
	"github.com/understudy-ha/understudy/topology/clusterfile"
)

// marker is the password of the stories.
const marker = "s3cr3t"

// The stories: each input, and what is wrong with it, or its canonical form. For a structural one the schema agrees that something
// is wrong, and it finds nothing wrong with what is accepted.
func TestParse(t *testing.T) {
	s := compiledSchema(t)
	script.Run(t, "testdata/parse/*.txt", func(t *testing.T) func(script.Block) string {
		return func(b script.Block) string {
			structural := len(b.Words) > 1
			c, err := clusterfile.Parse("c.yaml", []byte(b.Input))
			if err != nil {
				require.Zero(t, c)
				require.NotContains(t, err.Error(), marker)
				if structural {
					require.Error(t, validate(t, s, b.Input), "line %d: the schema must refuse this", b.Line)
				}
				return err.Error()
			}
			require.False(t, structural)
			require.NoError(t, validate(t, s, b.Input), "line %d", b.Line)
			out, err := clusterfile.Render(c)
			require.NoError(t, err)
			require.NoError(t, validate(t, s, string(out)), "line %d", b.Line)
			return string(out)
		}
	})
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(clusterfile.Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource(clusterfile.SchemaID, doc))
	s, err := compiler.Compile(clusterfile.SchemaID)
	require.NoError(t, err)
	return s
}

// validate says what the schema finds in a file, read as other programs would.
func validate(t *testing.T, s *jsonschema.Schema, file string) error {
	t.Helper()
	var doc any
	if json.Valid([]byte(file)) {
		var err error
		doc, err = jsonschema.UnmarshalJSON(strings.NewReader(file))
		require.NoError(t, err)
	} else if err := yaml.Unmarshal([]byte(file), &doc); err != nil {
		return err
	}
	return s.Validate(doc)
}
