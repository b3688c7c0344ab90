package command

import "fmt"

// Severity is how bad a [Finding] is.
type Severity int

// The severities.
const (
	Note    Severity = iota + 1 // worth knowing; no fault by itself
	Warning                     // goes wrong under circumstances that do occur
	Danger                      // loses WAL or data, or stops archiving or recovery, by itself or at the first crash
)

// String returns "note", "warning" or "danger".
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Danger:
		return "danger"
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// Code names a fault.
type Code string

// The faults of a command.
const (
	Syntax             Code = "syntax"              // the shell would not run it
	NotUnderstood      Code = "not-understood"      // a script or a construct whose effect is not known here
	UnknownPlaceholder Code = "unknown-placeholder" // a percent sign before something else
	TooLong            Code = "too-long"            // the server cuts it off
	Variable           Code = "variable"            // the server's environment decides
	UnquotedPath       Code = "unquoted-path"       // %p outside of quotes
	RewindRefuses      Code = "rewind-refuses"      // pg_rewind cannot run it
	NoFileName         Code = "no-file-name"        // nothing tells the files in the archive apart
	NoPath             Code = "no-path"             // it does not say which file it is about
	NoOldest           Code = "no-oldest"           // a clean-up without %r
	Reversed           Code = "reversed"            // copies in the other direction
	WrongTool          Code = "wrong-tool"          // a program for one of the other settings
	Obsolete           Code = "obsolete"            // a program that its makers have given up
	JoinedName         Code = "joined-name"         // a separator is missing before the file's name
	LostBackslash      Code = "lost-backslash"      // swallowed by the configuration file
	InDataDirectory    Code = "in-data-directory"   // the archive lies inside what it shall save
	Remote             Code = "remote"              // the archive is on another server
	WorldReadable      Code = "world-readable"      // everybody can read all data

	NeverArchives       Code = "never-archives"        // WAL is kept for ever
	Discards            Code = "discards"              // says archived and keeps nothing
	NoFsync             Code = "no-fsync"              // not durable when it says so
	NotAtomic           Code = "not-atomic"            // a part of a file under the final name
	Sticks              Code = "sticks"                // fails for ever once the file is there
	TrustsExisting      Code = "trusts-existing"       // takes any file of that name for the right one
	GuardElsewhere      Code = "guard-elsewhere"       // tests another file than it writes
	Overwrites          Code = "overwrites"            // replaces what another server archived
	OverwritesByDefault Code = "overwrites-by-default" // as Overwrites, unless it is told not to
	NotACopy            Code = "not-a-copy"            // moves or links the file
	HidesFailure        Code = "hides-failure"         // exit status 0 though the copy failed
	RestartArchiver     Code = "restart-archiver"      // an exit status above 125

	FailureLooksLikeEnd Code = "failure-looks-like-end" // an unreachable archive ends recovery
	HidesMissing        Code = "hides-missing"          // exit status 0 though the file is not there
	StopsServer         Code = "stops-server"           // an exit status above 125 for a file that is not there

	OneConsumer Code = "one-consumer" // removes what others need
	ByAge       Code = "by-age"       // removes by age
)

// The faults of commands that shall fit together; see [Server.Compare].
const (
	TwoFolders     Code = "two-folders"    // archived here, looked for there
	TwoNames       Code = "two-names"      // archived under one name, looked for under another
	TwoTools       Code = "two-tools"      // archived by one program, fetched by another
	CleansAnother  Code = "cleans-another" // the clean-up works in another folder
	CleansNoneOfIt Code = "cleans-none"    // the clean-up does not know the names
)

// Finding is something in a command that can go wrong.
type Finding struct {
	Kind     Kind // of the command; for what does not fit together, of the one that should change
	Code     Code
	Severity Severity
	About    string // the part of the command
	Risk     string // what can go wrong
	Advice   string // what to do
}

// String returns the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%v: %v: %s: %s: %s; %s", f.Kind, f.Severity, f.Code, f.About, f.Risk, f.Advice)
}

// explanation is what is said about a fault, whatever the command.
type explanation struct {
	severity     Severity
	risk, advice string
}

// Programs that do better.
const (
	useTool    = "use a program that is made for it, as walarchive, pgBackRest or WAL-G"
	useCompare = "use a program that does, as walarchive or pgBackRest"
	useCareful = "use a program that does, as walarchive"
)

// explanations follow the manual ("Setting Up WAL Archiving", "Recovering Using a Continuous Archive Backup") and the server's
// treatment of exit statuses (src/backend/postmaster/pgarch.c, src/backend/access/transam/xlogarchive.c).
var explanations = map[Code]explanation{
	Syntax:             {Danger, "the shell does not run it, so it fails each time", "mend the quoting"},
	NotUnderstood:      {Note, "what it does is not known here", "read it with the other findings of this package in mind"},
	UnknownPlaceholder: {Warning, "up to 15 the program gets it as it is; from 16 on the server runs nothing and logs an error each time", "write %% for a percent sign"},
	TooLong:            {Danger, "this server cuts the command off when the values are in", "put it into a script"},
	Variable:           {Danger, "the environment of the server, which is not yours, says what it is; it is empty if it is not set there", "write the value itself"},
	UnquotedPath:       {Note, "the server's own values have no blanks, but pg_rewind -c puts the path of the data directory before %p", `write "%p"`},
	RewindRefuses:      {Note, "pg_rewind -c knows no %r and cannot fetch WAL with it", "leave %r away if the program can do without"},
	NoFileName:         {Danger, "all files have the same name in the archive, or lie there under names that this command does not say", "put %f into the name"},
	NoPath:             {Danger, "it does not say which file it is about", `pass "%p", and where the program needs it "%f"`},
	NoOldest:           {Danger, "it does not learn what is still needed", `pass "%r"`},
	Reversed:           {Danger, "it copies from the archive when it should copy into it, or the other way round", "swap the two files"},
	WrongTool:          {Danger, "this program is for another of the settings", "use its counterpart"},
	Obsolete:           {Warning, "pg_standby waits by itself, so that the server never streams; it is gone since 15", "use standby mode with a command that fails for what is missing"},
	JoinedName:         {Warning, "the name of the file begins with what may have been meant as its folder", "put a separator before %f (in a configuration file a backslash is written twice)"},
	LostBackslash:      {Danger, "a backslash seems to have been swallowed by the configuration file", "write each backslash twice there, and four before the name of a server"},
	InDataDirectory:    {Warning, "a relative path lies in the data directory: the archive is lost together with it, and part of each base backup", "name the folder with its full path"},
	Remote:             {Note, "while that machine is down no segment is recycled, and after a change of roles the target is another", "see that the target follows the roles, and that the transfer has a time limit"},
	WorldReadable:      {Warning, "WAL holds all data, and every user of the machine can read it", "give rights to the owner and a group only"},

	NeverArchives:       {Danger, "with archive_mode on, pg_wal keeps all WAL until the disk is full", "set a command that stores the files, or archive_mode to off"},
	Discards:            {Danger, "each file is reported as archived and then removed, and is nowhere", "store the file, or set archive_mode to off"},
	NoFsync:             {Danger, "the file is in memory only when the server takes it for archived and removes its own: a crash of that machine loses it", useTool},
	NotAtomic:           {Danger, "a crash or a full disk leaves a part of the file under its final name, where recovery takes it for the file", "write to another name in the same folder and rename, or " + useTool},
	Sticks:              {Danger, "a file that is there already makes it fail for ever, even one with the same content, as after a crash half-way or with archive_mode always; WAL then piles up", "compare the content and succeed if it is the same: " + useCompare},
	TrustsExisting:      {Danger, "any file of that name counts as archived: a part of one that a crash left, or the WAL of another server", "compare the content and fail if it is another: " + useCompare},
	GuardElsewhere:      {Danger, "the test looks at another file than the one that is written, so it protects nothing", "test what is written"},
	Overwrites:          {Danger, "a file that is there is replaced, also by another one: two primaries, or two clusters, destroy each other's WAL", "refuse to replace a file by another: " + useCompare},
	OverwritesByDefault: {Warning, "without its option against it, it replaces a file that is there, also by another one", "set WALG_PREVENT_WAL_OVERWRITE=true for WAL-G, and give each cluster an archive of its own"},
	NotACopy:            {Danger, "the server goes on to use, and to overwrite, the very file", "copy it"},
	HidesFailure:        {Danger, "it succeeds though the file was not stored, and the server removes its own", "let the exit status of the copy be the last (&& instead of ; and no pipe behind it)"},
	RestartArchiver:     {Warning, "an exit status above 125 ends the archiver process, which the server starts again after a while", "fail with a status from 1 to 125"},

	FailureLooksLikeEnd: {Warning, "an archive that cannot be reached looks like one that ends here: a recovery outside of standby mode ends early, and the server opens for writing without the rest", "exit with a status above 125 for all but a file that is certainly not there: " + useCareful},
	HidesMissing:        {Danger, "it succeeds for files that are not there: the server looks for timelines for ever, or takes an empty file for WAL", "fail with a status from 1 to 125 when the file is not there"},
	StopsServer:         {Danger, "each recovery asks for files that are not there, and a status above 125, or a signal, stops the server", "fail with a status from 1 to 125 when the file is not there"},

	OneConsumer: {Note, "it removes what another standby or a base backup may still need", "use it only where this standby is the only reader of the archive"},
	ByAge:       {Danger, "it removes by age what a standby or a base backup may still need", "remove what is older than %r, of the oldest consumer"},

	TwoFolders:     {Danger, "what is archived is not found again; it shows only when streaming is not enough", "let both name the same place, or see that they are two views of one folder"},
	TwoNames:       {Danger, "files are archived under names that are not the ones looked for", "let both form the name in the same way"},
	TwoTools:       {Danger, "one program does not find what the other stored", "use the same program for both"},
	CleansAnother:  {Warning, "the archive that is read is never cleaned, and the other one loses files", "let both name the same folder"},
	CleansNoneOfIt: {Warning, "files with this ending are left alone, so the archive grows until the disk is full", "pass the ending with -x"},
}

func find(kind Kind, code Code, about string) Finding {
	e := explanations[code]
	return Finding{Kind: kind, Code: code, Severity: e.severity, About: about, Risk: e.risk, Advice: e.advice}
}
