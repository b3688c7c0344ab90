package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/understudy-ha/understudy/internal/atomicfile"
	"github.com/understudy-ha/understudy/topology"
	"github.com/understudy-ha/understudy/topology/clusterfile"
)

// file is the cluster file.
type file struct {
	path    string // absolute
	data    []byte // nil if it is not there
	cluster topology.Cluster
}

// load reads the cluster file, which must be there.
func (p *program) load() (file, error) {
	f, err := p.loadOrNew()
	if err == nil && f.data == nil {
		err = usage("%s is not there: configure master makes it", f.path)
	}
	return f, err
}

// loadOrNew reads the cluster file, or begins one.
func (p *program) loadOrNew() (file, error) {
	path, err := filepath.Abs(p.File)
	if err != nil {
		return file{}, err
	}
	f := file{path: path}
	f.data, err = os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.cluster = f.fresh()
		return f, nil
	case err != nil:
		return f, err
	}
	if f.cluster, err = clusterfile.Parse(path, f.data); err != nil {
		return f, err
	}
	return f, local(f.cluster)
}

// fresh is a cluster without nodes.
func (f file) fresh() topology.Cluster {
	return topology.Cluster{
		Name:        strings.TrimSuffix(filepath.Base(f.path), filepath.Ext(f.path)),
		Replication: topology.Replication{User: "replicator", Secret: f.secret("replication")},
		Admin:       topology.Account{Name: "postgres", Secret: f.secret("admin")},
		Slots:       true,
	}
}

// secret refers to a password beside the cluster file.
func (f file) secret(name string) topology.SecretRef {
	return topology.SecretRef("file:" + filepath.Join(f.path+".secrets", name))
}

// save writes the cluster file. One that somebody has written otherwise, with comments for example, is not written over.
func (f file) save(c topology.Cluster) error {
	text, err := clusterfile.Render(c)
	if err != nil {
		return err
	}
	if bytes.Equal(text, f.data) {
		return nil
	}
	if f.data != nil {
		if own, err := clusterfile.Render(f.cluster); err != nil || !bytes.Equal(own, f.data) {
			return usage("%s has comments, or another form than this program writes, which would be lost: change it by hand to say what "+
				"follows, and run configure apply\n%s", f.path, text)
		}
	}
	return atomicfile.Write(f.path, text, 0o644)
}

// setAside renames the cluster file, when nothing is left that it could describe.
func (f file) setAside(suffix string) error {
	if err := os.Rename(f.path, f.path+suffix); err != nil {
		return fmt.Errorf("set the cluster file aside: %w", err)
	}
	return nil
}
