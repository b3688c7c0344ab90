// Package laws is where the fuzz targets of pgconf and the packages below it are; each is named for a law. They have packages of their own
// because a small test program is fuzzed several times as fast as one that also holds clients of servers: after each input the fuzzer looks
// at the coverage of the whole program.
//
//	scripts/fuzz 10000000x pgconf/internal/laws
//
// The seeds are in testdata/fuzz of each, where go test looks for them: vectors of the packages' own tests, and what reached new code in
// earlier runs.
package laws

// Longest is the size in bytes from which on an input is passed over: what is wrong with a long text is wrong with a short one, and
// short ones are quick.
const Longest = 256
