package command_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
)

func codes(findings []command.Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, string(f.Code))
	}
	return strings.Join(all, " ")
}

// The set-ups that are documented, and what is wrong with them.
func TestCheck(t *testing.T) {
	windows, old := command.Server{Shell: command.Windows}, command.Server{Major: 15}
	long := `cp "%p" "/` + strings.Repeat("x", 1000) + `/%f"`
	for _, c := range []struct {
		kind    command.Kind
		command string
		want    string
		server  command.Server
	}{
		{kind: command.Archive, command: `test ! -f /share/primary_wal/%f && cp %p /share/primary_wal/%f`, want: "no-fsync not-atomic sticks"},
		{kind: command.Archive, command: `test ! -f /share/primary_wal/%f && mkdir -p /share/primary_wal && cp %p /share/primary_wal/%f && chmod 644 /share/primary_wal/%f`, want: "world-readable no-fsync not-atomic sticks"},
		{kind: command.Archive, command: `test ! -f $REP_ARCHIVE/%f && cp %p $REP_ARCHIVE/%f`, want: "variable no-fsync not-atomic sticks"},
		{kind: command.Archive, command: `cp "%p" /mnt/db_archive/"%f"`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `rsync -av %p postgres@10.0.0.12:/var/lib/postgresql/wal_archive/%f`, want: "remote no-fsync overwrites"},
		{kind: command.Archive, command: `rsync -a %p /mnt/archive/%f`, want: "no-fsync overwrites"},
		{kind: command.Archive, command: `rsync -a --ignore-existing "%p" "/mnt/archive/%f"`, want: "no-fsync trusts-existing"},
		{kind: command.Archive, command: `rsync --fsync -a --inplace "%p" "/mnt/archive/%f"`, want: "not-atomic overwrites"},
		{kind: command.Archive, command: `scp %p standby:/archive/%f`, want: "remote no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `scp -i /k -P 22 "%p" postgres@standby:/archive/`, want: "remote no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `gzip < %p > /archive/%f.gz`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `gzip -c "%p" > "/archive/%f.gz"`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cat %p | gzip > /archive/%f.gz`, want: "hides-failure no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `gzip < %p | ssh backup 'cat > /archive/%f.gz'`, want: "hides-failure not-understood"},
		{kind: command.Archive, command: `set -o pipefail; gzip < "%p" | cat > "/archive/%f.gz"`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `bash -c 'set -o pipefail; gzip < "%p" | cat > "/archive/%f.gz"'`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `bash -o pipefail -c 'gzip < "%p" | cat > "/archive/%f.gz"'`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cp -n "%p" "/archive/%f"`, want: "no-fsync not-atomic trusts-existing"},
		{kind: command.Archive, command: `cp -i %p /archive/%f </dev/null`, want: "no-fsync not-atomic trusts-existing"},
		{kind: command.Archive, command: `test -f /archive/%f || cp "%p" /archive/%f`, want: "no-fsync not-atomic trusts-existing"},
		{kind: command.Archive, command: `[ ! -e "/archive/%f" ] && cp "%p" "/archive/%f.tmp" && sync && mv "/archive/%f.tmp" "/archive/%f"`, want: "sticks"},
		{kind: command.Archive, command: `dd if="%p" of="/archive/%f" conv=fsync`, want: "not-atomic overwrites"},
		{kind: command.Archive, command: `cp "%p" "/archive/%f"; chmod 600 "/archive/%f"`, want: "no-fsync not-atomic overwrites hides-failure"},
		{kind: command.Archive, command: `cp "%p" "/archive/%f" || true`, want: "no-fsync not-atomic overwrites hides-failure"},
		{kind: command.Archive, command: `cp "%p" "/archive/%f"; exit 0`, want: "no-fsync not-atomic overwrites hides-failure"},
		{kind: command.Archive, command: `cp "%p" "/archive/%f" &`, want: "no-fsync not-atomic overwrites hides-failure"},
		{kind: command.Archive, command: `cp "%p" "/archive/%f" || exit 255`, want: "no-fsync not-atomic overwrites restart-archiver"},
		{kind: command.Archive, command: `cp "%p" "/archive/%f" && cp "%p" "/archive2/%f"`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cp "%p" "/archive/%f" || cp "%p" "/archive2/%f"`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `test ! -f /other/%f && cp "%p" /archive/%f`, want: "no-fsync not-atomic guard-elsewhere overwrites"},
		{kind: command.Archive, command: `test ! -f /archive/%f && scp %p b:/archive/%f`, want: "remote no-fsync not-atomic guard-elsewhere overwrites"},
		{kind: command.Archive, command: `test ! -f /archive/%f; cp %p /archive/%f`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cp %p /archive`, want: "no-file-name no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cp %p /archive/`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cp %p /archive/x`, want: "no-file-name no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cp %p archive/%f`, want: "in-data-directory no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cp %p /archive%f`, want: "joined-name no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `cp /archive/%f %p`, want: "reversed"},
		{kind: command.Archive, command: `mv %p /archive/%f`, want: "not-a-copy no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `ln %p /archive/%f`, want: "not-a-copy no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `rsync --remove-source-files "%p" "/archive/%f"`, want: "not-a-copy no-fsync overwrites"},
		{kind: command.Archive, command: `/bin/true`, want: "discards"},
		{kind: command.Archive, command: `true`, want: "discards"},
		{kind: command.Archive, command: `exit 0`, want: "discards"},
		{kind: command.Archive, command: `:`, want: "discards"},
		{kind: command.Archive, command: `echo %f >> /var/log/wal`, want: "discards"},
		{kind: command.Archive, command: `/bin/false`, want: "never-archives"},
		{kind: command.Archive, command: ``, want: "never-archives"},
		{kind: command.Archive, command: `  `, want: "never-archives"},
		{kind: command.Archive, command: `wal-g wal-push "%p"`, want: "overwrites-by-default"},
		{kind: command.Archive, command: `envdir /etc/wal-e.d/env wal-e wal-push %p`, want: "overwrites-by-default"},
		{kind: command.Archive, command: `/usr/bin/timeout 600 wal-g wal-push %p`, want: "overwrites-by-default"},
		{kind: command.Archive, command: `pgbackrest --stanza=main archive-push %p`, want: ""},
		{kind: command.Archive, command: `pgbackrest --stanza=main archive-push`, want: "no-path"},
		{kind: command.Archive, command: `pgbackrest --stanza=main archive-get %f "%p"`, want: "wrong-tool"},
		{kind: command.Archive, command: `barman-wal-archive backup pg %p`, want: ""},
		{kind: command.Archive, command: `barman-cloud-wal-archive s3://bucket pg "%p"`, want: "overwrites-by-default"},
		{kind: command.Archive, command: `walarchive --archive /mnt/a push "%p"`, want: ""},
		{kind: command.Archive, command: `pg_probackup archive-push -B /b --instance main --wal-file-path=%p --wal-file-name=%f`, want: ""},
		{kind: command.Archive, command: `aws s3 cp "%p" "s3://bucket/%f"`, want: "overwrites"},
		{kind: command.Archive, command: `sudo -u backup cp "%p" "/archive/%f"`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `/usr/local/bin/archive.sh %p %f`, want: "not-understood"},
		{kind: command.Archive, command: `/usr/local/bin/archive.sh`, want: "not-understood no-path"},
		{kind: command.Archive, command: `if [ -f /a/%f ]; then exit 1; fi; cp %p /a/%f`, want: "not-understood"},
		{kind: command.Archive, command: `cp "%p /a/%f`, want: "syntax"},
		{kind: command.Archive, command: `cp "%p" "/a/%f" %x`, want: "unknown-placeholder no-file-name in-data-directory no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `D=/a; cp "%p" "$D/%f"`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `pg_archivecleanup /a %r`, want: "unknown-placeholder wrong-tool"},
		{kind: command.Archive, command: `cp "%p" "/a/%f" > /dev/null 2>&1`, want: "no-fsync not-atomic overwrites"},
		{kind: command.Archive, command: `ssh backup test ! -f /a/%f && scp "%p" "backup:/a/%f"`, want: "remote no-fsync not-atomic overwrites not-understood"},
		{kind: command.Restore, command: `cp /sharedDrive/primary_wal/%f %p`, want: "unquoted-path failure-looks-like-end"},
		{kind: command.Restore, command: `cp /var/lib/postgresql/wal_archive/%f "%p"`, want: "failure-looks-like-end"},
		{kind: command.Restore, command: `cp /mnt/db_archive/"%f" "%p"`, want: "failure-looks-like-end"},
		{kind: command.Restore, command: `gunzip < /archive/%f.gz > %p`, want: "unquoted-path failure-looks-like-end"},
		{kind: command.Restore, command: `gunzip < "/archive/%f.gz" > "%p"`, want: "failure-looks-like-end"},
		{kind: command.Restore, command: `zcat /archive/%f.gz | cat > "%p"`, want: "hides-missing"},
		{kind: command.Restore, command: `scp standby:/archive/%f "%p"`, want: "remote failure-looks-like-end"},
		{kind: command.Restore, command: `rsync -a "/archive/%f" "%p"`, want: "failure-looks-like-end"},
		{kind: command.Restore, command: `cp "/archive/%f" "%p" || true`, want: "hides-missing"},
		{kind: command.Restore, command: `cp "/archive/%f" "%p"; exit 0`, want: "hides-missing"},
		{kind: command.Restore, command: `cp "/archive/%f" "%p" || exit 255`, want: "stops-server"},
		{kind: command.Restore, command: `cp "/a/%f" "%p" || cp "/b/%f" "%p"`, want: "failure-looks-like-end"},
		{kind: command.Restore, command: `test -f "/a/%f" && cp "/a/%f" "%p"`, want: "failure-looks-like-end"},
		{kind: command.Restore, command: `mv /archive/%f %p`, want: "unquoted-path not-a-copy"},
		{kind: command.Restore, command: `ln -s /archive/%f %p`, want: "unquoted-path not-a-copy"},
		{kind: command.Restore, command: `cp %p /archive/%f`, want: "unquoted-path reversed"},
		{kind: command.Restore, command: `cp /archive/x "%p"`, want: "no-file-name failure-looks-like-end"},
		{kind: command.Restore, command: `cp "/archive/%f" pg_wal/`, want: "no-path failure-looks-like-end"},
		{kind: command.Restore, command: `pg_standby -d -s 2 -t /tmp/trigger /archive %f %p %r`, want: "unquoted-path rewind-refuses obsolete failure-looks-like-end"},
		{kind: command.Restore, command: `wal-g wal-fetch "%f" "%p"`, want: "failure-looks-like-end"},
		{kind: command.Restore, command: `pgbackrest --stanza=main archive-get %f "%p"`, want: "failure-looks-like-end"},
		{kind: command.Restore, command: `barman-wal-restore -U barman backup pg %f %p`, want: "unquoted-path failure-looks-like-end"},
		{kind: command.Restore, command: `walarchive --archive /mnt/a fetch "%f" "%p"`, want: ""},
		{kind: command.Restore, command: `walarchive push "%p"`, want: "wrong-tool"},
		{kind: command.Restore, command: `/bin/false`, want: ""},
		{kind: command.Restore, command: `true`, want: "hides-missing"},
		{kind: command.Restore, command: ``, want: ""},
		{kind: command.Restore, command: `restore.sh "%f" "%p" || exit 1`, want: "not-understood"},
		{kind: command.Restore, command: `false; exit 200`, want: "stops-server"},
		{kind: command.Cleanup, command: `pg_archivecleanup /sharedDrive/primary_wal %r`, want: "one-consumer"},
		{kind: command.Cleanup, command: `/usr/lib/postgresql/9.3/bin/pg_archivecleanup /var/lib/postgresql/wal_archive/ %r`, want: "one-consumer"},
		{kind: command.Cleanup, command: `pg_archivecleanup -x .gz /archive "%r"`, want: "one-consumer"},
		{kind: command.Cleanup, command: `pg_archivecleanup /archive`, want: "no-oldest one-consumer"},
		{kind: command.Cleanup, command: `find /archive -mtime +7 -delete`, want: "by-age"},
		{kind: command.Cleanup, command: `walarchive --archive /a cleanup "%r"`, want: "one-consumer"},
		{kind: command.Cleanup, command: `rm -f /archive/%f`, want: "unknown-placeholder"},
		{kind: command.Cleanup, command: ``, want: ""},
		{kind: command.Cleanup, command: `cleanup.sh %r`, want: "not-understood"},
		{kind: command.RecoveryEnd, command: `rm -f /tmp/trigger`, want: ""},
		{kind: command.RecoveryEnd, command: `pg_archivecleanup /a %r`, want: "one-consumer"},
		{kind: command.RecoveryEnd, command: `touch /promoted`, want: ""},
		{kind: command.Archive, command: `copy "%p" "C:\server\archivedir\%f"`, want: "no-fsync not-atomic overwrites", server: windows},
		{kind: command.Archive, command: `copy \sharedDriveprimary_wal%f %p`, want: "lost-backslash reversed", server: windows},
		{kind: command.Archive, command: `if not exist "C:\a\%f" copy "%p" "C:\a\%f"`, want: "no-fsync not-atomic trusts-existing", server: windows},
		{kind: command.Archive, command: `if exist "C:\a\%f" exit 1 & copy "%p" "C:\a\%f"`, want: "no-fsync not-atomic discards", server: windows},
		{kind: command.Archive, command: `copy "%p" "%%ARCHIVE%%\%f"`, want: "variable no-fsync not-atomic overwrites", server: windows},
		{kind: command.Archive, command: `"C:\Program Files\wal-g.exe" wal-push "%p"`, want: "overwrites-by-default", server: windows},
		{kind: command.Archive, command: `copy "%p" "archive\%f"`, want: "in-data-directory no-fsync not-atomic overwrites", server: windows},
		{kind: command.Archive, command: `copy /Y "%p" "\\server\share\%f"`, want: "no-fsync not-atomic overwrites", server: windows},
		{kind: command.Archive, command: `copy "%p" "C:\a\%f" && exit 0`, want: "no-fsync not-atomic overwrites", server: windows},
		{kind: command.Restore, command: `copy "\\\\sharedDrive\\primary_wal\\%f" "%p"`, want: "failure-looks-like-end", server: windows},
		{kind: command.Restore, command: `copy \sharedDriveprimary_wal%f %p`, want: "unquoted-path lost-backslash joined-name failure-looks-like-end", server: windows},
		{kind: command.Restore, command: `copy "\\server\wal\%f" "%p"`, want: "failure-looks-like-end", server: windows},
		{kind: command.Cleanup, command: `pg_archivecleanup \sharedDriveprimary_wal %r`, want: "lost-backslash one-consumer", server: windows},
		{kind: command.Cleanup, command: `pg_archivecleanup "\\server\wal" "%r"`, want: "one-consumer", server: windows},
		{kind: command.Archive, command: `cp "%p" "/a/%f" 100%`, want: "unknown-placeholder no-file-name in-data-directory no-fsync not-atomic overwrites", server: old},
		{kind: command.Archive, command: long, want: "too-long no-fsync not-atomic overwrites", server: old},
		{kind: command.Archive, command: long, want: "no-fsync not-atomic overwrites"},
		{kind: command.Restore, command: "copy \"C:\twal\\%f\" \"%p\"", want: "lost-backslash failure-looks-like-end", server: windows},
		{kind: command.Archive, command: strings.Repeat("true;", 100), want: "not-understood"},
	} {
		got, err := c.server.Check(c.kind, c.command)
		require.NoError(t, err)
		require.Equal(t, c.want, codes(got), "%v = %s", c.kind, c.command)
	}
}

// The same placeholder is a slip up to 15, and stops all archiving from 16 on.
func TestCheckSeverityOfPlaceholder(t *testing.T) {
	for major, want := range map[pgconf.Major]command.Severity{15: command.Warning, 16: command.Danger} {
		got, err := command.Server{Major: major}.Check(command.Cleanup, "pg_archivecleanup /a %r %x")
		require.NoError(t, err)
		require.Equal(t, command.UnknownPlaceholder, got[0].Code)
		require.Equal(t, "%x", got[0].About)
		require.Equal(t, want, got[0].Severity)
	}
}

func TestCompare(t *testing.T) {
	windows := command.Server{Shell: command.Windows}
	for name, c := range map[string]struct {
		server                          command.Server
		archive, restore, cleanup, want string
	}{
		"two names of a drive": {archive: "test ! -f /share/primary_wal/%f && cp %p /share/primary_wal/%f", restore: "cp /sharedDrive/primary_wal/%f %p",
			cleanup: "pg_archivecleanup /sharedDrive/primary_wal %r", want: "restore_command two-folders"},
		"one folder": {archive: "cp %p /a//b/%f", restore: "cp /a/b/%f %p", cleanup: "pg_archivecleanup /a/b/ %r"},
		"to the standby's disk": {archive: "rsync -av %p postgres@10.0.0.12:/var/lib/postgresql/wal_archive/%f",
			restore: `cp /var/lib/postgresql/wal_archive/%f "%p"`, cleanup: "/usr/bin/pg_archivecleanup /var/lib/postgresql/wal_archive/ %r"},
		"to a folder":                   {archive: "cp %p /a/", restore: "cp /a/%f %p"},
		"compressed":                    {archive: "gzip < %p > /a/%f.gz", restore: "gunzip < /a/%f.gz > %p", cleanup: "pg_archivecleanup -x .gz /a %r"},
		"compressed, fetched plainly":   {archive: "gzip < %p > /a/%f.gz", restore: "cp /a/%f %p", want: "restore_command two-names"},
		"compressed, cleaned plainly":   {archive: "gzip < %p > /a/%f.gz", restore: "gunzip < /a/%f.gz > %p", cleanup: "pg_archivecleanup /a %r", want: "archive_cleanup_command cleans-none"},
		"cleaned elsewhere":             {archive: "cp %p /a/%f", restore: "cp /a/%f %p", cleanup: "pg_archivecleanup /b %r", want: "archive_cleanup_command cleans-another"},
		"cleaned elsewhere, no restore": {archive: "cp %p /a/%f", cleanup: "pg_archivecleanup /b %r", want: "archive_cleanup_command cleans-another"},
		"two programs":                  {archive: "wal-g wal-push %p", restore: "pgbackrest --stanza=a archive-get %f %p", want: "restore_command two-tools"},
		"a program and cp":              {archive: "wal-g wal-push %p", restore: "cp /a/%f %p", want: "restore_command two-tools"},
		"related programs":              {archive: "wal-e wal-push %p", restore: "wal-g wal-fetch %f %p"},
		"two stanzas":                   {archive: "pgbackrest --stanza=a archive-push %p", restore: "pgbackrest --stanza b archive-get %f %p", want: "restore_command two-folders"},
		"one archive":                   {archive: "walarchive --archive=/a push %p", restore: "walarchive --archive /a fetch %f %p", cleanup: "walarchive --archive /a cleanup %r"},
		"waiting":                       {archive: "cp %p /a/%f", restore: "pg_standby /b %f %p %r", want: "restore_command two-folders"},
		"a variable":                    {archive: "cp %p $A/%f", restore: "cp /b/%f %p", cleanup: "pg_archivecleanup $A %r"},
		"scripts":                       {archive: "push.sh %p", restore: "fetch.sh %f %p"},
		"not to be read":                {archive: "cp '%p /a/%f", restore: "cp /b/%f %p"},
		"nothing":                       {},
		"windows":                       {server: windows, archive: `copy "%p" "C:\A\%f"`, restore: `copy "c:\a\%f" "%p"`},
		"windows, two folders":          {server: windows, archive: `copy "%p" "\\s\a\%f"`, restore: `copy "\\s\b\%f" "%p"`, want: "restore_command two-folders"},
		"windows, a share and a folder": {server: windows, archive: `copy "%p" "\\s\a\%f"`, restore: `copy "\s\a\%f" "%p"`, want: "restore_command two-folders"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.server.Compare(command.Settings{Archive: c.archive, Restore: c.restore, Cleanup: c.cleanup})
			require.NoError(t, err)
			var all []string
			for _, f := range got {
				all = append(all, f.Kind.String()+" "+string(f.Code))
			}
			require.Equal(t, c.want, strings.Join(all, ", "))
		})
	}
}

// Every finding says all there is to say, whatever the command; none makes Check or Compare panic.
func FuzzCheckExplains(f *testing.F) {
	for _, s := range []string{
		"test ! -f $A/%f && cp %p $A/%f; chmod 644 x | cat > y || exit 255 &", "if not exist \"C:\\a\\%f\" copy \"%p\" %%X%%",
		"bash -o pipefail -c 'gzip < \"%p\" | cat > /a/%f'", "sudo -u x env A=b timeout 5 rsync -e ssh %p h:/a/%f", "find /a -delete", "! [ ! -f %f ] || mv %p \\",
		"cp %p ${}/%f", "cp %p ${$}/%f",
	} {
		f.Add(s, 17, 1, false)
		f.Add(s, 9, 2, true)
	}
	f.Fuzz(func(t *testing.T, text string, major, kind int, windows bool) {
		s := command.Server{Major: pgconf.V9_0 + pgconf.Major(uint(major)%16)}
		if windows {
			s.Shell = command.Windows
		}
		k := command.Archive + command.Kind(uint(kind)%4)
		findings, err := s.Check(k, text)
		require.NoError(t, err)
		both, err := s.Compare(command.Settings{Archive: text, Restore: text, Cleanup: text})
		require.NoError(t, err)
		for _, f := range append(findings, both...) {
			require.NotEmpty(t, f.Risk, "%s", f.Code)
			require.NotEmpty(t, f.Advice, "%s", f.Code)
			require.NotZero(t, f.Severity, "%s", f.Code)
			require.NotZero(t, f.Kind, "%s", f.Code)
		}
	})
}
