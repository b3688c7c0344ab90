package conninfo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

func TestURI(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "postgresql://",
		"host=h":                        "postgresql://h",
		"host=h port=1 dbname=d user=u": "postgresql://u@h:1/d",
		"user=u password=p host=h sslmode=require": "postgresql://u:p@h/?sslmode=require",
		"password=p": "postgresql://:p@",
		"user='' password='' host='' port='' dbname=''":   "postgresql:///?user=&password=&host=&port=&dbname=",
		"user='a@b:c' password='/?# %+' dbname='a/b?c d'": "postgresql://a%40b%3Ac:%2F%3F%23%20%25%2B@/a%2Fb%3Fc%20d",
		"host=/run/pg port=5":                             "postgresql://%2Frun%2Fpg:5",
		"host=::1":                                        "postgresql://[::1]",
		"host=fe80::1%eth0,10.0.0.1 port=1,":              "postgresql://[fe80::1%25eth0]:1,10.0.0.1",
		"host=a:b":                                        "postgresql://a%3Ab",
		"host=[a]":                                        "postgresql://%5Ba%5D",
		"port=5":                                          "postgresql://:5",
		"port=5,6":                                        "postgresql:///?port=5,6",
		"host=a,b dbname=d":                               "postgresql:///d?host=a,b",
		"host=a,b port=,":                                 "postgresql://a,b",
		"host=a,b port=5":                                 "postgresql://a:5,b:5",
		"host=a,b port=5,6":                               "postgresql://a:5,b:6",
		"host=a,,c port=5,,7":                             "postgresql://a:5,,c:7",
		"host=a,b port=5,6,7":                             "postgresql://a,b/?port=5,6,7",
		"host=a,b port=''":                                "postgresql://a,b/?port=",
		"host=a hostaddr=10.0.0.1":                        "postgresql://a/?hostaddr=10.0.0.1",
		"host='' port=5":                                  "postgresql://:5/?host=",
		"application_name='é\xff&=' options='-c a=b,c:d/e'": "postgresql:///?application_name=%C3%A9%FF%26%3D&options=-c%20a%3Db,c:d/e",
		"nope=a@b": "postgresql:///?nope=a%40b",
	} {
		info, err := conninfo.Parse(text)
		require.NoError(t, err)
		got := info.URI()
		require.Equal(t, want, got, text)
		back, err := conninfo.Parse(got)
		require.NoError(t, err)
		if text != "host=a,b port=5" { // each host gets it
			require.True(t, back.Equal(info), "%s became %s", text, back.Text())
		}
		require.True(t, back.Same(info), "%s became %s", text, back.Text())
	}
}

// TestOracleRender: libpq reads what Text and URI write as the same keywords and values.
func TestOracleRender(t *testing.T) {
	var infos []conninfo.Info
	var texts []string
	for _, s := range corpus(4000) {
		info, err := conninfo.Parse(s)
		if err != nil {
			continue
		}
		infos = append(infos, info, info)
		texts = append(texts, info.Text(), info.URI())
	}
	eachLibpq(t, func(t *testing.T, l libpq) {
		read := 0
		for i, a := range l.ask(t, "parse", texts) {
			if infos[i].Validate(l.major) != nil && a.message != "ok" {
				continue // for keywords it does not know, as the other tests show
			}
			require.Equal(t, "ok", a.message, texts[i])
			back, err := conninfo.ParseFor(l.major, texts[i])
			require.NoError(t, err)
			require.Equal(t, a.options, options(back))
			if i%2 == 0 {
				require.True(t, back.Equal(infos[i]), texts[i])
			}
			require.True(t, back.Same(infos[i]), texts[i])
			read++
		}
		require.Greater(t, read, 2000)
	})
}
