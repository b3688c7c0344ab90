//go:build !unix

package recovery

// giveAway does nothing: files belong to who makes them.
func giveAway(string) error { return nil }
