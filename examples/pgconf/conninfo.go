package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/pgconf/conninfo"
)

// conninfoCommand reads a connection string, edits it, and writes it in the form asked for.
type conninfoCommand struct {
	Text        string        `arg:"" help:"The connection string: key=value pairs, a URI, or a URL of pgjdbc. - reads it from standard input, so that no password is in the process list."`
	To          string        `enum:"keyword,uri,jdbc" default:"keyword" help:"Form to print it in: keyword, uri or jdbc."`
	Set         []string      `sep:"none" placeholder:"KEYWORD=VALUE" help:"Set a keyword. May be given several times."`
	Unset       []string      `placeholder:"KEYWORD" help:"Remove keywords."`
	ServiceFile []string      `type:"existingfile" help:"Replace the service that it names by what the first of these files says of it."`
	Passfile    string        `type:"existingfile" help:"Add the password that libpq would take from this file, if there is none yet."`
	Major       *pgconf.Major `help:"Leave out what the libpq of this major, such as 9.6 or 17, does not know."`
	Same        *string       `placeholder:"OTHER" help:"Say whether it leads to the same servers in the same way as another one."`
	ShowSecrets bool          `help:"Print passwords, too."`
	JSON        bool          `name:"json" help:"Print an object with the string, its keywords, its servers, and what is wrong or left out."`
}

// Run prints the string. If something was left out, or libpq could not use it, that goes to standard error, and the answer is no.
func (c *conninfoCommand) Run(out *streams) error {
	info, problems, err := c.read(out.In)
	if err != nil {
		return err
	}
	if c.Same != nil {
		return c.compare(out, info)
	}
	if c.Major != nil {
		kept, lost := info.For(*c.Major)
		info = kept
		problems = append(problems, optionErrors(lost)...)
	}
	major := pgconf.Newest
	if c.Major != nil {
		major = *c.Major
	}
	problems = append(problems, optionErrors(info.Validate(major))...)
	if !c.ShowSecrets {
		info = info.Redacted()
	}
	text := info.Text()
	switch c.To {
	case "uri":
		text = info.URI()
	case "jdbc":
		var lost error
		text, lost = info.JDBC()
		problems = append(problems, optionErrors(lost)...)
	}
	return c.print(out, info, text, problems)
}

// read reads the string and makes the changes asked for. The problems are what a URL of pgjdbc says that libpq has no word for.
func (c *conninfoCommand) read(in io.Reader) (info conninfo.Info, problems conninfo.OptionErrors, err error) {
	if info, problems, err = parseConninfo(c.Text, in); err != nil {
		return info, nil, err
	}
	for _, s := range c.Set {
		key, value, ok := strings.Cut(s, "=")
		if _, known := conninfo.LookupKeyword(key); !ok || !known {
			return info, nil, fmt.Errorf("%w: --set takes a keyword of libpq, =, and the value", errUsage)
		}
		if strings.Contains(value, "\x00") {
			return info, nil, fmt.Errorf("%w: --set: NUL byte in the value", errUsage)
		}
		info = info.With(key, value)
	}
	for _, key := range c.Unset {
		info = info.Without(key)
	}
	if info, err = expandService(info, c.ServiceFile); err != nil {
		return info, nil, err
	}
	info, err = addPassword(info, c.Passfile)
	return info, problems, err
}

// parseConninfo reads a string of any form.
func parseConninfo(text string, in io.Reader) (conninfo.Info, conninfo.OptionErrors, error) {
	if text == "-" {
		b, err := io.ReadAll(in)
		if err != nil {
			return conninfo.Info{}, nil, err
		}
		text = strings.TrimRight(string(b), "\r\n")
	}
	if !strings.HasPrefix(text, "jdbc:") {
		info, err := conninfo.Parse(text)
		return info, nil, err
	}
	info, err := conninfo.ParseJDBC(text)
	var lost conninfo.OptionErrors
	if errors.As(err, &lost) {
		err = nil
	}
	return info, lost, err
}

func expandService(info conninfo.Info, paths []string) (conninfo.Info, error) {
	if len(paths) == 0 {
		return info, nil
	}
	files := make([]*conninfo.ServiceFile, len(paths))
	for i, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return info, err
		}
		files[i], _ = conninfo.ParseServiceFile(path, b) // what matters of its errors, Expand says
	}
	return info.Expand(files...)
}

// addPassword adds the password of the file that libpq would use. It must be the same for all servers.
func addPassword(info conninfo.Info, path string) (conninfo.Info, error) {
	if password, _ := info.Get("password"); path == "" || password != "" {
		return info, nil
	}
	stat, err := os.Stat(path)
	if err != nil {
		return info, err
	}
	if err := conninfo.CheckPassfileMode(stat.Mode()); err != nil {
		return info, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return info, err
	}
	file, _ := conninfo.ParsePassfile(path, b) // libpq passes over bad lines
	hosts, err := info.Hosts()
	if err != nil {
		return info, err
	}
	user, _ := info.Get("user")
	database, _ := info.Get("dbname")
	if database == "" {
		database = user
	}
	var password string
	for i, h := range hosts {
		if h.Host == "" && h.Addr.IsValid() {
			h.Host = h.Addr.String()
		}
		found, ok := file.Lookup(h.Host, fmt.Sprint(h.Port), database, user)
		if !ok || i > 0 && found != password {
			return info, fmt.Errorf("%s: no password for %s as this user, or another one than for the server before", path, h)
		}
		password = found
	}
	return info.With("password", password), nil
}

func (c *conninfoCommand) compare(out *streams, info conninfo.Info) error {
	if *c.Same == "-" && c.Text == "-" {
		return fmt.Errorf("%w: only one string can come from standard input", errUsage)
	}
	other, _, err := parseConninfo(*c.Same, out.In)
	if err != nil {
		return err
	}
	if !info.Same(other) {
		fmt.Fprintln(out.Out, "different")
		return errNo
	}
	fmt.Fprintln(out.Out, "same")
	return nil
}

func optionErrors(err error) conninfo.OptionErrors {
	var errs conninfo.OptionErrors
	errors.As(err, &errs)
	return errs
}

type conninfoJSON struct {
	Text     string            `json:"text"`
	Options  []conninfoOption  `json:"options"`
	Servers  []conninfoServer  `json:"servers"`
	Problems []conninfoProblem `json:"problems"`
}

type conninfoOption struct {
	Keyword string `json:"keyword"`
	Value   string `json:"value"`
}

type conninfoServer struct {
	Host     string `json:"host"`
	HostAddr string `json:"hostaddr,omitempty"`
	Port     uint16 `json:"port"`
	Socket   bool   `json:"socket"`
}

type conninfoProblem struct {
	Keyword string `json:"keyword"`
	Message string `json:"message"`
}

// print writes what is left of the string, and the problems.
func (c *conninfoCommand) print(out *streams, info conninfo.Info, text string, problems conninfo.OptionErrors) error {
	if c.JSON {
		if err := printJSON(out, newConninfoJSON(info, text, problems)); err != nil {
			return err
		}
	} else {
		if text != "" {
			fmt.Fprintln(out.Out, text)
		}
		for _, p := range problems {
			fmt.Fprintln(out.Err, p)
		}
	}
	if len(problems) > 0 {
		return errNo
	}
	return nil
}

func newConninfoJSON(info conninfo.Info, text string, problems conninfo.OptionErrors) conninfoJSON {
	j := conninfoJSON{Text: text, Options: []conninfoOption{}, Servers: []conninfoServer{}, Problems: []conninfoProblem{}}
	for _, key := range info.Keys() {
		value, _ := info.Get(key)
		j.Options = append(j.Options, conninfoOption{key, value})
	}
	hosts, _ := info.Hosts() // the error is among the problems
	for _, h := range hosts {
		s := conninfoServer{Host: h.Host, Port: h.Port, Socket: h.IsSocket()}
		if h.Addr.IsValid() {
			s.HostAddr = h.Addr.String()
		}
		j.Servers = append(j.Servers, s)
	}
	for _, p := range problems {
		j.Problems = append(j.Problems, conninfoProblem{p.Keyword, p.Msg})
	}
	return j
}
