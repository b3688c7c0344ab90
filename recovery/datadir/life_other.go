//go:build !linux

package datadir

import "runtime"

func checkServer(dataDir string) Server {
	s := Server{Life: Unknown}
	s.Postmaster, s.Evidence = readPostmaster(dataDir, nil)
	s.Evidence = append(s.Evidence, "on "+runtime.GOOS+" the working directories of processes are not looked at")
	return s
}
