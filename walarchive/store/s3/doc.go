// Package s3 keeps a WAL archive in a bucket of Amazon S3, or of one of the many servers that speak its protocol.
//
//	store, err := s3.Open(s3.Config{Bucket: "wal", Prefix: "main", Region: "eu-central-1"})
//	...
//	defer store.Close()
//
// Each archived file is the object PREFIX/NAME: to restore without this project, use "aws s3 cp s3://BUCKET/PREFIX/%f %p". Beside
// them lies [ProbeName], an empty object, see below.
//
// # What it promises
//
// Two writers cannot overwrite each other: objects are created by a conditional write ("If-None-Match: *", on PutObject and on
// CompleteMultipartUpload), which AWS has had since August 2024. Some servers ignore that condition without a word. So before its first
// Create, a [Store] creates an object that already exists, ProbeName, and unless the server refuses that, Create refuses to work; see
// [Config.CheckThenCreate] for the weaker way.
//
// A lost answer is not a conflict: every object carries a random mark of the Create that made it (metadata "understudy-upload"), so that a
// repeated request which finds the name taken can see whether by itself.
//
// An object is absent only if the server says NoSuchKey. A bucket that does not exist, a refusal (403), a bucket in another region, a
// proxy's page that says 404: all these are other errors. A wrong bucket or prefix is told by the archive's marker, not here.
//
// What is sent carries its SHA-256 as part of the signature, and its CRC-32C; the server refuses what arrives damaged.
//
// Objects of up to 8 MiB are sent at once, larger ones in parts of 8 MiB, so that a Create needs 8 MiB of memory. Up to 10,000 parts make
// an object.
//
// # What it does not
//
// A Create whose ctx ends while its last request is on the way fails, and the object may appear all the same: whole, never a part of
// it. Creating it again then matches fs.ErrExist. A process that is killed in the middle of a large object leaves parts behind, which
// nobody sees but the bill: call [Store.Sweep] from time to time, or give the bucket a lifecycle rule AbortIncompleteMultipartUpload.
//
// A refused Create has sent its bytes first, but for objects of more than 8 MiB. The keys of a machine's role (EC2, ECS) are not asked
// for: write credential_process into the shared file.
//
// # Permissions
//
// s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads for what is done with them, and
// always s3:ListBucket: without it AWS answers 403 for an object that does not exist, and then nothing can be proven absent.
package s3
