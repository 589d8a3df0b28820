package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// leaseSettings are what a command's lease is like.
type leaseSettings struct {
	TTL   time.Duration `koanf:"ttl"`
	Grace time.Duration `koanf:"grace"`
	// Wait is how long to wait for a name that another owner holds.
	Wait time.Duration `koanf:"wait"`
}

func leaseFlags(cmd *cobra.Command, wait time.Duration) {
	fs := cmd.Flags()
	fs.Duration("ttl", 15*time.Second, "how long the lease lives when nothing is heard of this process")
	fs.Duration("grace", 2*time.Second, "how long it lives when its connection is closed; 0 is not at all")
	fs.Duration("wait", wait, "how long to wait for a name that another owner still holds")
}

func (s *leaseSettings) options(name string) (client.LeaseOptions, error) {
	switch {
	case s.TTL < time.Second || s.TTL > 24*time.Hour:
		return client.LeaseOptions{}, usagef("--ttl %v: must be 1s to 24h", s.TTL)
	case s.Grace < 0 || s.Grace > 24*time.Hour || s.Grace%time.Millisecond != 0:
		return client.LeaseOptions{}, usagef("--grace %v: must be 0 to 24h, in whole milliseconds", s.Grace)
	case s.Wait < 0:
		return client.LeaseOptions{}, usagef("--wait %v: must not be negative", s.Wait)
	}
	return client.LeaseOptions{TTL: s.TTL, Grace: &s.Grace, Name: name}, nil
}

// presence is a registration that is there for as long as this process wants it to be.
type presence struct {
	*client.Session
	client *client.Client
	key    client.Key
	ttl    time.Duration
	said   io.Writer // nil for nothing
}

// appear connects, is granted a lease and registers r. Where another owner holds the name
// it waits for as long as s says.
func (p *program) appear(ctx context.Context, cmd *cobra.Command, c *connection, s *leaseSettings, r client.Registration) (*presence, client.Registration, error) {
	lease, err := s.options(p.leaseName(r.Key))
	if err != nil {
		return nil, client.Registration{}, err
	}
	a := &presence{key: r.Key, ttl: s.TTL}
	if !c.Quiet {
		a.said = p.stderr
	}
	var opts []client.Option
	if c.JSON && !c.Quiet {
		opts = append(opts, client.WithReplies(func(subject string, body []byte) {
			if strings.Contains(subject, ".registry.register.") {
				fmt.Fprintf(p.stdout, "%s\n", body) //nolint:errcheck // nobody reads it then
			}
		}))
	}
	if a.client, err = p.connect(ctx, cmd, c, opts...); err != nil {
		return nil, client.Registration{}, err
	}
	made, err := a.register(ctx, lease, s.Wait, r)
	if err != nil {
		a.vanish(context.WithoutCancel(ctx))
		return nil, client.Registration{}, err
	}
	return a, made, nil
}

// leaseName is how people know the lease of whoever is registered as k.
func (p *program) leaseName(k client.Key) string {
	name := k.Service
	if k.Instance != "" {
		name += "/" + k.Instance
	}
	return shortened(name)
}

func (a *presence) register(ctx context.Context, lease client.LeaseOptions, wait time.Duration, r client.Registration) (client.Registration, error) {
	var err error
	a.Session, err = a.client.NewSession(ctx, client.SessionOptions{
		Lease: lease, OnRenewed: a.renewed, OnRegistration: a.refused,
	})
	if err != nil {
		return client.Registration{}, err
	}
	until := time.Now().Add(wait)
	for waited := false; ; waited = true {
		made, _, err := a.Register(ctx, r, client.Write{})
		if errors.Is(err, backend.ErrUnknownOutcome) { // asked once more, it writes nothing if it was done
			made, _, err = a.Register(ctx, r, client.Write{})
		}
		if !errors.Is(err, backend.ErrExists) || !time.Now().Before(until) {
			return made, err
		}
		if !waited {
			a.sayf("%v; waiting up to %v for it to go", err, wait)
		}
		select {
		case <-time.After(min(250*time.Millisecond, time.Until(until))):
		case <-ctx.Done():
			return client.Registration{}, err
		}
	}
}

// renewed is told that the lease has ended, and with it the registration, and that all is
// there again, or not yet.
func (a *presence) renewed(r client.Renewal) {
	if r.Err == nil {
		a.sayf("the lease had ended (%v); registered again with another one", r.Cause)
		return
	}
	a.sayf("the lease had ended (%v); not registered again yet: %v", r.Cause, r.Err)
}

func (a *presence) refused(key client.Key, err error) {
	if err == nil {
		a.sayf("%s is registered again", visible(key.String()))
		return
	}
	a.sayf("cannot register %s again: %v; trying on", visible(key.String()), err)
}

func (a *presence) sayf(format string, args ...any) {
	if a.said != nil {
		fmt.Fprintf(a.said, "roost: "+format+"\n", args...) //nolint:errcheck // there is nowhere else to say it
	}
}

// vanish takes everything back. Where the registry cannot be told, the lease ends by itself.
func (a *presence) vanish(ctx context.Context) {
	if a.Session != nil {
		ctx, cancel := context.WithTimeout(ctx, goodbye)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			a.sayf("cannot unregister: %v; the registration ends by itself within %v", err, a.ttl)
		}
	}
	if err := a.client.Close(); err != nil {
		a.sayf("close the connection: %v", err)
	}
}

// goodbye is how long it is tried to tell the registry that this process leaves.
const goodbye = 3 * time.Second

// status changes the registration's status in the background, ever again until it is done.
type statusChanger struct {
	*presence
	mu   sync.Mutex
	want client.Status // 0 for nothing
	last bool          // nothing else is taken
	wake chan struct{}
}

func newStatusChanger(a *presence) *statusChanger {
	return &statusChanger{presence: a, wake: make(chan struct{}, 1)}
}

// set asks for a status. Only the newest one counts.
func (s *statusChanger) set(status client.Status) { s.demand(status, false) }

// finally asks for a status that stays.
func (s *statusChanger) finally(status client.Status) { s.demand(status, true) }

func (s *statusChanger) demand(status client.Status, last bool) {
	s.mu.Lock()
	if !s.last || last {
		s.want, s.last = status, last
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run changes what set asks for, until ctx is done.
func (s *statusChanger) run(ctx context.Context) {
	var again <-chan time.Time
	for {
		select {
		case <-s.wake:
		case <-again:
		case <-ctx.Done():
			return
		}
		again = nil
		s.mu.Lock()
		want := s.want
		s.mu.Unlock()
		if want == 0 {
			continue
		}
		_, _, err := s.Update(ctx, s.key, client.Change{Status: &want}, client.Write{})
		s.mu.Lock()
		switch {
		case err == nil && s.want == want:
			s.want = 0
		case err != nil:
			again = time.After(time.Second)
		}
		s.mu.Unlock()
		if err != nil && ctx.Err() == nil && !errors.Is(err, backend.ErrUnavailable) {
			s.sayf("set the status of %s to %s: %v; trying on", visible(s.key.String()), want, err)
		}
	}
}
