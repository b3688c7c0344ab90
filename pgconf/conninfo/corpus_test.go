package conninfo_test

import (
	"math/rand/v2"
	"strings"
)

// uriVectors are URIs and what the libpq of 18 makes of them: keyword, value, ..., or the column of the error.
var uriVectors = []vector{
	// the examples of the manual, "Connection URIs"
	{text: "postgresql://"},
	{text: "postgresql://localhost", want: []string{"host", "localhost"}},
	{text: "postgresql://localhost:5433", want: []string{"host", "localhost", "port", "5433"}},
	{text: "postgresql://localhost/mydb", want: []string{"host", "localhost", "dbname", "mydb"}},
	{text: "postgresql://user@localhost", want: []string{"user", "user", "host", "localhost"}},
	{text: "postgresql://user:secret@localhost", want: []string{"user", "user", "password", "secret", "host", "localhost"}},
	{text: "postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp", want: []string{
		"user", "other", "host", "localhost", "dbname", "otherdb", "connect_timeout", "10", "application_name", "myapp",
	}},
	{text: "postgresql://host1:123,host2:456/somedb?target_session_attrs=any&application_name=myapp", want: []string{
		"host", "host1,host2", "port", "123,456", "dbname", "somedb", "target_session_attrs", "any", "application_name", "myapp",
	}},
	{text: "postgresql://user@localhost:5433/mydb?options=-c%20synchronous_commit%3Doff", want: []string{
		"user", "user", "host", "localhost", "port", "5433", "dbname", "mydb", "options", "-c synchronous_commit=off",
	}},
	{text: "postgresql:///mydb?host=localhost&port=5433", want: []string{"dbname", "mydb", "host", "localhost", "port", "5433"}},
	{text: "postgresql://[2001:db8::1234]/database", want: []string{"host", "2001:db8::1234", "dbname", "database"}},
	{text: "postgresql:///dbname?host=/var/lib/postgresql", want: []string{"dbname", "dbname", "host", "/var/lib/postgresql"}},
	{text: "postgresql://%2Fvar%2Flib%2Fpostgresql/dbname", want: []string{"host", "/var/lib/postgresql", "dbname", "dbname"}},
	// the parts, and each of them empty
	{text: "postgres://h", want: []string{"host", "h"}},
	{text: "postgresql:///"},
	{text: "postgresql://?"},
	{text: "postgresql:///?"},
	{text: "postgresql://@"},
	{text: "postgresql://:@"},
	{text: "postgresql://u@", want: []string{"user", "u"}},
	{text: "postgresql://u:@h", want: []string{"user", "u", "host", "h"}},
	{text: "postgresql://:p@h", want: []string{"password", "p", "host", "h"}},
	{text: "postgresql://u:p:q@h", want: []string{"user", "u", "password", "p:q", "host", "h"}},
	{text: "postgresql://u@h@i", want: []string{"user", "u", "host", "h@i"}},
	{text: "postgresql://u:p/x@h", want: []string{"host", "u", "port", "p", "dbname", "x@h"}},
	{text: "postgresql://u?x@h", want: []string{"user", "u?x", "host", "h"}},
	{text: "postgresql://u%40:p%3a%2F@h", want: []string{"user", "u@", "password", "p:/", "host", "h"}},
	{text: "postgresql://:5432/d", want: []string{"port", "5432", "dbname", "d"}},
	{text: "postgresql://h:/d", want: []string{"host", "h", "dbname", "d"}},
	{text: "postgresql://h:1:2/d", want: []string{"host", "h", "port", "1:2", "dbname", "d"}},
	{text: "postgresql://a,b/d", want: []string{"host", "a,b", "port", ",", "dbname", "d"}},
	{text: "postgresql://a:1,,c:3", want: []string{"host", "a,,c", "port", "1,,3"}},
	{text: "postgresql://,", want: []string{"host", ",", "port", ","}},
	{text: "postgresql://a%2Cb/d", want: []string{"host", "a,b", "dbname", "d"}},
	{text: "postgresql://h/a/b", want: []string{"host", "h", "dbname", "a/b"}},
	{text: "postgresql://h/d#f", want: []string{"host", "h", "dbname", "d#f"}},
	{text: "postgresql://h?user=a", want: []string{"host", "h", "user", "a"}},
	{text: "postgresql://h:1?user=a", want: []string{"host", "h", "port", "1", "user", "a"}},
	{text: "postgresql://h/d?user=a?b", want: []string{"host", "h", "dbname", "d", "user", "a?b"}},
	{text: "postgresql://h/d?user=", want: []string{"host", "h", "dbname", "d", "user", ""}},
	{text: "postgresql://h/d?user=a&", want: []string{"host", "h", "dbname", "d", "user", "a"}},
	{text: "postgresql://h/d?us%65r=a", want: []string{"host", "h", "dbname", "d", "user", "a"}},
	{text: "postgresql://h/d?user=a&host=g&user=b", want: []string{"host", "g", "dbname", "d", "user", "b"}},
	{text: "postgresql://h/d?application_name=a+b%20c%2B", want: []string{"host", "h", "dbname", "d", "application_name", "a+b c+"}},
	{text: "postgresql://h/%E9%c3%a9", want: []string{"host", "h", "dbname", "\xe9é"}},
	{text: "postgresql://h/d?ssl=true", want: []string{"host", "h", "dbname", "d", "sslmode", "require"}},
	{text: "postgresql://h/d?requiressl=1&user=a", want: []string{"host", "h", "dbname", "d", "sslmode", "require", "user", "a"}},
	{text: "postgresql://h/d?requiressl=0", want: []string{"host", "h", "dbname", "d", "sslmode", "prefer"}},
	{text: "postgresql://h/d?sslmode=disable&ssl=true", want: []string{"host", "h", "dbname", "d", "sslmode", "require"}},
	// addresses in brackets
	{text: "postgresql://[::1]", want: []string{"host", "::1"}},
	{text: "postgresql://[::1]:5", want: []string{"host", "::1", "port", "5"}},
	{text: "postgresql://[::1],[::2]:6?user=a", want: []string{"host", "::1,::2", "port", ",6", "user", "a"}},
	{text: "postgresql://[fe80::1%25eth0]/d", want: []string{"host", "fe80::1%eth0", "dbname", "d"}},
	{text: "postgresql://[a]/", want: []string{"host", "a"}},
	{text: "postgresql://a[b]/", want: []string{"host", "a[b]"}},
	{text: "postgresql://[]", col: 14},
	{text: "postgresql://[::1", col: 14},
	{text: "postgresql://a,[::1/d", col: 16},
	{text: "postgresql://[::1]x", col: 19},
	{text: "postgresql://[::1]%41", col: 19},
	// blanks: only from 18 on anything else than themselves
	{text: "postgresql:// u : p @ h : 1 / d ? user = b ", want: []string{"user", "b", "password", "p", "host", "h", "port", "1", "dbname", "d"}},
	{text: "postgresql://h/ ", want: []string{"host", "h", "dbname", ""}},
	{text: "postgresql://h/\td\n", want: []string{"host", "h", "dbname", "\td\n"}},
	{text: "postgresql://a b@h", col: 15},
	{text: "postgresql://h/  a b", col: 19},
	{text: "postgresql://a, b", col: 16},
	{text: "postgresql://a:1,b:2 ,c", col: 21},
	{text: "postgresql://h/d?application_name=a b", col: 36},
	{text: "postgresql://h/d?us er=a", col: 20},
	// errors
	{text: "postgresql://h/%", col: 16},
	{text: "postgresql://h/a%1", col: 17},
	{text: "postgresql://h/a%zz", col: 17},
	{text: "postgresql://h/a%1g", col: 17},
	{text: "postgresql://h/%00", col: 16},
	{text: "postgresql://a%zz@h", col: 15},
	{text: "postgresql://u:a%zz@h", col: 17},
	{text: "postgresql://a,b%zz/d", col: 17},
	{text: "postgresql://a:1,b:%zz/d", col: 20},
	{text: "postgresql://a%4,1", col: 15},
	{text: "postgresql://h?user=%zz", col: 21},
	{text: "postgresql://h?%zz=a", col: 16},
	{text: "postgresql://h/d?&", col: 18},
	{text: "postgresql://h/d?user", col: 18},
	{text: "postgresql://h/d?user=a&&dbname=b", col: 25},
	{text: "postgresql://h/d?user=a=b", col: 24},
	{text: "postgresql://h/d?=a", col: 18},
	{text: "postgresql://h/d?User=a", col: 18},
	{text: "postgresql://h/d?\vuser=a", col: 18},
	// not URIs
	{text: "Postgresql://h", col: 1},
	{text: "postgresql:/h", col: 1},
	{text: " postgresql://h", col: 2},
	{text: "jdbc:postgresql://h/d", col: 1},
	{text: "jdbc:postgresql://h/d?user=a", col: 1},
}

// corpus returns the vectors, keywords and near-keywords in both forms, and n strings that are put together at random.
func corpus(n int) []string {
	var texts []string
	for _, v := range append(vectors, uriVectors...) {
		texts = append(texts, v.text)
	}
	for _, k := range keywordCandidates {
		texts = append(texts, k+"=1", "postgresql:///?"+k+"=true", "postgresql:///?"+k+"=0")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range n {
		texts = append(texts, randomString(r))
	}
	return texts
}

// keywordCandidates are all keywords there ever were, and some that look like one.
var keywordCandidates = strings.Fields(`application_name authtype channel_binding client_encoding connect_timeout dbname
	fallback_application_name gssdelegation gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle
	keepalives_interval krbsrvname load_balance_hosts max_protocol_version min_protocol_version oauth_client_id oauth_client_secret
	oauth_issuer oauth_scope options passfile password port replication require_auth requirepeer requiressl scram_client_key
	scram_server_key service servicefile ssl ssl_max_protocol_version ssl_min_protocol_version sslcert sslcertmode sslcompression
	sslcrl sslcrldir sslkey sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert sslsni target_session_attrs
	tcp_user_timeout tty user database username passwd search_path pool_max_conns hosts ports krbspn sslinline`)

// pieces are what connection strings are made of, so that random ones are often nearly valid.
var pieces = map[bool][]string{
	false: strings.Split("user|dbname|host|port|password|application_name|sslmode|nope|=|=|=|=|=|=| | | |\t|\n|\v|'|'|'|\\|a|b c|,|h1,h2|é|\xff|1", "|"),
	true: strings.Split("@|:|:|/|/|?|?|&|=|=|[|]|,|,|%41|%2C|%2F|%00|%zz|%|+| |#|user|dbname|host|port|password|ssl=true|"+
		"requiressl=1|sslmode=|application_name=|nope=1|[::1]|h|127.0.0.1|5432|é|\xff|'|\\|\t", "|"),
}

func randomString(r *rand.Rand) string {
	uri := r.IntN(3) > 0
	var b strings.Builder
	if uri {
		b.WriteString("postgresql://")
	}
	for range r.IntN(12) {
		b.WriteString(pieces[uri][r.IntN(len(pieces[uri]))])
	}
	return b.String()
}
