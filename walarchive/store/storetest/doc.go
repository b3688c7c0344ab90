// Package storetest is the conformance suite for walarchive.Store: what an archive relies on, as tests. And it has a
// Store with faults to order, for tests of what uses Stores.
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) walarchive.Store { return openEmptyStore(t) })
//	}
//
// [RunPlace] tests more: several Stores on one place, as several processes have them, and a writer that is killed.
//
// What the suite cannot see is durability: that nothing which Create said is there is lost in a crash.
package storetest
