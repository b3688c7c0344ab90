//go:build linux

package dir

import "os"

// SetFault makes accesses to the directory ask f first, and fail with what it returns.
func SetFault(s *Store, f func() error) { s.fault = f }

// AppendObjects is how records of getdents64 are read.
func AppendObjects(records []byte, d *os.Root) ([]string, error) {
	return appendObjects(nil, records, d)
}
