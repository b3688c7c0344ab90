package atomicfile

import "fmt"

// Step names one action of a durable change, in the order in which they happen.
type Step string

// The steps. Write: create, write, mode, sync, close, rename, sync directory. Publish: the same with link and
// unlink-temp instead of rename. Rename and Remove: themselves, then sync directory.
const (
	StepCreate     Step = "create"
	StepWrite      Step = "write"
	StepMode       Step = "mode"
	StepSync       Step = "sync"
	StepClose      Step = "close"
	StepRename     Step = "rename"
	StepLink       Step = "link"
	StepUnlinkTemp Step = "unlink temp"
	StepRemove     Step = "remove"
	StepSyncDir    Step = "sync directory"
)

// hook, if set, is called before each step; an error makes the step fail without happening.
var hook func(Step) error

// SetHook is for crash tests here and in the packages that build on this one: f is called before each step and
// may stop the process or return an error, which makes that step fail. It returns the function that takes the
// hook away again. It must not be called while another goroutine changes files.
func SetHook(f func(Step) error) (restore func()) {
	old := hook
	hook = f
	return func() { hook = old }
}

func do(s Step, action func() error) error {
	if hook != nil {
		if err := hook(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	if err := action(); err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	return nil
}
