package catalog_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/walarchive/catalog"
	"github.com/understudy-ha/understudy/walarchive/wal"
)

const seg3 = "000000010000000000000003"

var file3 = wal.FileName{Kind: wal.KindSegment, Timeline: 1, Seg: 3}

var objects = map[string]catalog.Object{
	seg3: {Kind: catalog.ObjectFile, File: file3},
	"FFFFFFFFABCDEF0123456789": {Kind: catalog.ObjectFile,
		File: wal.FileName{Kind: wal.KindSegment, Timeline: 0xFFFFFFFF, Log: 0xABCDEF01, Seg: 0x23456789}},
	seg3 + ".partial":                         {Kind: catalog.ObjectFile, File: wal.FileName{Kind: wal.KindPartial, Timeline: 1, Seg: 3}},
	seg3 + ".00000028.backup":                 {Kind: catalog.ObjectFile, File: wal.FileName{Kind: wal.KindBackup, Timeline: 1, Seg: 3, Offset: 0x28}},
	"00000002.history":                        {Kind: catalog.ObjectFile, File: wal.FileName{Kind: wal.KindHistory, Timeline: 2}},
	seg3 + ".record":                          {Kind: catalog.ObjectRecord, File: file3},
	seg3 + ".repair-1":                        {Kind: catalog.ObjectFile, File: file3, Repair: 1},
	seg3 + ".repair-12.record":                {Kind: catalog.ObjectRecord, File: file3, Repair: 12},
	"00000002.history.repair-2":               {Kind: catalog.ObjectFile, File: wal.FileName{Kind: wal.KindHistory, Timeline: 2}, Repair: 2},
	seg3 + ".received-0001F000":               {Kind: catalog.ObjectReceived, File: file3, Upto: 0x1F000},
	"understudy-consumer.a-B_9." + seg3:       {Kind: catalog.ObjectConsumer, File: file3, Consumer: "a-B_9"},
	"understudy-archive":                      {Kind: catalog.ObjectMarker},
	seg3 + ".partial.record":                  {Kind: catalog.ObjectRecord, File: wal.FileName{Kind: wal.KindPartial, Timeline: 1, Seg: 3}},
	seg3 + ".00000028.backup.repair-1.record": {Kind: catalog.ObjectRecord, File: wal.FileName{Kind: wal.KindBackup, Timeline: 1, Seg: 3, Offset: 0x28}, Repair: 1},
}

var noObjects = []string{
	"", "notes.txt", seg3 + "0", seg3[1:], strings.ToLower("00000001000000000000000A"), "0000000100000000000000 3", "00000001000000000000000G",
	seg3 + ".gz", seg3 + ".repair-", seg3 + ".repair-0", seg3 + ".repair-01", seg3 + ".repair-+1", seg3 + ".repair-1.repair-2",
	seg3 + ".record.record", seg3 + ".record.repair-1", seg3 + ".received-1F000", seg3 + ".received-0001f000", seg3 + ".received-0001F0000",
	seg3 + ".partial.received-0001F000", seg3 + ".received-0001F000.record", "understudy-consumer." + seg3, "understudy-consumer.." + seg3,
	"understudy-consumer.a b." + seg3, "understudy-consumer.a." + seg3 + ".partial", "understudy-consumer.a.00000002.history",
	"understudy-consumer." + strings.Repeat("a", 64) + "." + seg3, "understudy-archive.record", "Understudy-archive", ".repair-1", ".record",
	"00000002.History", "0000002.history", seg3 + ".28.backup", seg3 + ".partial.repair--1",
}

func TestParseObject(t *testing.T) {
	for name, want := range objects {
		got, err := catalog.ParseObject(name)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
		require.Equal(t, name, got.String())
	}
	for _, name := range noObjects {
		_, err := catalog.ParseObject(name)
		var syntax *wal.SyntaxError
		require.ErrorAs(t, err, &syntax, "%q", name)
		require.Equal(t, name, syntax.Text)
	}
}

func TestValidConsumer(t *testing.T) {
	for _, name := range []string{"a", "A-b_0", strings.Repeat("x", 63)} {
		require.True(t, catalog.ValidConsumer(name), name)
	}
	for _, name := range []string{"", "a.b", "a/b", "ä", "a b", strings.Repeat("x", 64)} {
		require.False(t, catalog.ValidConsumer(name), name)
	}
}

// FuzzObjectRoundTrip: a name that parses prints as itself, agrees with package wal, and one name is one object.
func FuzzObjectRoundTrip(f *testing.F) {
	for name := range objects {
		f.Add(name)
	}
	for _, name := range noObjects {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		o, err := catalog.ParseObject(name)
		file, errWAL := wal.ParseFileName(name)
		if errWAL == nil && (err != nil || o != catalog.Object{Kind: catalog.ObjectFile, File: file}) {
			t.Fatalf("%q is an archived file, but got %+v, %v", name, o, err)
		}
		if err == nil && o.String() != name {
			t.Fatalf("%q: %+v prints as %q", name, o, o)
		}
	})
}

// FuzzCatalog: whatever lies in an archive, nothing panics, each object has at most one decision, and a plan takes nothing that
// is needed.
func FuzzCatalog(f *testing.F) {
	f.Add(seg3+"\n00000002.history\nunderstudy-consumer.a."+seg3, "1\t0/3000060\tx\n", seg3)
	f.Add("000000010000000000000001\n"+seg3+"\n00000001FFFFFFFF000000FF\nFFFFFFFF.history", "1\t0/0\tx\n2\tFFFFFFFF/FFFFFFFF\tx\n", "")
	f.Fuzz(func(t *testing.T, names, history, oldest string) {
		c, err := catalog.New(strings.Split(names, "\n"), segSize)
		require.NoError(t, err)
		for _, name := range c.Texts() {
			_ = c.AddText(name, []byte(history))
		}
		_, _ = c.List().String(), c.Gaps(catalog.GapConfig{Dropped: []string{oldest}}).String()
		_, _ = c.Need(catalog.Target{From: oldest})
		plan, err := c.Plan(catalog.Policy{Oldest: oldest, Backups: -1})
		if err == nil {
			require.NoError(t, c.Check(plan))
			require.LessOrEqual(t, len(plan.Decisions), strings.Count(names, "\n")+1)
		}
	})
}
