package pgnode

import (
	"regexp"
	"strconv"
)

// StartKind is why a server did not start.
type StartKind string

// The kinds.
const (
	StartUnknown    StartKind = ""                                                       // look at the log
	Runs            StartKind = "it runs already"                                        // matches ErrRuns
	Retired         StartKind = "it was retired"                                         // matches ErrRetired
	HalfRewound     StartKind = "half rewound"                                           // matches ErrHalfRewound
	PortInUse       StartKind = "its port is in use"                                     // or its socket
	LockFileLeft    StartKind = "its lock file or shared memory is held by a process"    // see Node.Fence
	FaultyConfig    StartKind = "its configuration is not valid"                         // postgresql.conf, pg_hba.conf and so on, or a combination of settings
	LowParameters   StartKind = "parameters are lower than on the primary"               // of a standby
	NoDataDir       StartKind = "its data directory is not there or is none"             //
	DataDirAccess   StartKind = "its data directory has the wrong owner or permissions"  //
	OtherMajor      StartKind = "its data directory is of another major"                 //
	OldRecoveryConf StartKind = "recovery.conf is not supported"                         // from 12 on
	MissingWAL      StartKind = "WAL that it needs is missing"                           // or its checkpoint record
	MissingTimeline StartKind = "its recovery target timeline is missing or not its own" //
	NoMemory        StartKind = "no shared memory or semaphores"                         //
	DiskFull        StartKind = "no space is left on a disk"                             //
	BootDisabled    StartKind = "its start is disabled"                                  // start.conf of a Debian cluster, a masked unit
	NoRight         StartKind = "the user may not start it"                              // systemctl, pg_ctlcluster
)

// startKinds are the messages that tell a kind, the first match counts: the particular before the general. The wording is that of 9.6 to
// 18 in the C locale, of pg_ctl, of pg_ctlcluster 248 and of systemctl.
var startKinds = []struct {
	kind StartKind
	text *regexp.Regexp
}{
	{OldRecoveryConf, regexp.MustCompile(`^using recovery command file "recovery\.conf" is not supported`)},
	{LowParameters, regexp.MustCompile(`^hot standby is not possible because|^recovery aborted because of insufficient parameter settings`)},
	{DiskFull, regexp.MustCompile(`No space left on device`)},
	{PortInUse, regexp.MustCompile(`Address already in use|lock file "[^"]*\.s\.PGSQL\.\d+\.lock" already exists|Port conflict: another instance`)},
	{LockFileLeft, regexp.MustCompile(`lock file "postmaster\.pid" (?:already exists|is empty)|pre-existing shared memory block .* is still in use`)},
	{OtherMajor, regexp.MustCompile(`^database files are incompatible with server`)},
	{NoMemory, regexp.MustCompile(`could not (?:create (?:any )?shared memory segment|map anonymous shared memory|create semaphores|get shared memory)`)},
	{DataDirAccess, regexp.MustCompile(`^data directory "[^"]*" has (?:group or world access|invalid permissions|wrong ownership)|` +
		`could not (?:create lock file "postmaster\.pid"|access directory "[^"]*"|open file "[^"]*(?:postmaster\.pid|PG_VERSION|global/pg_control)").*: Permission denied`)},
	{NoDataDir, regexp.MustCompile(`^(?:pg_ctl: )?(?:data )?directory "[^"]*" (?:does not exist|is not a database cluster directory)|` +
		`^"[^"]*" is not a valid data directory|does not know where to find the database system data|could not find the database system`)},
	{MissingTimeline, regexp.MustCompile(`^requested timeline \d+ (?:is not a child of|does not contain)|^recovery target timeline \d+ does not exist`)},
	{MissingWAL, regexp.MustCompile(`^could not locate (?:a valid|required) checkpoint record|^WAL ends before (?:end of online backup|consistent recovery point)|` +
		`^(?:requested )?recovery stop point is before consistent|^invalid (?:primary )?checkpoint record|^recovery ended before configured recovery target`)},
	{BootDisabled, regexp.MustCompile(`Cluster is disabled|Unit \S+ is masked`)},
	{NoRight, regexp.MustCompile(`Interactive authentication required|Access denied|you must run this program as the cluster owner|` +
		`You must run this program as the cluster owner|cannot be run as root|"root" execution of the PostgreSQL server is not permitted`)},
	{FaultyConfig, regexp.MustCompile(faultyConfig)},
}

// faultyConfig is what servers say of settings, access rules and libraries that they do not take. The last lines are about
// combinations (PostmasterMain in postmaster.c, CheckRequiredParameterValues and validateRecoveryParameters).
const faultyConfig = `configuration file "[^"]*" contains errors|could not load pg_hba\.conf|could not load \S*pg_hba\.conf|` +
	`unrecognized configuration parameter|unrecognized recovery parameter|invalid value for parameter|invalid (?:list )?syntax in parameter|` +
	`syntax error in file|parameter "[^"]*" (?:requires|cannot be|must)|could not (?:open|access the server) configuration file|` +
	`could not open (?:configuration file|directory|configuration directory)|is outside the valid range for parameter|` +
	`could not access file "[^"]*": No such file|could not load (?:library|server certificate|private key)|` +
	`could not create any (?:TCP/IP|Unix-domain) sockets|could not translate host name|` +
	`^WAL (?:archival|streaming) .*(?:cannot be enabled|requires)|^(?:postgres: )?(?:max_wal_senders must be|superuser_reserved_connections)|` +
	`^must specify restore_command|^multiple recovery targets specified|^recovery command file "recovery\.conf"|could not open recovery command file|` +
	`invalid connection string|^-c |^--\S+ requires a value|syntax error at or near`

// refusal is a message about a setting that a server did not take.
var refusal = regexp.MustCompile(faultyConfig)

var (
	inFile = regexp.MustCompile(`in file "([^"]+)" line (\d+)`)
	lineOf = regexp.MustCompile(`line (\d+) of configuration file "([^"]+)"`)
	ofFile = regexp.MustCompile(`configuration (?:file|directory) "([^"]+)"`)
)

// place finds where the fault is: the first message that names a line, else one that names a file. That message is the reason.
func (e *StartError) place(entries []LogEntry) {
	for _, entry := range entries {
		if m := inFile.FindStringSubmatch(entry.Message); m != nil {
			e.File, e.Reason = m[1], entry
			e.Line, _ = strconv.Atoi(m[2])
			return
		}
		if m := lineOf.FindStringSubmatch(entry.Context); m != nil {
			e.File, e.Reason = m[2], entry
			e.Line, _ = strconv.Atoi(m[1])
			return
		}
	}
	if m := ofFile.FindStringSubmatch(e.Reason.Message); m != nil {
		e.File = m[1]
	}
}
