package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/understudy-ha/understudy/walarchive"
)

// ProbeName is the name of the empty object by which a Store finds out whether the server honours conditional writes. As all names that
// begin with a dot, List leaves it out, and no other method takes it.
const ProbeName = ".understudy-probe"

// Store is a bucket, or the part of it below a prefix, as a walarchive.Store.
type Store struct {
	config      Config
	client      minio.Core
	transport   *http.Transport
	keys        *credentials.Credentials
	found       *keys              // by keys
	encryption  encrypt.ServerSide // nil: the bucket's default
	customerKey []byte             // nil without EncryptCustomer
	buffers     sync.Pool          // of *[]byte with partSize bytes
	probePut    probe
	probeParts  probe
}

// Open checks the configuration and reads the files that it names, but for the keys, which the first request needs. It does not connect.
func Open(config Config) (*Store, error) {
	config, err := config.complete()
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	found := newKeys(config)
	s := &Store{config: config, keys: credentials.New(found), found: found, probePut: newProbe(), probeParts: newProbe()}
	s.buffers.New = func() any {
		b := make([]byte, partSize)
		return &b
	}
	if s.encryption, err = config.serverSide(); err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	if config.Encryption == EncryptCustomer {
		if s.customerKey, err = customerKey(config.CustomerKeyFile); err != nil {
			return nil, fmt.Errorf("s3: %w", err)
		}
	}
	if err := s.connectLater(); err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return s, nil
}

// connectLater makes the client, which connects when it is used.
func (s *Store) connectLater() error {
	trust, err := s.config.tlsConfig()
	if err != nil {
		return err
	}
	s.transport = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: min(s.config.Timeout, 10*time.Second)}).DialContext,
		TLSClientConfig:     trust,
		TLSHandshakeTimeout: min(s.config.Timeout, 10*time.Second),
		MaxIdleConnsPerHost: concurrency,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // objects are taken as they are
	}
	endpoint, err := url.Parse(s.config.Endpoint)
	if err != nil {
		return err // which check has ruled out
	}
	core, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds: s.keys, Secure: endpoint.Scheme == "https", Transport: s.transport, Region: s.config.Region,
		BucketLookup: map[Addressing]minio.BucketLookupType{
			AddressPath: minio.BucketLookupPath, AddressVirtualHost: minio.BucketLookupDNS,
		}[s.config.Addressing],
		MaxRetries: 1, // again does that
	})
	if err != nil {
		return err
	}
	s.client = *core
	return nil
}

// Close ends the connections. The Store's methods open new ones.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// String is the place as a URL, such as "s3://bucket/prefix?endpoint=https://minio.example.com:9000&region=us-east-1".
func (s *Store) String() string {
	where := s.locate("") + "?"
	if s.config.Endpoint != awsEndpoint {
		where += "endpoint=" + s.config.Endpoint + "&"
	}
	return where + "region=" + s.config.Region
}

// locate says where an object is, or all of them.
func (s *Store) locate(name string) string {
	return "s3://" + strings.TrimSuffix(s.config.Bucket+"/"+s.key(name), "/")
}

// key returns the name of an object within the bucket.
func (s *Store) key(name string) string {
	if s.config.Prefix == "" {
		return name
	}
	return s.config.Prefix + "/" + name
}

// check refuses names that no object of an archive has.
func (s *Store) check(op, name string) error {
	if name == "" || name[0] == '.' || strings.Contains(name, "/") || !printable(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return nil
}

// sseRead returns what reading needs: the key, if requests have to bring it.
func (s *Store) sseRead() encrypt.ServerSide {
	if s.customerKey == nil {
		return nil
	}
	return s.encryption
}

// List implements walarchive.Store. It leaves out objects below further slashes.
func (s *Store) List(ctx context.Context) ([]string, error) {
	var names []string
	err := s.each(ctx, "", func(name string, _ minio.ObjectInfo) { names = append(names, name) })
	return names, s.explain("list", "", err)
}

// each calls do for every object whose name begins with start.
func (s *Store) each(ctx context.Context, start string, do func(name string, info minio.ObjectInfo)) error {
	last := "" // where a further attempt goes on
	for attempt := 1; ; attempt++ {
		err := s.page(ctx, start, &last, do)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case attempt >= s.config.Attempts || !passing(err):
			return err
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// page is one attempt of each, from *last on.
func (s *Store) page(ctx context.Context, start string, last *string, do func(name string, info minio.ObjectInfo)) error {
	ctx, watch := s.watch(ctx)
	defer watch.release()
	noOwner := false
	top := s.key("")
	options := minio.ListObjectsOptions{Prefix: top + start, StartAfter: *last, FetchOwner: &noOwner}
	for info := range s.client.ListObjectsIter(ctx, s.config.Bucket, options) {
		if info.Err != nil {
			return firstError(ctx, info.Err)
		}
		watch.progress()
		*last = info.Key
		name, ok := strings.CutPrefix(info.Key, top)
		if !ok {
			return errors.New("the server lists objects that are not below the prefix")
		}
		if s.check("list", name) == nil {
			do(name, info)
		}
	}
	if ctx.Err() != nil { // which ends the iteration without a word
		return context.Cause(ctx)
	}
	return nil
}

// firstError prefers the reason why ctx ended to what came of it.
func firstError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// concurrency is how many requests one call has under way.
const concurrency = 8

// fewNames is how many objects are asked for one by one rather than by a listing, of which a request gives a thousand.
const fewNames = 64

// Details implements walarchive.Store.
func (s *Store) Details(ctx context.Context, names []string) ([]walarchive.Details, error) {
	for _, name := range names {
		if err := s.check("stat", name); err != nil {
			return nil, err
		}
	}
	if len(names) > fewNames {
		return s.detailsByList(ctx, names)
	}
	return s.detailsOneByOne(ctx, names)
}

func (s *Store) detailsByList(ctx context.Context, names []string) ([]walarchive.Details, error) {
	known := make(map[string]walarchive.Details, len(names))
	err := s.each(ctx, commonStart(names), func(name string, info minio.ObjectInfo) {
		known[name] = walarchive.Details{Name: name, Size: info.Size, Modified: info.LastModified}
	})
	if err != nil {
		return nil, s.explain("list", "", err)
	}
	details := make([]walarchive.Details, len(names))
	for i, name := range names {
		details[i] = walarchive.Details{Name: name, Size: -1}
		if d, ok := known[name]; ok {
			details[i] = d
		}
	}
	return details, nil
}

func commonStart(names []string) string {
	start := names[0]
	for _, name := range names {
		for !strings.HasPrefix(name, start) {
			start = start[:len(start)-1]
		}
	}
	return start
}

func (s *Store) detailsOneByOne(ctx context.Context, names []string) ([]walarchive.Details, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	details := make([]walarchive.Details, len(names))
	todo := make(chan int)
	var workers sync.WaitGroup
	for range min(concurrency, len(names)) {
		workers.Go(func() {
			for i := range todo {
				d, err := s.details(ctx, names[i])
				if err != nil {
					cancel(err) // the first one counts
				}
				details[i] = d
			}
		})
	}
	for i := range names {
		todo <- i
	}
	close(todo)
	workers.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return details, nil
}

// details asks for one object. An answer to HEAD has no body, so a "404" is everybody's: then a GET has to say whose. It may find
// the object, which then came between the two.
func (s *Store) details(ctx context.Context, name string) (walarchive.Details, error) {
	info, err := s.stat(ctx, name)
	if err == nil {
		return walarchive.Details{Name: name, Size: info.Size, Modified: info.LastModified}, nil
	}
	if !hasStatus(err, http.StatusNotFound) {
		return walarchive.Details{}, s.explain("stat", name, err)
	}
	d, err := s.open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return walarchive.Details{Name: name, Size: -1}, nil
	}
	if err != nil {
		return walarchive.Details{}, err
	}
	return walarchive.Details{Name: name, Size: d.size, Modified: d.modified}, d.Close()
}

// stat asks for what is known of an object.
func (s *Store) stat(ctx context.Context, name string) (info minio.ObjectInfo, err error) {
	err = s.again(ctx, func(ctx context.Context) (err error) {
		info, err = s.head(ctx, name)
		return err
	})
	return info, err
}

// head is one attempt of stat.
func (s *Store) head(ctx context.Context, name string) (minio.ObjectInfo, error) {
	return s.client.StatObject(ctx, s.config.Bucket, s.key(name), minio.StatObjectOptions{ServerSideEncryption: s.sseRead()})
}
