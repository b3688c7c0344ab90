// Package codec encodes the files of a WAL archive and checks them when it decodes them.
//
//	enc, err := codec.Encode("000000010000000000000003", segment, codec.Encoding{Compression: codec.Zstd})
//	...
//	defer enc.Close()
//	_, err = io.Copy(object, enc)
//
//	dec, err := codec.Decode(object, codec.Options{})
//	...
//	defer dec.Close()
//	_, err = io.Copy(restored, dec) // nil only if every byte is what it was
//
// # Formats
//
// The encoding of an object is seen from its first bytes, so reading needs no settings but age's keys. Every format is one that stock
// tools read; they give the whole file, byte for byte:
//
//	none   the file itself                  cp OBJECT FILE
//	zstd   concatenated frames              zstd -dc < OBJECT > FILE
//	lz4    concatenated frames              lz4 -dc < OBJECT > FILE
//	gzip   concatenated members             gzip -dc < OBJECT > FILE
//	s2     concatenated streams             s2d -c - < OBJECT > FILE     (github.com/klauspost/compress/s2/cmd/s2d)
//	age    any of these, encrypted          age -d -i KEYS OBJECT | zstd -dc > FILE
//
// # Record
//
// A [Record] says what the file was: name, size, SHA-256. A compressed object carries it at its end, where stock tools skip it: in a
// skippable frame (zstd, lz4), a skippable chunk (s2) or the extra field of an empty member (gzip). With the object's length and
// CRC-32C in it, a changed byte anywhere in the object is found. A plain file and an age file have no place for one: their record
// is for the caller to keep, and to give to [Decode].
//
// # Zero tails
//
// A segment that was switched early ends in zeros. They are neither compressed nor hashed: the hash covers the data, which ends
// with the last page (8 KiB) that is not all zeros, and the rest is checked to be zeros. Every format has them nevertheless.
//
// # Memory and processors
//
// Both directions stream, with a few buffers of a MiB. Encode reads and hashes one chunk while it compresses another, on two
// processors; Decode hashes while it decompresses.
package codec
