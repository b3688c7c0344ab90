// Package laws holds the fuzz targets of pgconf and the packages below it; each is named for a law. They are in a package of their own
// because a small test program is fuzzed many times as fast as one that also holds clients of servers: after each input the fuzzer looks
// at the coverage of the whole program.
//
//	scripts/fuzz 10000000x pgconf/internal/laws
//
// The seeds are in testdata/fuzz, where go test looks for them: the vectors of the packages' own tests and what reached new code in
// earlier runs.
package laws
