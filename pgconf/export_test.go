package pgconf

// SetMaxText sets the largest text that Parse takes apart, and returns a func that sets it back.
func SetMaxText(n uint64) (restore func()) {
	was := maxText
	maxText = n
	return func() { maxText = was }
}
