package command

// outcome is how a script ends in a supposed world.
type outcome struct {
	status int
	ran    []bool // by step
}

// suppose runs the steps in a world in which the file in the archive exists or not. Steps that fail do so with status 1, all others
// succeed.
func suppose(steps []step, exists bool, fails func(i int) bool) outcome {
	out := outcome{ran: make([]bool, len(steps))}
	pipefail, before := false, ";"
	for i := 0; i < len(steps); {
		end := i // of the pipe
		for steps[end].Next == "|" && end+1 < len(steps) {
			end++
		}
		next := steps[end].Next
		switch {
		case before == "&&" && out.status != 0, before == "||" && out.status == 0: // a && b || c is (a && b) || c
			i, before = end+1, next
			continue
		case before == Then && out.status != 0:
			out.status = 0 // cmd.exe: nothing was run
			return out
		}
		status := 0
		for ; i <= end; i++ {
			out.ran[i] = true
			pipefail = pipefail || steps[i].pipefail
			s := steps[i].result(exists, fails(i), out.status)
			if s != 0 || !pipefail {
				status = s
			}
			if isExit(steps[i]) && end == i {
				out.status = s
				return out
			}
		}
		if next == "&" {
			status = 0 // in the background
		}
		out.status, before = status, next
	}
	return out
}

func isExit(s step) bool { return s.role == exits && s.name == "exit" }

// The usual suppositions about what fails.
func nothing(int) bool          { return false }
func only(i int) func(int) bool { return func(j int) bool { return j == i } }

// result returns the exit status of a step.
func (st *step) result(exists, fails bool, last int) int {
	status := 0
	switch {
	case st.role == tests:
		if exists == st.absent {
			return 1 // its negation is in absent
		}
		return 0
	case fails:
		status = 1
	case st.lastStatus:
		return last
	case st.role == exits:
		status = st.status
	}
	if st.Negated {
		if status != 0 {
			return 0
		}
		return 1
	}
	return status
}
