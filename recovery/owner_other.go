//go:build !unix

package recovery

import "os"

// giveAway does nothing: files belong to who makes them.
func giveAway(string) error { return nil }

func mayOwn(os.FileInfo) bool { return true }
