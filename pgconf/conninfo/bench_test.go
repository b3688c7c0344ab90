package conninfo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

func BenchmarkParse(b *testing.B) {
	for form, text := range map[string]string{
		"keyword": "host=db1.example.com,db2.example.com port=5432,5433 user=app password='it\\'s secret' dbname=shop " +
			"application_name=shop sslmode=verify-full sslrootcert=/etc/ssl/ca.pem target_session_attrs=read-write connect_timeout=5",
		"uri": "postgresql://app:it%27s%20secret@db1.example.com:5432,db2.example.com:5433/shop?" +
			"application_name=shop&sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem&target_session_attrs=read-write&connect_timeout=5",
	} {
		b.Run("form="+form, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := conninfo.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "db%d.example.com:5432:shop:app:secret\n", i)
	}
	f, err := conninfo.ParsePassfile("f", []byte(text.String()))
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, ok := f.Lookup("db999.example.com", "5432", "shop", "app"); !ok {
			b.Fatal("not found")
		}
	}
}
