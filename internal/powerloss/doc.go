// Package powerloss finds out what a power loss at any moment can leave of the files of a program. It is for tests.
//
//	trace, err := powerloss.Record(cmd, folder)            // runs cmd under strace
//	for state := range trace.States() {                    // what the folder may be after a crash
//		err := state.Build(elsewhere)                  // as files, to look at them and to go on with them
//	}
//
// The program under test is the real one, with the system calls that it really makes. The model of the file system is stricter than those
// in use: until the fsync of a file, what was written to it may be lost, or lost in part, or be zeros; until the fsync of its
// directory, each new, removed or renamed name may or may not have got to the disk, whatever happened before or after it. An fsync of a file
// says nothing about its name. What a program makes durable by other means than fsync and fdatasync does not count.
//
// Only what happens below the folder is looked at. System calls there that the model does not know are an error, so nothing is missed.
package powerloss
