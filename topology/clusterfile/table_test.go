package clusterfile

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
)

// Every field of the model has a key, and every key has a field and a description.
func TestTableCoversModel(t *testing.T) {
	covers(t, clusterKeys, reflect.TypeFor[topology.Cluster]())
}

func covers(t *testing.T, g group, of reflect.Type) {
	t.Helper()
	keys := map[string]key{}
	for _, k := range g.keys {
		require.NotEmpty(t, k.doc, k.name)
		require.NotContains(t, keys, k.field)
		keys[k.field] = k
	}
	for _, f := range reflect.VisibleFields(of) {
		if f.Anonymous {
			continue
		}
		k, ok := keys[f.Name]
		require.True(t, ok, "%s.%s has no key", of.Name(), f.Name)
		delete(keys, f.Name)
		switch v := k.of.(type) {
		case group:
			covers(t, v, f.Type)
		case groups:
			covers(t, v.of, f.Type.Elem())
		case named:
			covers(t, v.of, f.Type.Elem())
		}
	}
	require.Empty(t, keys, "%s has no such fields", of.Name())
	if g.short != nil {
		require.Equal(t, len(g.short.keys), g.short.pattern.NumSubexp())
		for _, name := range g.short.keys {
			_, ok := g.key(name)
			require.True(t, ok, name)
		}
	}
}
