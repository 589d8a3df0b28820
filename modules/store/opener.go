package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	natsgo "github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
	"github.com/roostbus/roost/kvstore/natskv"
	"github.com/roostbus/roost/kvstore/switching"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
)

// opener opens the stores of a node.
type opener struct {
	config   config.Server
	link     *nats.Link
	subjects bus.Subjects
	log      *slog.Logger
}

var _ switching.Opener = (*opener)(nil)

// configured is where the settings say that the registry lies.
func (o *opener) configured() switching.Place {
	if !o.config.Kept() {
		return switching.Place{Kind: switching.Memory}
	}
	return switching.Place{Kind: switching.Bucket, Bucket: o.subjects.Bucket()}
}

// reach returns the connection to where p lies, and how to end it.
func (o *opener) reach(p switching.Place) (nc *natsgo.Conn, end func(), err error) {
	if p.URL != "" {
		nc, err = o.link.Dial(p.URL)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", switching.ErrUnreachable, err)
		}
		return nc, nc.Close, nil
	}
	return o.link.Writing, func() {}, o.link.KeepStreams()
}

func (o *opener) settings(p switching.Place) natskv.Config {
	c := natskv.DefaultConfig()
	c.Bucket, c.Prefix, c.Node = p.Bucket, o.subjects.Prefix(), backend.Token(o.config.Node)
	c.Replicas, c.Scale = o.config.Replicas, true
	if p.URL == "" { // elsewhere there are other servers
		c.Domain, c.Placement.Tags = o.config.Domain, o.config.Tags
		c.Synced = o.config.Sync == config.SyncAlways
	}
	return c
}

// Look implements [switching.Opener].
func (o *opener) Look(ctx context.Context, p switching.Place) (f switching.Found, err error) {
	nc, end, err := o.reach(p) //nolint:contextcheck // what is logged of a connection is of nobody's call
	if err != nil {
		return f, err
	}
	defer end()
	if f.Exists, err = natskv.Exists(ctx, nc, o.settings(p)); err != nil || !f.Exists {
		return f, err
	}
	s, err := natskv.Open(ctx, nc, o.settings(p))
	if _, differs := errors.AsType[*natskv.ConfigError](err); differs {
		return f, fmt.Errorf("bucket %s %w: it is not this registry's (%v)", p.Bucket, switching.ErrOccupied, err) //nolint:errorlint // for people
	}
	if err != nil {
		return f, err
	}
	defer s.Close() //nolint:errcheck // nothing was written
	info, err := s.Info(ctx)
	if err != nil {
		return f, err
	}
	f.Keys = info.Keys
	f.Record, _, err = kvstore.CellAt[switching.Record](s, switching.Key).Get(ctx)
	return f, err
}

// Open implements [switching.Opener].
func (o *opener) Open(ctx context.Context, p switching.Place) (switching.Home, error) {
	if p.Kind == switching.Memory {
		return switching.Home{Store: memkv.New(memkv.WithNode(backend.Token(o.config.Node))), Counters: memkv.NewCounters()}, nil
	}
	nc, end, err := o.reach(p) //nolint:contextcheck // what is logged of a connection is of nobody's call
	if err != nil {
		return switching.Home{}, err
	}
	exists, err := natskv.Exists(ctx, nc, o.settings(p))
	if err == nil && !exists {
		err = fmt.Errorf("%w: there is no bucket %s", kvstore.ErrUnavailable, p.Bucket)
	}
	if err != nil {
		end()
		return switching.Home{}, err
	}
	return o.open(ctx, nc, end, o.settings(p))
}

func (o *opener) open(ctx context.Context, nc *natsgo.Conn, end func(), c natskv.Config) (switching.Home, error) {
	s, err := natskv.Open(ctx, nc, c, natskv.WithLogger(o.log))
	if err != nil {
		end()
		return switching.Home{}, err
	}
	counters, err := s.Counters(ctx)
	if err != nil {
		err = errors.Join(err, s.Close())
		end()
		return switching.Home{}, err
	}
	free := func() error {
		err := s.Close()
		end()
		return err
	}
	return switching.Home{Store: s, Counters: counters, Close: free}, nil
}

// Make implements [switching.Opener].
func (o *opener) Make(ctx context.Context, p switching.Place, first uint64) (switching.Home, error) {
	nc, end, err := o.reach(p) //nolint:contextcheck // what is logged of a connection is of nobody's call
	if err != nil {
		return switching.Home{}, err
	}
	if err := natskv.Delete(ctx, nc, o.settings(p)); err != nil {
		end()
		return switching.Home{}, err
	}
	c := o.settings(p)
	c.Quiet, c.First = true, first
	made, err := o.open(ctx, nc, func() {}, c)
	if err != nil {
		end()
		return switching.Home{}, err
	}
	if err := made.Close(); err != nil {
		end()
		return switching.Home{}, err
	}
	return o.open(ctx, nc, end, o.settings(p)) // that would make it like any other
}

// Publish implements [switching.Opener].
func (o *opener) Publish(ctx context.Context, p switching.Place, on bool) error {
	if p.Kind == switching.Memory {
		return nil
	}
	nc, end, err := o.reach(p) //nolint:contextcheck // what is logged of a connection is of nobody's call
	if err != nil {
		return err
	}
	defer end()
	return natskv.Publish(ctx, nc, o.settings(p), on)
}

// Delete implements [switching.Opener].
func (o *opener) Delete(ctx context.Context, p switching.Place) error {
	nc, end, err := o.reach(p) //nolint:contextcheck // what is logged of a connection is of nobody's call
	if err != nil {
		return err
	}
	defer end()
	return natskv.Delete(ctx, nc, o.settings(p))
}

// homeFile lies in the store directory and says where the registry has been switched to.
const homeFile = "home.json"

// remembered is the content of homeFile. It counts for the settings it was written under.
type remembered struct {
	Configured switching.Place `json:"configured"`
	NATS       string          `json:"nats_url"`
	Home       switching.Place `json:"home"`
}

// Remember implements [switching.Opener].
func (o *opener) Remember(p switching.Place) error {
	if o.config.StoreDir == "" {
		return nil
	}
	path := filepath.Join(o.config.StoreDir, homeFile)
	if p == o.configured() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.MarshalIndent(remembered{Configured: o.configured(), NATS: o.config.URL, Home: p}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.config.StoreDir, 0o700); err != nil {
		return err
	}
	return replace(path, append(text, '\n'))
}

// replace writes a file so that a crash leaves the old one or the new one.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// recall returns where the node's registry lies, as far as the node knows.
func (o *opener) recall() (switching.Place, error) {
	here := o.configured()
	if o.config.StoreDir == "" {
		return here, nil
	}
	path := filepath.Join(o.config.StoreDir, homeFile)
	text, err := os.ReadFile(path) //nolint:gosec // the operator's directory
	if errors.Is(err, fs.ErrNotExist) {
		return here, nil
	}
	if err != nil {
		return here, err
	}
	var r remembered
	if err := json.Unmarshal(text, &r); err != nil {
		return here, fmt.Errorf("%s: %w (it says where the registry was switched to; see roost backend status on another node, and remove the file)", path, err)
	}
	switch {
	case r.Configured == here && r.NATS == o.config.URL:
		return r.Home, nil
	case r.Home.URL != "" && r.Home.URL == o.config.URL && here.Kind == switching.Bucket:
		// The settings have been changed to the NATS that the registry was switched to. They
		// name no bucket: it is the one that it was switched to.
		return switching.Place{Kind: switching.Bucket, Bucket: r.Home.Bucket}, nil
	}
	return here, nil // the operator says otherwise by now
}
