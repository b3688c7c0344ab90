package hba

// Append adds a record as the last line, ending as the lines of the file do. The error is that of
// [Record.ValidateFor] for the file's major.
func (f *File) Append(r Record) error { return f.insert(len(f.content.text), r) }

// InsertBefore adds a record before a line, counted from 1, or as the last one if the line is the one after that. If the line
// continues the one before it (14+), the record goes before both. The line of the record ends as that line does. The error
// matches [ErrLine], or is that of Append.
func (f *File) InsertBefore(line int, r Record) error {
	l, err := f.content.line(line)
	if err != nil {
		return err
	}
	return f.insert(l.start, r)
}

// Remove takes out a line, counted from 1, whatever is in it, with all that continues it (14+) or that it continues. The error
// matches [ErrLine].
func (f *File) Remove(line int) error {
	if err := f.content.remove(line); err != nil {
		return err
	}
	_ = f.parse() // lines that are not valid were so before
	return nil
}

func (f *File) insert(at int, r Record) error {
	if err := r.ValidateFor(f.content.major); err != nil {
		return err
	}
	f.content.insert(at, r.Text())
	_ = f.parse() // lines that are not valid were so before
	return nil
}

// Diff returns what the edits since Parse changed, as a unified diff with the name given to Parse as the name of both
// files. It is "" if the content is what was parsed. Secrets that options hold are shown, in changed lines and those around them:
// see [File.DiffHiding].
func (f *File) Diff() string { return f.content.diff(asIs) }

// DiffHiding is [File.Diff] for people to look at: behind the name of an option that holds a secret (ldapbindpasswd, radiussecrets)
// the rest of the line is shown as ***, in comments and lines that are not valid too. The result is no patch any more.
func (f *File) DiffHiding() string { return f.content.diff(hideSecrets) }

// splice replaces whole lines by others.
func (f *File) splice(from, to int, text string) {
	f.content.splice(from, to, text)
	_ = f.parse() // lines that are not valid were so before
}
