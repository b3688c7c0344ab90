package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// removeBatch is how many objects a request can remove.
const removeBatch = 1000

// Remove implements walarchive.Store.
func (s *Store) Remove(ctx context.Context, names []string) error {
	var errs []error
	for batch := range slices.Chunk(names, removeBatch) {
		errs = append(errs, s.removeSome(ctx, batch)...)
	}
	return errors.Join(errs...)
}

// removeSome removes up to removeBatch objects and returns what is wrong with which of them.
func (s *Store) removeSome(ctx context.Context, names []string) []error {
	left := map[string]error{} // what is not removed yet, and why not
	var errs []error
	for _, name := range names {
		if err := s.check("remove", name); err != nil {
			errs = append(errs, err)
			continue
		}
		left[name] = errUntold
	}
	if len(left) == 0 {
		return errs
	}
	err := s.again(ctx, func(ctx context.Context) error { return s.removeOnce(ctx, left) })
	if err != nil && ctx.Err() != nil {
		return append(errs, s.explain("remove", "", err))
	}
	for _, name := range names {
		if err, ok := left[name]; ok && !(errors.Is(err, errUntold) && s.gone(ctx, name)) {
			errs = append(errs, s.explain("remove", name, err))
		}
	}
	return errs
}

// errUntold says that an answer left out an object.
var errUntold = fmt.Errorf("the server did not say what became of it: %w", errAgain)

// gone reports whether an object is known not to exist. Some servers say nothing of those when they are removed.
func (s *Store) gone(ctx context.Context, name string) bool {
	d, err := s.details(ctx, name)
	return err == nil && d.Size < 0
}

// removeOnce asks to remove what is left, takes out of it what is gone, and returns one of the errors, rather one that may pass.
func (s *Store) removeOnce(ctx context.Context, left map[string]error) error {
	objects := make(chan minio.ObjectInfo, len(left))
	for name := range left {
		objects <- minio.ObjectInfo{Key: s.key(name)}
	}
	close(objects)
	for result := range s.client.RemoveObjectsWithResult(ctx, s.config.Bucket, objects, minio.RemoveObjectsOptions{}) {
		name := strings.TrimPrefix(result.ObjectName, s.key(""))
		if ofOne := hasStatus(result.Err, 0); result.Err == nil || ofOne && hasCode(result.Err, "NoSuchKey", "NoSuchVersion") {
			delete(left, name)
		} else if _, ok := left[name]; ok {
			left[name] = firstError(ctx, result.Err)
		}
	}
	var one error
	for _, err := range left {
		if one = err; passing(err) {
			break
		}
	}
	return one
}

// Sweep removes the parts of objects that a killed Create left behind and that were begun before then. Leave those that may still be
// running ample time.
func (s *Store) Sweep(ctx context.Context, before time.Time) error {
	type upload struct{ key, id string }
	var stale []upload
	var page minio.ListMultipartUploadsResult
	for more := true; more; more = page.IsTruncated {
		err := s.again(ctx, func(ctx context.Context) (err error) {
			page, err = s.client.ListMultipartUploads(ctx, s.config.Bucket, s.key(""), page.NextKeyMarker, page.NextUploadIDMarker, "/", 0)
			return err
		})
		if err != nil {
			return s.explain("sweep", "", err)
		}
		for _, u := range page.Uploads {
			if u.Initiated.Before(before) && strings.HasPrefix(u.Key, s.key("")) {
				stale = append(stale, upload{u.Key, u.UploadID})
			}
		}
	}
	var errs []error
	for _, u := range stale {
		err := s.again(ctx, func(ctx context.Context) error {
			return s.client.AbortMultipartUpload(ctx, s.config.Bucket, u.key, u.id)
		})
		if err != nil && !hasCode(err, "NoSuchUpload") {
			errs = append(errs, s.explain("sweep", strings.TrimPrefix(u.key, s.key("")), err))
		}
	}
	return errors.Join(errs...)
}
