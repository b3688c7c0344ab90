package lookahead

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A conversation is one request and one answer. Each side says first which protocol it speaks, in a line that will begin the same in all
// versions; then come lines of JSON. While the client waits, the helper says "wait" every second, so that a helper that is frozen shows.
// An answer that is cut off has no newline and counts for nothing.
const (
	greeting = "understudy lookahead 1"
	patience = "wait"
)

// maxLine is how long a line may be, in bytes.
const maxLine = 16 << 10

const (
	verbPush  = "push"
	verbFetch = "fetch"
)

type request struct {
	Verb string
	Bond Bond
	Name string      // of the WAL file
	Path string      // push: the file, absolute
	File fingerprint // push: what the client sees there
}

// outcome is what the helper says. Only the first three are used; whatever else it says, the client does the work itself.
type outcome string

const (
	archived  outcome = "archived"  // durably, by [Archive.Push]
	delivered outcome = "delivered" // lies in the spool
	absent    outcome = "absent"    // the archive was asked after the client asked, and does not hold it
	conflict  outcome = "conflict"
	foreign   outcome = "foreign"
	failed    outcome = "failed"
	unknown   outcome = "unknown"
	refused   outcome = "refused" // not even tried
)

type response struct {
	Outcome outcome
	Name    string // as asked
	Message string
}

func writeMessage(w io.Writer, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// readLine returns the next line without its newline. Without a newline it is not a line.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("a line of more than %d bytes", maxLine)
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

// readGreeting refuses another version.
func readGreeting(r *bufio.Reader) error {
	line, err := readLine(r)
	if err != nil {
		return err
	}
	if string(line) != greeting {
		return fmt.Errorf("it speaks %.40q, not %q", line, greeting)
	}
	return nil
}

// readMessage reads one line of JSON. A field that this version does not know is an error.
func readMessage(line []byte, message any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(message); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one message in a line")
	}
	return nil
}
