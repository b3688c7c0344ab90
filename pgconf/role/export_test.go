package role

import "strings"

// Store is what the password is stored as on a server of that server_version_num.
var Store = store

// Outrun and Answered judge errors.
var (
	Outrun   = outrun
	Answered = answered
)

// Clause returns the clauses for a spec that are not about the password, for a role that is not there.
func Clause(spec Spec) string {
	spec.Password = ""
	todo, _ := clauses(spec, state{connLimit: NoLimit})
	return strings.Join(texts(todo), " ")
}
