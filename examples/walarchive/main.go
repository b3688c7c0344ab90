// Walarchive archives and restores a PostgreSQL cluster's WAL: archive_command, restore_command and
// archive_cleanup_command in one program. "walarchive --help" shows how; the exit codes and what they mean to
// the server are documented there and in examples/internal/archivecli.
package main

import "github.com/understudy-ha/understudy/examples/internal/archivecli"

func main() { archivecli.Main() }
