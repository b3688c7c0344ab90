package pgconf

import (
	"path"
	"strings"
)

// maxPath is the server's MAXPGPATH; what is longer it cuts off.
const maxPath = 1024

// filePath returns the path by which a server opens and shows a file that a file at from names: make_absolute and
// canonicalize_path of src/port/path.c. An absolute name stays as it is.
func filePath(m Major, from, name string) string {
	if path.IsAbs(name) {
		return name
	}
	return joinPath(m, from[:strings.LastIndexByte(from, '/')], name)
}

// joinPath joins the path of a folder and a name in it. From 15 on, "." and ".." go wherever they stand; before, only at the end,
// and "./" at the start of the name.
func joinPath(m Major, dir, name string) string {
	if m >= 15 {
		return path.Clean(dir + "/" + name)
	}
	for strings.HasPrefix(name, "./") {
		name = name[2:]
	}
	joined := squeeze(dir + "/" + name)
	for strips := 0; ; {
		parent, last := path.Split(joined)
		switch {
		case last == "" && len(parent) <= 1:
			return "/"
		case last == "..":
			strips++
		case last != "" && last != "." && strips == 0:
			return joined
		case last != "" && last != ".":
			strips--
		}
		joined = strings.TrimSuffix(parent, "/")
	}
}

// squeeze makes one slash of many.
func squeeze(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}
