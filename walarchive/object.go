package walarchive

import "github.com/understudy-ha/understudy/walarchive/catalog"

// Object is the parsed name of an object in an archive. Package catalog has its kinds.
type Object = catalog.Object

// ObjectKind is a kind of object in an archive.
type ObjectKind = catalog.ObjectKind

// The kinds, as in package catalog.
const (
	ObjectFile     = catalog.ObjectFile
	ObjectRecord   = catalog.ObjectRecord
	ObjectReceived = catalog.ObjectReceived
	ObjectConsumer = catalog.ObjectConsumer
	ObjectMarker   = catalog.ObjectMarker
)

// ParseObject reads the name of an object. Names that no archive writes are a *wal.SyntaxError.
func ParseObject(name string) (Object, error) { return catalog.ParseObject(name) }

// ValidConsumer reports whether a consumer can have this name: one to 63 ASCII letters, digits, '-' and '_'.
func ValidConsumer(name string) bool { return catalog.ValidConsumer(name) }
