package command

import "strings"

// Settings are the commands of one server. An empty one is not set.
type Settings struct {
	Archive, Restore, Cleanup string
}

// Compare looks for commands that do not fit together: files that are archived in one place and looked for in another, under another
// name or by another program; a clean-up that works elsewhere. Commands that [Server.Check] cannot read are left out, and so are
// places that a variable decides. Whether two folders are two names of one, Compare cannot know.
//
// A folder on another machine counts as equal to the same path here: the usual chain sends files to where the next server reads them.
func (s Server) Compare(all Settings) ([]Finding, error) {
	if err := s.check(Archive); err != nil {
		return nil, err
	}
	archive, restore := s.keeper(Archive, all.Archive), s.keeper(Restore, all.Restore)
	var findings []Finding
	if code := apart(archive, restore); code != "" {
		findings = append(findings, find(Restore, code, archive.text+" and "+restore.text))
	}
	reader := restore
	if reader.family == "" {
		reader = archive
	}
	return append(findings, s.compareCleanup(reader, all.Cleanup)...), nil
}

// keeper is where a command keeps files.
type keeper struct {
	family string // "files", or of a tool; empty if it is not known
	text   string
	place  place
}

// keeper returns where a command stores or finds files.
func (s Server) keeper(kind Kind, command string) keeper {
	steps, err := s.steps(kind, command)
	if err != nil {
		return keeper{}
	}
	for _, st := range steps {
		switch {
		case st.role == copies:
			w := st.source
			if kind == Archive {
				w = st.target
			}
			if p := placeOf(w, s.Shell); !p.unknown && !w.has(Path) && p.text != "" {
				return keeper{family: "files", text: p.text, place: p}
			}
		case st.role == archives && st.tool.pushes == (kind == Archive):
			name := st.value(st.tool.option)
			return keeper{family: st.tool.family, text: strings.TrimSpace(st.name + " " + name), place: place{dir: name}}
		}
	}
	return keeper{}
}

// value returns the value of an option: --option=value or --option value.
func (st *step) value(option string) string {
	for i, w := range st.args {
		text := w.String()
		if option == "" {
			break
		}
		if v, ok := strings.CutPrefix(text, option+"="); ok {
			return v
		}
		if text == option && i+1 < len(st.args) {
			return st.args[i+1].String()
		}
	}
	return ""
}

// apart says how two places differ, or nothing.
func apart(archive, restore keeper) Code {
	switch {
	case archive.family == "" || restore.family == "":
		return ""
	case archive.family != restore.family:
		return TwoTools
	case archive.place.dir != restore.place.dir:
		return TwoFolders
	case archive.place.name != restore.place.name:
		return TwoNames
	}
	return ""
}

func (s Server) compareCleanup(reader keeper, command string) []Finding {
	steps, err := s.steps(Cleanup, command)
	if err != nil || reader.family != "files" {
		return nil
	}
	var findings []Finding
	for _, st := range steps {
		words := positional(st.args, s.Shell, "-x")
		if st.name != "pg_archivecleanup" || len(words) == 0 {
			continue
		}
		folder := placeOf(append(append(Word{}, words[0]...), Text("/")), s.Shell)
		if !folder.unknown && folder.dir != reader.place.dir {
			findings = append(findings, find(Cleanup, CleansAnother, words[0].String()+" and "+reader.text))
		}
		if _, ending, _ := strings.Cut(reader.place.name, "%f"); ending != "" && st.value("-x") != ending {
			findings = append(findings, find(Cleanup, CleansNoneOfIt, reader.text))
		}
	}
	return findings
}
