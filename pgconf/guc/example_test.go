package guc_test

import (
	"errors"
	"fmt"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/guc"
)

func ExampleLookup() {
	p, ok := guc.Lookup(18, "Shared_Buffers")
	fmt.Println(ok, p.Name, p.Type, p.Unit, p.Min, p.Context, p.Context.Action())
	// Output: true shared_buffers integer 8kB 16 postmaster restart
}

func ExampleParams() {
	for _, p := range guc.Params(18) {
		if p.Unit == guc.Megabytes && p.Context == guc.Sighup {
			fmt.Println(p.Name)
		}
	}
	// Output:
	// max_slot_wal_keep_size
	// max_wal_size
	// min_wal_size
	// wal_keep_size
}

func ExampleParse() {
	for _, text := range []string{"1GB", "1024MB", "131072", "'1GB'"} {
		v, err := guc.Parse(17, "shared_buffers", text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(v, v.Setting())
	}
	// Output:
	// 1GB 131072
	// 1GB 131072
	// 1GB 131072
	// shared_buffers: not a number
}

func ExampleValue() {
	size, _ := guc.Parse(17, "shared_buffers", "1GB")
	blocks, ok := size.Number()
	fmt.Println(size.Type(), blocks, ok)
	switched, _ := guc.Parse(17, "hot_standby", "yes")
	on, ok := switched.Bool()
	fmt.Println(switched.Type(), on, ok)
	// Output:
	// integer 131072 true
	// bool true true
}

func ExampleUnit() {
	p, _ := guc.Lookup(17, "wal_receiver_timeout")
	fmt.Println(p.Unit, p.Unit.Time(), p.Unit.Memory(), p.Unit.Units(17))
	// Output: ms true false [d h min s ms us]
}

func ExampleValidate() {
	fmt.Println(guc.Validate(18, "wal_keep_segments", "32"))
	fmt.Println(guc.Validate(12, "wal_keep_size", "512MB"))
	fmt.Println(guc.Validate(17, "shared_bufers", "1GB"))
	fmt.Println(guc.Validate(17, "shared_buffers", "1gb"))
	fmt.Println(guc.Validate(17, "wal_level", "full"))
	fmt.Println(guc.Validate(17, "pg_stat_statements.max", "anything"))
	// Output:
	// unknown parameter "wal_keep_segments": gone since 13, use wal_keep_size: the size of that many WAL segments
	// unknown parameter "wal_keep_size": PostgreSQL 12 has it only from 13 on
	// unknown parameter "shared_bufers": did you mean shared_buffers?
	// shared_buffers: unknown unit; takes TB, GB, MB, kB, B (upper and lower case matter), or a bare number of 8kB
	// wal_level: takes one of minimal, replica, logical
	// <nil>
}

func ExampleHistoryOf() {
	h, _ := guc.HistoryOf("max_wal_size")
	fmt.Println("since", h.First)
	for _, c := range h.Changes {
		fmt.Printf("%s: %s %s -> %s\n", c.Major, c.Fact, c.Old, c.New)
	}
	// Output:
	// since 9.5
	// 10: unit 16MB -> MB
	// 10: boot_val 64 -> 1024
}

func ExampleFateOf() {
	f, ok := guc.FateOf("checkpoint_segments", pgconf.Major(16))
	fmt.Println(ok, f.Major, f.To, f.Convert)
	// Output: true 9.5 max_wal_size checkpoints_to_max
}

func ExampleParam_Parse() {
	p, _ := guc.Lookup(17, "log_min_duration_statement")
	for _, text := range []string{"0.25s", "250ms", "-2"} {
		v, err := p.Parse(text)
		fmt.Println(v == mustParse(p, "250"), err)
	}
	// Output:
	// true <nil>
	// true <nil>
	// false log_min_duration_statement: out of range; takes -1 to 2147483647ms
}

func mustParse(p guc.Param, text string) guc.Value {
	v, err := p.Parse(text)
	if err != nil {
		panic(err)
	}
	return v
}

func ExampleValueError() {
	err := guc.Validate(17, "max_connections", "many")
	var refused *guc.ValueError
	if errors.As(err, &refused) {
		fmt.Println(refused.Param.Name, refused.Kind == guc.NotNumber, refused.Param.Default)
	}
	// Output: max_connections true 100
}

func ExampleUnknownError() {
	err := guc.Validate(13, "wal_keep_segments", "32")
	var unknown *guc.UnknownError
	if errors.As(err, &unknown) {
		fmt.Println(unknown.Until, unknown.Fate.To, unknown.Fate.Convert)
	}
	// Output: 12 wal_keep_size segments_to_size
}

func ExampleParseSyncNames() {
	s, err := guc.ParseSyncNames(17, `ANY 2 (berlin, "new-york", PARIS)`)
	fmt.Println(s.Quorum, s.Num, s.Names, err)
	fmt.Println(s.Lists("paris"), s.Lists("rome"))
	fmt.Println(s)
	_, err = guc.ParseSyncNames(17, "new-york")
	fmt.Println(err)
	// Output:
	// true 2 [berlin new-york PARIS] <nil>
	// true false
	// ANY 2 (berlin, "new-york", "PARIS")
	// synchronous_standby_names: takes a list of names, N (names), FIRST N (names) or ANY N (names); quote what is not a plain name, as in "a-b"
}

func ExampleSplitNames() {
	names, ok := guc.SplitNames(17, `"$user", Public`)
	fmt.Println(names, ok)
	// Output: [$user public] true
}
