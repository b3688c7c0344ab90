package guc

// Decode is what the first use of the catalogue costs.
func Decode() int { return len(decode().names) }
