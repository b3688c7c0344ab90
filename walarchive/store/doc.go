// Package store opens the place of an archive by its URL.
//
//	store, err := store.Open(ctx, "s3://wal-archive/main?region=eu-central-1", store.Options{})
//	...
//	defer store.Close()
//
// [Later] puts the opening off until the store is used, so that one of several places may be out of reach.
//
// The URL says where, never how to get in: it stands in configuration files, messages and process lists. Passwords and keys come from
// the environment or from files; a URL that holds one is refused, and the message does not repeat it. What a URL cannot hold literally is
// written as %XX: %20 for a space, %40 for an @, %23 for a #. Every parameter stands there at most once but for known_hosts and key, and an
// unknown one is an error. Files have absolute paths, since PostgreSQL runs its commands in the data directory.
//
//	/mnt/backup/archive, file:///mnt/backup/archive
//	    a directory (package dir). It must exist.
//
//	sftp://USER@HOST:PORT/PATH
//	    a directory of an SSH server (package sftp); /~/PATH is relative to where the login ends up. Without USER, the name of who runs the
//	    process; without PORT, 22. Keys are looked for where ssh(1) does, or as the parameters say:
//	    known_hosts=FILE       host keys to trust; may be repeated
//	    host_key=KEY           the one host key to trust, or its fingerprint SHA256:...
//	    key=FILE               a private key to log in with; may be repeated
//	    passphrase_file=FILE   its passphrase, or
//	    passphrase_env=NAME    the environment variable that holds it
//	    agent=SOCKET           an ssh-agent; "none" for none
//	    unsynced=true          accept a server that cannot make files durable
//	    mode=0640              the mode of new files
//
//	s3://BUCKET/PREFIX
//	    a part of a bucket (package s3). The keys are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in the file of AWS's own programs.
//	    region=NAME                  or AWS_REGION
//	    endpoint=URL                 another server than AWS, such as https://minio.example.com:9000
//	    path_style=true              name the bucket in the path, as is usual for other servers; false: in the host name
//	    ca_file=FILE                 whom to trust for https
//	    credentials_file=FILE        keys, in the format of ~/.aws/credentials
//	    profile=NAME                 its section
//	    sse=s3, kms or customer      encryption by the server
//	    sse_kms_key_id=ID            with which key, for kms
//	    sse_customer_key_file=FILE   with which key, for customer
//	    storage_class=NAME           of new objects
//	    create=check                 accept a server without conditional writes; see s3.Config.CheckThenCreate
//
// Only the store that the URL names does anything: the others cost what their packages need to be linked.
package store
