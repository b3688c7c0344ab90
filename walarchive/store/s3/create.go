package s3

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/understudy-ha/understudy/internal/ctxio"
)

// partSize is up to where objects are sent at once, and how long the parts of larger ones are: above S3's least, 5 MiB.
const partSize = 8 << 20

// markHeader is the metadata by which an upload knows its object again.
const markHeader = "Understudy-Upload"

// upload is one Create.
type upload struct {
	*Store
	name, key string
	mark      string // random
}

func (s *Store) newUpload(name string) *upload {
	return &upload{Store: s, name: name, key: s.key(name), mark: rand.Text()}
}

// Create implements walarchive.Store.
func (s *Store) Create(ctx context.Context, name string, r io.Reader) error {
	if err := s.check("create", name); err != nil {
		return err
	}
	buffer := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buffer)
	verdict, stop := s.probePut.begin(ctx, s.tryPut) // while r is being read
	defer stop()
	r = ctxio.Reader(ctx, r)
	content, ended, err := fill(*buffer, r)
	u := s.newUpload(name)
	switch {
	case err != nil:
	case ended:
		err = u.whole(ctx, verdict, content)
	default:
		err = u.inParts(ctx, *buffer, r)
	}
	return s.explain("create", name, err)
}

// fill reads until the buffer is full or r has ended. Any other end of r than io.EOF is an error.
func fill(buffer []byte, r io.Reader) (content []byte, ended bool, err error) {
	n, idle := 0, 0
	for n < len(buffer) && idle < 100 {
		m, err := r.Read(buffer[n:])
		n += m
		switch {
		case err == io.EOF: // a wrapped one is no clean end
			return buffer[:n], true, nil
		case err != nil:
			return nil, false, readError{err}
		case m > 0:
			idle = 0
		default:
			idle++
		}
	}
	if n < len(buffer) {
		return nil, false, readError{io.ErrNoProgress}
	}
	return buffer, false, nil
}

// readError is an error of the reader that a Create was given: no request's.
type readError struct{ error }

// whole stores an object with one request.
func (u *upload) whole(ctx context.Context, verdict func() (bool, error), content []byte) error {
	exclusive, err := u.allowed(verdict())
	if err != nil {
		return err
	}
	if !exclusive {
		if err := u.vacant(ctx); err != nil {
			return err
		}
	}
	err = u.send(ctx, content, func(ctx context.Context, body io.Reader) error {
		return u.settle(ctx, u.put(ctx, u.key, u.mark, content, body, exclusive))
	})
	if err == nil && !exclusive {
		err = u.again(ctx, u.mine)
	}
	return err
}

// allowed says how to create: exclusively, or at least with a look first, if that is allowed where the server can do no better.
func (u *upload) allowed(exclusive bool, err error) (bool, error) {
	if err == nil && !exclusive && !u.config.CheckThenCreate {
		err = fmt.Errorf("%w; see Config.CheckThenCreate (in a URL: create=check)", ErrNotExclusive)
	}
	return exclusive, err
}

// put makes one PutObject request. The body reads the content.
func (s *Store) put(ctx context.Context, key, mark string, content []byte, body io.Reader, exclusive bool) error {
	options := s.putOptions(mark)
	options.UserMetadata["x-amz-checksum-crc32c"] = crc32c(content)
	if exclusive {
		options.SetMatchETagExcept("*")
	}
	_, err := s.client.PutObject(ctx, s.config.Bucket, key, body, int64(len(content)), "", sha256Hex(content), options)
	return err
}

// putOptions is what a new object is given.
func (s *Store) putOptions(mark string) minio.PutObjectOptions {
	return minio.PutObjectOptions{
		UserMetadata:         map[string]string{markHeader: mark},
		ServerSideEncryption: s.encryption,
		StorageClass:         s.config.StorageClass,
		DisableContentSha256: true, // the sum is sent as a whole, not with each chunk
	}
}

func sha256Hex(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc32c(content []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(content, castagnoli)))
}

// settle says what the outcome of a request to create means, by looking whose object is there, if any. It may be this one's although the
// request failed, if only the answer got lost; and it may be another's although the server did not say so: some refuse a name that
// is taken without waiting for the content, and then all that arrives is that the connection is gone.
func (u *upload) settle(ctx context.Context, err error) error {
	taken := hasStatus(err, http.StatusPreconditionFailed) || hasStatus(err, http.StatusConflict)
	if err == nil || !taken && !passing(err) {
		return err
	}
	look := u.mine(ctx)
	switch {
	case look == nil || errors.Is(look, fs.ErrExist):
		return look
	case taken && hasStatus(look, http.StatusNotFound):
		return fmt.Errorf("another upload of the same name is under way, or its object is gone again: %w", errAgain)
	case taken:
		return look
	}
	return err
}

// settleParts is settle for CompleteMultipartUpload, when the parts may be gone: used up by an earlier attempt, or because another upload
// of the same name was under way, whose object may take a moment to appear.
func (u *upload) settleParts(ctx context.Context, err error) error {
	if !hasCode(err, "NoSuchUpload") {
		return u.settle(ctx, err)
	}
	look := u.again(ctx, func(ctx context.Context) error {
		look := u.mine(ctx)
		if hasStatus(look, http.StatusNotFound) {
			return errGone
		}
		return look
	})
	if errors.Is(look, errGone) {
		return errors.New("the server has dropped the upload, perhaps for another one of the same name: create it again")
	}
	return look
}

// errGone says that neither an upload nor its object is there, which another upload under way may change.
var errGone = fmt.Errorf("neither the upload nor an object is there: %w", errAgain)

// mine returns nil if the object is of this upload, and fs.ErrExist if it is another's.
func (u *upload) mine(ctx context.Context) error {
	info, err := u.head(ctx, u.name)
	if err == nil && info.UserMetadata[markHeader] != u.mark {
		err = u.pathError("create", u.name, fs.ErrExist)
	}
	return err
}

// vacant returns nil if there is no object of that name, and fs.ErrExist if there is.
func (u *upload) vacant(ctx context.Context) error {
	d, err := u.details(ctx, u.name)
	if err == nil && d.Size >= 0 {
		err = u.pathError("create", u.name, fs.ErrExist)
	}
	return err
}

// abortTime is how long an upload that failed may go on in order to leave nothing behind.
const abortTime = 10 * time.Second

// inParts stores a large object, of which the buffer holds the first part.
func (u *upload) inParts(ctx context.Context, buffer []byte, r io.Reader) error {
	verdict, stop := u.probeParts.begin(ctx, u.tryParts) // while the parts are sent
	defer stop()
	if err := u.vacant(ctx); err != nil { // before so much is sent for nothing
		return err
	}
	id, err := u.begin(ctx)
	if err != nil {
		return err
	}
	err = u.parts(ctx, id, buffer, r, verdict)
	if err != nil {
		u.abort(ctx, id)
	}
	return err
}

// abort removes the parts of an upload that failed, even if that is because ctx has ended. Sweep finds what it cannot remove.
func (u *upload) abort(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_ = u.again(ctx, func(ctx context.Context) error { return u.client.AbortMultipartUpload(ctx, u.config.Bucket, u.key, id) }) // see above
}

func (u *upload) begin(ctx context.Context) (id string, err error) {
	options := u.putOptions(u.mark)
	options.UserMetadata["x-amz-checksum-algorithm"] = "CRC32C"
	err = u.again(ctx, func(ctx context.Context) error {
		id, err = u.client.NewMultipartUpload(ctx, u.config.Bucket, u.key, options)
		return err
	})
	return id, err
}

// parts sends the parts and makes them an object.
func (u *upload) parts(ctx context.Context, id string, buffer []byte, r io.Reader, verdict func() (bool, error)) error {
	var sent []minio.CompletePart
	for content, ended := buffer, false; ; {
		part, err := u.part(ctx, id, len(sent)+1, content)
		if err != nil {
			return err
		}
		sent = append(sent, part)
		if ended {
			break
		}
		if content, ended, err = fill(buffer, r); err != nil {
			return err
		}
		if ended && len(content) == 0 {
			break
		}
	}
	exclusive, err := u.allowed(verdict())
	if err != nil {
		return err
	}
	if !exclusive {
		if err := u.vacant(ctx); err != nil {
			return err
		}
	}
	err = u.again(ctx, func(ctx context.Context) error {
		return u.settleParts(ctx, u.complete(ctx, u.key, id, sent, exclusive))
	})
	if err == nil && !exclusive {
		err = u.again(ctx, u.mine)
	}
	return err
}

func (u *upload) part(ctx context.Context, id string, number int, content []byte) (minio.CompletePart, error) {
	var done minio.ObjectPart
	sum := crc32c(content)
	options := minio.PutObjectPartOptions{
		Sha256Hex: sha256Hex(content), SSE: u.sseRead(), DisableContentSha256: true,
		CustomHeader: http.Header{http.CanonicalHeaderKey("x-amz-checksum-crc32c"): {sum}},
	}
	err := u.send(ctx, content, func(ctx context.Context, body io.Reader) (err error) {
		done, err = u.client.PutObjectPart(ctx, u.config.Bucket, u.key, id, number, body, int64(len(content)), options)
		return err
	})
	return minio.CompletePart{PartNumber: number, ETag: done.ETag, ChecksumCRC32C: sum}, err
}

// complete makes one CompleteMultipartUpload request.
func (s *Store) complete(ctx context.Context, key, id string, parts []minio.CompletePart, exclusive bool) error {
	options := minio.PutObjectOptions{ServerSideEncryption: s.sseRead()}
	if exclusive {
		options.SetMatchETagExcept("*")
	}
	_, err := s.client.CompleteMultipartUpload(ctx, s.config.Bucket, key, id, parts, options)
	return err
}
