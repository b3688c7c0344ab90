// Package sftp keeps a WAL archive in a directory of a server that speaks SFTP, such as OpenSSH's.
package sftp
