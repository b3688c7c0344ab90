package s3

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
)

// ErrNotExclusive is matched by the error of Create on a server that does not refuse to replace an object.
var ErrNotExclusive = errors.New("the server does not honour conditional writes (If-None-Match), so that two writers could overwrite each other")

// Error is what a server answered instead of doing what it was asked. It matches [fs.ErrPermission] if the server refused, and never
// [fs.ErrNotExist] or [fs.ErrExist].
type Error struct {
	Op      string // "create", "open", ...
	Object  string // "s3://bucket/prefix/name", or the place as a whole
	Code    string // the server's word, such as "AccessDenied"
	Status  int    // of HTTP
	Message string // the server's, without the secrets that it may repeat
	Hint    string // what to do about it, if that is known
	Request string // the server's number of the request, if it gave one
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %s (HTTP status %d)", e.Op, e.Object, e.Code, e.Status)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	if e.Request != "" {
		text += " [request " + e.Request + "]"
	}
	return text
}

// Is reports whether target is [fs.ErrPermission] and the server refused.
func (e *Error) Is(target error) bool {
	return target == fs.ErrPermission && (e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized)
}

// failure is an error that no server sent: of the network, of the keys.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }

// Is reports whether the cause matches target, unless that would say something about the object: a credentials file that is missing
// matches fs.ErrNotExist, and nobody shall take that for a missing object. There is no Unwrap: the cause may hold a secret.
func (f *failure) Is(target error) bool {
	return target != fs.ErrNotExist && target != fs.ErrExist && errors.Is(f.err, target)
}

// explain makes an error of a request presentable: what failed, where, what to do, and no secret.
func (s *Store) explain(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var read readError
	if errors.As(err, &read) {
		return read.error
	}
	var done *fs.PathError
	if errors.As(err, &done) && (done.Err == fs.ErrExist || done.Err == fs.ErrNotExist) { //nolint:errorlint // exactly as made by pathError
		return done
	}
	object := s.locate(name)
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return &failure{text: s.redact(fmt.Sprintf("%s %s: %v", op, object, bare(err))), err: err}
	}
	return &Error{
		Op: op, Object: object, Status: answer.StatusCode, Code: s.tame(answer.Code), Message: s.tame(answer.Error()),
		Hint: s.hint(answer), Request: s.tame(answer.RequestID),
	}
}

// pathError is how the two answers look that are about the object itself.
func (s *Store) pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: s.locate(name), Err: err}
}

// bare leaves out the URL of a request that the network failed: where is said already.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// messageLimit bounds what is shown of a server's message, in bytes.
const messageLimit = 400

// tame makes a server's text fit for one line of a log.
func (s *Store) tame(text string) string {
	text = s.redact(text)
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if len(text) > messageLimit {
		text = strings.ToValidUTF8(text[:messageLimit], "") + "..."
	}
	return text
}

// redact takes the secrets of this store out of a text.
func (s *Store) redact(text string) string {
	for _, secret := range s.secrets() {
		text = strings.ReplaceAll(text, secret, "[secret]")
		text = strings.ReplaceAll(text, url.QueryEscape(secret), "[secret]")
	}
	return text
}

// secrets returns what no text may hold.
func (s *Store) secrets() []string {
	secrets := s.found.known()
	if s.customerKey != nil {
		secrets = append(secrets, string(s.customerKey), base64.StdEncoding.EncodeToString(s.customerKey))
	}
	return secrets
}

// hint says what to do about an answer.
func (s *Store) hint(answer minio.ErrorResponse) string {
	switch {
	case answer.Code == "NoSuchBucket":
		return "the bucket is never made by itself"
	case answer.Code == "RequestTimeTooSkewed":
		return "set this machine's clock"
	case slices.Contains(unknownKeys, answer.Code) || answer.Code == "SignatureDoesNotMatch":
		return "the server does not accept these keys"
	case otherRegion(answer):
		return fmt.Sprintf("the bucket is in region %s, not in %s: set the region", firstOf(s.tame(answer.Region), "(unknown)"), s.config.Region)
	case answer.StatusCode == http.StatusForbidden:
		return "the keys may not do this; without s3:ListBucket, AWS says the same of what does not exist"
	case answer.StatusCode == http.StatusNotFound && !spoken(answer):
		return "this is not how an S3 server says that: check the endpoint"
	}
	return ""
}

// unknownKeys is how servers say that they do not know the access key: AWS, and versitygw.
var unknownKeys = []string{"InvalidAccessKeyId", "XAdminUserNotFound"}

func otherRegion(answer minio.ErrorResponse) bool {
	switch answer.Code {
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "InvalidRegion", "IllegalLocationConstraintException":
		return true
	}
	return answer.StatusCode >= 300 && answer.StatusCode < 400
}

// spoken reports whether an answer is an S3 server's own words. The client library makes up the rest from the status alone.
func spoken(answer minio.ErrorResponse) bool { return answer.XMLName.Local == "Error" }

// absent reports whether the server said that there is no such object.
func absent(err error) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.Code == "NoSuchKey" && answer.StatusCode == http.StatusNotFound && spoken(answer)
}

// hasStatus reports whether a server answered with that status.
func hasStatus(err error, status int) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == status
}

// hasCode reports whether a server answered with one of these words.
func hasCode(err error, codes ...string) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && slices.Contains(codes, answer.Code)
}

// errAgain is matched by errors that the same request may not meet again.
var errAgain = errors.New("try again")

// passing reports whether trying again may help: the server was busy, or the network failed.
func passing(err error) bool {
	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		return passingAnswer(answer)
	}
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var network net.Error
	var torn *xml.SyntaxError
	switch {
	case errors.As(err, &unknown) || errors.As(err, &verify):
		return false
	case errors.Is(err, errAgain) || errors.Is(err, errNoAnswer):
		return true
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &torn): // an answer that was cut off
		return true
	}
	return errors.As(err, &network)
}

func passingAnswer(answer minio.ErrorResponse) bool {
	switch answer.Code {
	case "SlowDown", "InternalError", "RequestTimeout", "Throttling", "OperationAborted", "ConditionalRequestConflict", "Conflict",
		"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch": // the last ones: damaged on the way
		return true
	}
	switch answer.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusConflict, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
