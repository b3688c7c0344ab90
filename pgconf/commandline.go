package pgconf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/understudy-ha/understudy/pgconf/internal/ascii"
)

// CommandLine stands in Setting.File for a setting from the command line; its Line is then the number of the argument, from 1.
const CommandLine = "command line"

// ErrArgs is matched by the error for arguments that postgres would refuse.
var ErrArgs = errors.New("not valid on the command line of postgres")

// commandLine is what the arguments of postgres say.
type commandLine struct {
	major    Major
	settings []Setting // in order: the last one of a name wins
	dataDir  string    // of -D
}

// optArgs are the options that take an argument, and the setting that it is the value of, if there is one.
var optArgs = map[byte]string{
	'B': "shared_buffers", 'c': "", 'C': "", 'd': "", 'D': "", 'f': "", 'h': "listen_addresses", 'k': "unix_socket_directories",
	'N': "max_connections", 'o': "", 'p': "port", 'r': "", 'S': "work_mem", 't': "", 'W': "post_auth_delay", '-': "",
}

// optFlags are the options without argument, and the setting and value that they stand for, if there are any.
var optFlags = map[byte][2]string{
	'b': {}, 'e': {"datestyle", "euro"}, 'E': {"log_statement", "all"}, 'F': {"fsync", "false"}, 'i': {"listen_addresses", "*"},
	'j': {}, 'l': {"ssl", "true"}, 'n': {}, 'O': {"allow_system_table_mods", "true"}, 'P': {"ignore_system_indexes", "true"},
	's': {"log_statement_stats", "true"}, 'T': {},
}

// plans are the words of -f.
var plans = map[byte]string{
	's': "enable_seqscan", 'i': "enable_indexscan", 'o': "enable_indexonlyscan", 'b': "enable_bitmapscan", 't': "enable_tidscan",
	'n': "enable_nestloop", 'm': "enable_mergejoin", 'h': "enable_hashjoin",
}

// parseArgs reads arguments as PostmasterMain in src/backend/postmaster/postmaster.c does, by the rules of getopt. Errors do not show
// arguments, which may hold secrets.
func parseArgs(m Major, args []string) (*commandLine, error) {
	l := &commandLine{major: m}
	for i := 0; i < len(args); i++ {
		arg, at := args[i], i+1
		if arg == "--" && at == len(args) {
			break // it says that no option follows
		}
		if len(arg) < 2 || arg[0] != '-' || arg == "--" {
			return nil, l.refuse(at, "is no option")
		}
		for j := 1; j < len(arg); j++ {
			opt := arg[j]
			if _, ok := optArgs[opt]; !ok {
				if err := l.flag(at, opt); err != nil {
					return nil, err
				}
				continue
			}
			value := arg[j+1:]
			if value == "" {
				if i++; i == len(args) {
					return nil, l.refuse(at, fmt.Sprintf("-%c needs an argument", opt))
				}
				value = args[i]
			}
			if err := l.option(at, opt, value); err != nil {
				return nil, err
			}
			break
		}
	}
	return l, nil
}

func (l *commandLine) refuse(at int, msg string) error {
	return fmt.Errorf("%w: argument %d: %s", ErrArgs, at, msg)
}

func (l *commandLine) set(at int, name, value string) {
	l.settings = append(l.settings, Setting{Name: ascii.Lower(name), Spelling: name, Value: value, File: CommandLine, Line: at})
}

func (l *commandLine) flag(at int, opt byte) error {
	set, ok := optFlags[opt]
	switch {
	case !ok:
		return l.refuse(at, fmt.Sprintf("no option is called -%c", opt))
	case opt == 'T' && l.major >= 16:
		l.set(at, "send_abort_for_crash", "true")
	case set[0] != "":
		l.set(at, set[0], set[1])
	}
	return nil
}

func (l *commandLine) option(at int, opt byte, value string) error {
	switch opt {
	case 'c', '-':
		return l.long(at, value)
	case 'D':
		l.dataDir = value
	case 'd':
		l.debug(at, value)
	case 'f':
		if name, ok := plans[first(value)]; ok {
			l.set(at, name, "false")
			return nil
		}
		return l.refuse(at, "-f wants one of s, i, o, b, t, n, m, h")
	case 't':
		return l.stats(at, value)
	case 'k':
		if l.major < V9_3 {
			l.set(at, "unix_socket_directory", value)
			return nil
		}
		fallthrough
	default:
		if name := optArgs[opt]; name != "" {
			l.set(at, name, value)
		}
	}
	return nil
}

// long reads name=value. A - in the name stands for _.
func (l *commandLine) long(at int, text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return l.refuse(at, "a value is missing; write name=value")
	}
	l.set(at, strings.ReplaceAll(name, "-", "_"), value)
	return nil
}

// debug is set_debug_options in src/backend/tcop/postgres.c.
func (l *commandLine) debug(at int, text string) {
	level, _ := strconv.Atoi(text) // the server takes what is no number for 0, too
	if level <= 0 {
		l.set(at, "log_min_messages", "notice")
		return
	}
	l.set(at, "log_min_messages", "debug"+strconv.Itoa(level))
	on := "true"
	if l.major >= 18 {
		l.set(at, "log_connections", "all")
	} else {
		l.set(at, "log_connections", on)
	}
	l.set(at, "log_disconnections", on)
	for i, s := range [][2]string{
		{"log_statement", "all"}, {"debug_print_parse", on}, {"debug_print_plan", on}, {"debug_print_rewritten", on},
	} {
		if level >= i+2 {
			l.set(at, s[0], s[1])
		}
	}
}

// stats is get_stats_option_name in src/backend/tcop/postgres.c.
func (l *commandLine) stats(at int, value string) error {
	switch {
	case strings.HasPrefix(value, "pa"):
		l.set(at, "log_parser_stats", "true")
	case strings.HasPrefix(value, "pl"):
		l.set(at, "log_planner_stats", "true")
	case strings.HasPrefix(value, "e"):
		l.set(at, "log_executor_stats", "true")
	default:
		return l.refuse(at, "-t wants pa, pl or e")
	}
	return nil
}

func first(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}
