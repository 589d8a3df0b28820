package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// fencedTTL is that of the holders' leases: they are stopped for longer.
const fencedTTL = time.Second

// tenure is a hold or a leadership.
type tenure interface {
	Valid() bool
	Token() client.Token
}

// fencedMain is a holder: it acts on a resource for as long as it has its role, and as
// carefully as a program can. Whenever it has lost the role it seeks it again.
func fencedMain(ctx context.Context, s *actorSettings) error {
	c, err := client.Connect(ctx, s.URL, client.WithPrefix(keeperPrefix))
	if err != nil {
		return err
	}
	defer c.Close()
	for ctx.Err() == nil {
		lease, err := c.Grant(ctx, client.LeaseOptions{TTL: s.TTL, Grace: &s.TTL})
		if err != nil {
			continue
		}
		have, release, err := seek(ctx, c, lease, s.Role)
		if err != nil {
			continue
		}
		for n := 0; n < 5 && have.Valid(); n++ {
			if err := actOn(ctx, s, have); err != nil {
				return err
			}
		}
		release(ctx)
		if err := lease.Revoke(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// seek gets a role.
func seek(ctx context.Context, c *client.Client, lease *client.Lease, role string) (tenure, func(context.Context), error) {
	if role == "leader" {
		l, err := c.Election("default", "fenced").Campaign(ctx, lease, client.CampaignOptions{})
		if err != nil {
			return nil, nil, err
		}
		return l, func(ctx context.Context) { _ = l.Resign(ctx) }, nil
	}
	h, err := c.Lock("default", "fenced").Lock(ctx, lease, client.LockOptions{})
	if err != nil {
		return nil, nil, err
	}
	return h, func(ctx context.Context) { _ = h.Release(ctx) }, nil
}

// actOn changes the resource: it reads, makes sure that it has its role still, and writes.
// Nothing can be between that and the write but time.
func actOn(ctx context.Context, s *actorSettings, have tenure) error {
	at := s.Fenced + "?" + url.Values{"by": {strconv.Itoa(s.First)}, "token": {string(have.Token())}}.Encode()
	if !have.Valid() {
		return nil
	}
	if err := call(ctx, http.MethodGet, at); err != nil { // a long calculation
		return err
	}
	return call(ctx, http.MethodPost, at)
}

func call(ctx context.Context, method, at string) error {
	r, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	return reply.Body.Close()
}

// attemptedWrite is a write that has come to the resource.
type attemptedWrite struct {
	by    int
	token client.Token
	let   bool // in
}

// resource is what holders act on, in the test's own process. It remembers the greatest
// token that it has seen and, if it checks, refuses lower ones.
type resource struct {
	url    string
	checks bool

	mu     sync.Mutex
	newest client.Token
	writes []attemptedWrite                 // in order
	during func(by int, token client.Token) // called within the next read, once
	came   chan struct{}                    // closed and replaced with every write
}

func startResource(t *testing.T, checks bool) *resource {
	t.Helper()
	r := &resource{checks: checks, came: make(chan struct{})}
	srv := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(srv.Close) // when all holders have been killed
	r.url = srv.URL
	return r
}

func (r *resource) serve(w http.ResponseWriter, q *http.Request) {
	by, err := strconv.Atoi(q.FormValue("by"))
	token := client.Token(q.FormValue("token"))
	switch {
	case err != nil || token == "":
		w.WriteHeader(http.StatusBadRequest)
	case q.Method == http.MethodGet:
		r.mu.Lock()
		during := r.during
		r.during = nil
		r.mu.Unlock()
		if during != nil {
			during(by, token)
		}
	case !r.write(by, token):
		w.WriteHeader(http.StatusConflict)
	}
}

// write reports whether it was let in.
func (r *resource) write(by int, token client.Token) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	let := !r.checks || !token.Before(r.newest)
	r.newest = max(r.newest, token)
	r.writes = append(r.writes, attemptedWrite{by, token, let})
	close(r.came)
	r.came = make(chan struct{})
	return let
}

// await waits for a write that is so, of those after the first n.
func (r *resource) await(t *testing.T, what string, n int, is func(w attemptedWrite) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		came := r.came
		found := slices.ContainsFunc(r.writes[n:], is)
		r.mu.Unlock()
		if found {
			return
		}
		select {
		case <-came:
		case <-late:
			t.Fatalf("no write %s after %v", what, patience)
		}
	}
}

// more waits for so many more writes.
func (r *resource) more(t *testing.T, n int) {
	t.Helper()
	r.mu.Lock()
	from := len(r.writes)
	r.mu.Unlock()
	for i := range n {
		r.await(t, "of anybody", from+i, func(attemptedWrite) bool { return true })
	}
}

// verdict counts the writes that were let in after one of a later holder, and those that
// were refused.
func (r *resource) verdict(t *testing.T) (interleaved, refused int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var newest client.Token
	for _, w := range r.writes {
		switch {
		case !w.let:
			refused++
		case w.token.Before(newest):
			interleaved++
		}
		if w.let {
			newest = max(newest, w.token)
		}
	}
	t.Logf("%d writes, %d interleaved, %d refused", len(r.writes), interleaved, refused)
	return interleaved, refused
}

// holders starts processes that seek a role and act on r.
func (r *resource) holders(t *testing.T, at, role string, count int) []*os.Process {
	t.Helper()
	var all []*os.Process
	for i := range count {
		settings, err := json.Marshal(actorSettings{URL: at, First: i, TTL: fencedTTL, Fenced: r.url, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		cmd, _ := childAt(t, asActors, string(settings), os.Stderr)
		all = append(all, cmd.Process)
	}
	return all
}

// stopWhileWriting stops whoever has the role by SIGSTOP, between its last look at it and
// its write, wakes it when another has written, and waits for its write.
func (r *resource) stopWhileWriting(t *testing.T, all []*os.Process) {
	t.Helper()
	type victim struct {
		by    int
		token client.Token
		err   error
	}
	stopped, answer := make(chan victim, 1), make(chan struct{})
	wake := sync.OnceFunc(func() { close(answer) })
	defer wake()
	r.mu.Lock()
	r.during = func(by int, token client.Token) {
		stopped <- victim{by, token, all[by].Signal(syscall.SIGSTOP)}
		<-answer // it takes a moment until a process stops
	}
	r.mu.Unlock()
	var v victim
	select {
	case v = <-stopped:
	case <-time.After(patience):
		t.Fatalf("nobody has acted for %v", patience)
	}
	if v.err != nil {
		t.Fatal(v.err)
	}
	r.mu.Lock()
	n := len(r.writes)
	r.mu.Unlock()
	r.await(t, "of another holder", n, func(w attemptedWrite) bool { return w.by != v.by && v.token.Before(w.token) })
	r.mu.Lock()
	n = len(r.writes)
	r.mu.Unlock()
	wake()
	if err := all[v.by].Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.await(t, "of the one that was stopped", n, func(w attemptedWrite) bool { return w.by == v.by && w.token == v.token })
}
