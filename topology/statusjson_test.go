package topology_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/topology"
)

// fill gives every field that lies in v a value of its own, so that one which is lost is noticed.
func fill(t *testing.T, v reflect.Value, next *int) {
	t.Helper()
	*next++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(noon.Add(time.Duration(*next) * time.Microsecond)))
	case v.Type() == reflect.TypeFor[error]():
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), next)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), next)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), next)
		fill(t, v.Index(1), next)
	case v.Kind() == reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, next)
		fill(t, value, next)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("text %d", *next))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(*next))
	case v.CanUint():
		v.SetUint(uint64(*next))
	default:
		t.Fatalf("a field of type %s", v.Type())
	}
}

// TestStatusJSONLosesNothing: every field of what nodes say comes back, and of one that did not answer, that it did not.
func TestStatusJSONLosesNothing(t *testing.T) {
	var full topology.Observation
	next := 0
	fill(t, reflect.ValueOf(&full).Elem(), &next)
	status := topology.Status{At: noon, Nodes: []topology.Observation{full, {Node: "empty", At: noon}, {Node: "slices", At: noon,
		Senders: []topology.Sender{}, Slots: []topology.Slot{{Name: "a", Keeps: -1, Safe: -1}}}}}
	data, err := json.Marshal(status)
	require.NoError(t, err)
	var back topology.Status
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, status, back, string(data))
}

func TestStatusJSONOfSilence(t *testing.T) {
	status := topology.Status{Nodes: []topology.Observation{
		{Node: "a", At: noon, Err: errors.New("no route to host"), InRecovery: true, Position: 1},
		{Node: "b", At: noon, Err: fmt.Errorf("ask: %w", topology.ErrNotMonitor)},
		{Node: "c", At: noon, Err: errors.New("")},
	}}
	data, err := json.Marshal(status)
	require.NoError(t, err)
	require.NotContains(t, string(data), "in_recovery", "nothing is known of a node that does not answer")
	var back topology.Status
	require.NoError(t, json.Unmarshal(data, &back))
	require.EqualError(t, back.Nodes[0].Err, "no route to host")
	require.NotErrorIs(t, back.Nodes[0].Err, topology.ErrNotMonitor)
	require.Zero(t, back.Nodes[0].Position)
	require.ErrorIs(t, back.Nodes[1].Err, topology.ErrNotMonitor)
	require.Error(t, back.Nodes[2].Err)
	require.Error(t, json.Unmarshal([]byte(`{"nodes":[{"node":1}]}`), &back))
}
