package command_test

import (
	"fmt"

	"github.com/understudy-ha/understudy/pgconf"
	"github.com/understudy-ha/understudy/recovery/command"
)

func ExampleServer_Build() {
	archive := "/mnt/wal archive/50%"
	push := append(command.Words("walarchive", "--archive", archive, "push"), command.Word{command.Path})
	text, err := command.Server{Major: 17}.Build(command.Archive, push...)
	fmt.Println(text, err)

	// In a configuration file it is quoted once more.
	value, err := pgconf.Quote(text)
	fmt.Println("archive_command =", value, err)
	// Output:
	// walarchive --archive "/mnt/wal archive/50%%" push "%p" <nil>
	// archive_command = 'walarchive --archive "/mnt/wal archive/50%%" push "%p"' <nil>
}

func ExampleServer_Build_windows() {
	server := command.Server{Major: 17, Shell: command.Windows}
	text, err := server.Build(command.Restore,
		command.Word{command.Text("copy")}, command.Word{command.Text(`\\backup\wal files\`), command.File}, command.Word{command.Path})
	fmt.Println(text, err)
	value, err := pgconf.Quote(text)
	fmt.Println("restore_command =", value, err)
	// Output:
	// copy "\\backup\wal files\%f" "%p" <nil>
	// restore_command = 'copy "\\\\backup\\wal files\\%f" "%p"' <nil>
}

func ExampleServer_Expand() {
	segment := command.Values{File: "000000010000000000000003", Path: "pg_wal/000000010000000000000003"}
	for _, major := range []pgconf.Major{15, 16} {
		text, err := command.Server{Major: major}.Expand(command.Archive, `cp "%p" /archive/%f.%d`, segment)
		fmt.Println(text, err)
	}
	// Output:
	// cp "pg_wal/000000010000000000000003" /archive/000000010000000000000003.%d <nil>
	//  archive_command: byte 20: %d is no placeholder of it: write %%d for a percent sign
}

func ExampleServer_Parse() {
	script, err := command.Server{}.Parse(command.Archive, `test ! -f "/my archive/%f" && cp %p '/my archive/%f'`)
	for _, c := range script.Commands {
		fmt.Printf("%q next %q\n", c.Words, c.Next)
	}
	fmt.Println(err)
	// Output:
	// ["test" "!" "-f" "/my archive/%f"] next "&&"
	// ["cp" "%p" "/my archive/%f"] next ""
	// <nil>
}

func ExampleServer_Check() {
	findings, err := command.Server{Major: 17}.Check(command.Archive, "test ! -f $WAL/%f && cp %p $WAL/%f")
	for _, f := range findings {
		fmt.Printf("%v: %s (%s)\n", f.Severity, f.Code, f.About)
	}
	fmt.Println(findings[0], err)
	// Output:
	// danger: variable ($WAL)
	// danger: no-fsync (cp %p $WAL/%f)
	// danger: not-atomic (cp %p $WAL/%f)
	// danger: sticks (cp %p $WAL/%f)
	// archive_command: danger: variable: $WAL: the environment of the server, which is not yours, says what it is; it is empty if it is not set there; write the value itself <nil>
}

func ExampleServer_Compare() {
	findings, err := command.Server{}.Compare(command.Settings{
		Archive: "cp %p /share/primary_wal/%f",
		Restore: "cp /sharedDrive/primary_wal/%f %p",
		Cleanup: "pg_archivecleanup /sharedDrive/primary_wal %r",
	})
	for _, f := range findings {
		fmt.Println(f)
	}
	fmt.Println(err)
	// Output:
	// restore_command: danger: two-folders: /share/primary_wal/%f and /sharedDrive/primary_wal/%f: what is archived is not found again; it shows only when streaming is not enough; let both name the same place, or see that they are two views of one folder
	// <nil>
}
