package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// asProgram makes the test binary be a program that is registered under a lease, with the
// settings that it holds.
const asProgram = "ROOST_TEST_PROGRAM"

// programSettings are those of such a program.
type programSettings struct {
	URL, Instance string
	TTL, Grace    time.Duration
}

// asleep is a pause after which a program knows that it was stopped.
const asleep = 500 * time.Millisecond

// word is what a program says of itself, a line each.
type word struct {
	What  string // granted, taken, registered, woke, renewed, refused, acts
	Owner string // of the lease that it has
	At    time.Time

	// On woke: for how long it was stopped, and what it found before it did anything else.
	Slept  time.Duration
	Valid  bool
	Own    string // the error of a write by the client that holds the lease
	Forced string // and of one by a client that only knows its secret

	Acts []act
}

// act is that a program has found its lease to be valid: when it began to look.
type act struct {
	Owner string
	At    time.Time
}

// program is what a program knows of itself.
type program struct {
	session *client.Session
	words   chan word

	mu   sync.Mutex
	acts []act // the last one of each owner
}

// programMain lives until in ends or SIGTERM, and tells then when it would have acted.
func programMain(settings string, in io.Reader, out io.Writer) error {
	var s programSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	p := &program{words: make(chan word, 1024)}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer close(p.words)
	tasks.Go(func() {
		to := json.NewEncoder(out)
		for w := range p.words {
			_ = to.Encode(w) // nobody reads it if that fails
		}
	})
	c, err := client.Connect(ctx, s.URL, client.WithPrefix(keeperPrefix))
	if err != nil {
		return err
	}
	defer c.Close()
	// On SIGTERM the session lives on until everything has been told.
	p.session, err = c.NewSession(ctx, client.SessionOptions{
		Lease:          client.LeaseOptions{TTL: s.TTL, Grace: &s.Grace},
		OnRenewed:      func(r client.Renewal) { p.say(word{What: "renewed", Owner: r.New}) },
		OnRegistration: func(client.Key, error) { p.say(word{What: "refused"}) },
	})
	if err != nil {
		return err
	}
	first := p.session.Lease()
	p.say(word{What: "granted", Owner: first.Owner()})
	rival, err := client.Connect(ctx, s.URL, client.WithPrefix(keeperPrefix), client.WithSecrets(first.Secret()))
	if err != nil {
		return err
	}
	defer rival.Close()
	var worker sync.WaitGroup
	worker.Go(func() { p.work(ctx, c, rival, first) })
	err = p.register(ctx, s.Instance)
	if err == nil {
		<-ctx.Done()
	}
	stop()
	worker.Wait()
	p.say(word{What: "acts", Acts: p.acts})
	return err
}

// register registers instance, as soon as it is nobody else's.
func (p *program) register(ctx context.Context, instance string) error {
	for taken := false; ; {
		made, _, err := p.session.Register(ctx, payments(instance), client.Write{})
		switch {
		case err == nil:
			p.say(word{What: "registered", Owner: made.Owner})
			return nil
		case errors.Is(err, backend.ErrUnknownOutcome): // which asking again will tell
		case !errors.Is(err, backend.ErrExists):
			return err
		case !taken:
			taken = true
			p.say(word{What: "taken"})
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *program) say(w word) {
	w.At = time.Now()
	p.words <- w
}

// work acts for as long as the lease is valid. When it finds that it was stopped it looks
// at its lease first thing, and tries to write under it.
func (p *program) work(ctx context.Context, c, rival *client.Client, first *client.Lease) {
	last := time.Now()
	for lease := first; ctx.Err() == nil; lease = p.session.Lease() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
		now := time.Now()
		slept := now.Sub(last) // wherever in the loop it was stopped
		last = now
		if slept > asleep {
			w := word{What: "woke", Owner: lease.Owner(), Slept: slept, Valid: lease.Valid()}
			w.Own = p.write(ctx, c, lease)
			if lease == first {
				w.Forced = p.write(ctx, rival, lease)
			}
			p.say(w)
			last = time.Now()
			continue
		}
		at := time.Now()
		if lease.Valid() { // a stop from here on is not one between looking and acting
			p.acted(act{Owner: lease.Owner(), At: at})
		}
	}
}

func (p *program) acted(a act) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.acts); n > 0 && p.acts[n-1].Owner == a.Owner {
		p.acts[n-1] = a
		return
	}
	p.acts = append(p.acts, a)
}

// write registers something else under lease and returns what is wrong with that.
func (p *program) write(ctx context.Context, c *client.Client, lease *client.Lease) string {
	_, _, err := c.Register(ctx, payments("written"), client.Write{Owner: lease.Owner()})
	switch {
	case err == nil:
		return ""
	case errors.Is(err, backend.ErrLeaseExpired):
		return "lease expired"
	}
	return err.Error()
}

// programProcess is such a program.
type programProcess struct {
	process *os.Process
	words   chan word // closed when it has ended
	skipped []word    // that nobody has waited for yet
}

// programAt starts a program. It does not wait for anything.
func programAt(t *testing.T, s programSettings) *programProcess {
	t.Helper()
	settings, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd, out := childAt(t, asProgram, string(settings), os.Stderr)
	p := &programProcess{process: cmd.Process, words: make(chan word, 1024)}
	go func() {
		defer close(p.words)
		from := json.NewDecoder(out)
		for {
			var w word
			if from.Decode(&w) != nil { // it has ended
				return
			}
			p.words <- w
		}
	}()
	return p
}

// says waits until the program has said what, and returns that. What it has said before
// and meanwhile may be waited for later.
func (p *programProcess) says(t *testing.T, what string) word {
	t.Helper()
	if i := slices.IndexFunc(p.skipped, func(w word) bool { return w.What == what }); i >= 0 {
		w := p.skipped[i]
		p.skipped = slices.Delete(p.skipped, i, i+1)
		return w
	}
	late := time.After(patience)
	for {
		select {
		case w, alive := <-p.words:
			if !alive {
				t.Fatalf("the program has ended before it said %q", what)
			}
			if w.What == what {
				return w
			}
			p.skipped = append(p.skipped, w)
		case <-late:
			t.Fatalf("the program has not said %q after %v", what, patience)
		}
	}
}

// wakes waits until the program says that it has slept for at least d.
func (p *programProcess) wakes(t *testing.T, d time.Duration) word {
	t.Helper()
	for {
		if w := p.says(t, "woke"); w.Slept >= d {
			return w
		}
	}
}

func (p *programProcess) signal(t *testing.T, s syscall.Signal) time.Time {
	t.Helper()
	at := time.Now()
	if err := p.process.Signal(s); err != nil {
		t.Fatalf("signal %v: %v", s, err)
	}
	return at
}

// neverActed has the program end by itself, and fails if it has acted as owner since.
func (p *programProcess) neverActed(t *testing.T, owner string, since time.Time) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	w := p.says(t, "acts")
	if len(w.Acts) == 0 {
		t.Error("the program never acted at all")
	}
	for _, a := range w.Acts {
		if a.Owner == owner && a.At.After(since) {
			t.Errorf("the program acted as %s, %v after that had ended", owner, a.At.Sub(since))
		}
	}
}

// holder returns who holds an instance of payments, "" for nobody, in truth.
func holder(t *testing.T, c *client.Client, instance string) string {
	t.Helper()
	r, _, err := c.Lookup(t.Context(), paymentsKey(instance), linearizably)
	if errors.Is(err, backend.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.Owner
}

// lookerAt returns a client that does not share its fate with anybody.
func lookerAt(t *testing.T, url string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.Connect(t.Context(), url, append([]client.Option{
		client.WithPrefix(keeperPrefix), client.WithNATS(nats.Timeout(patience)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// busy is how much later than promised something may happen on a machine that does much
// else. How late it is on one that does not is for roost bench to say.
const busy = 10 * time.Second

// took fails unless at is from earliest to latest after begin, or a little later.
func took(t *testing.T, what string, begin, at time.Time, earliest, latest time.Duration) {
	t.Helper()
	d := at.Sub(begin)
	t.Logf("%s: after %v", what, d.Round(time.Millisecond))
	if d < earliest || d > latest+busy {
		t.Errorf("%s after %v; want %v to %v", what, d, earliest, latest)
	}
}

// linearizably reads the truth.
var linearizably = client.Read{Consistency: client.Linearizable}
