package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/e2e/faults"
	"github.com/roostbus/roost/e2e/history"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

const (
	dramaTroupes = 4
	dramaActors  = 2 // of each
	dramaTTL     = 1500 * time.Millisecond

	// dramaLeast is how many requests must have an answer for a history to count.
	dramaLeast = 2000
	// dramaPatience is how long they may take.
	dramaPatience = 4 * time.Minute
)

// drama is clients in processes of their own that use the objects of a registry, whose
// nodes are processes, too, and their history.
type drama struct {
	urls      []string // of NATS
	nodes     []*serverProcess
	dirs      []string            // of the nodes
	links     [][]*natstest.Proxy // of the nodes, one to each of urls
	troupes   []*troupe
	chronicle history.Chronicle
	records   []history.Record // of registrations; guarded by mu
	began     time.Time
	revealing sync.WaitGroup

	mu     sync.Mutex
	owners map[string]*ownership
}

// ownership is what is known of a lease.
type ownership struct {
	client  int
	certain time.Duration   // it lived until then
	revoked bool            // by its own will, at certain
	objects map[string]bool // in which it took part
}

// troupe is one process of clients, and its link.
type troupe struct {
	number  int
	link    *natstest.Proxy
	process *os.Process
}

// stage starts nodes on the NATS servers of urls, and clients.
func stage(t *testing.T, nodes int, urls []string) *drama {
	t.Helper()
	p := scenery(t, nodes, urls)
	for i := range dramaTroupes {
		r := &troupe{number: i, link: natstest.Through(t, urls[i%len(urls)])}
		p.troupes = append(p.troupes, r)
		p.enter(t, r)
	}
	return p
}

// scenery starts nodes on the NATS servers of urls.
func scenery(t *testing.T, nodes int, urls []string) *drama {
	t.Helper()
	p := &drama{urls: urls, began: time.Now(), owners: map[string]*ownership{}, nodes: make([]*serverProcess, nodes)}
	for i := range nodes {
		p.dirs = append(p.dirs, t.TempDir())
		var links []*natstest.Proxy
		for _, url := range urls {
			links = append(links, natstest.Through(t, url))
		}
		p.links = append(p.links, links)
		p.startNode(t, i)
	}
	return p
}

// startNode starts a node, again after it was killed.
func (p *drama) startNode(t *testing.T, i int) {
	t.Helper()
	var through []string
	for _, link := range p.links[i] {
		through = append(through, link.URL())
	}
	p.nodes[i] = nodeAt(t, fmt.Sprint("n", i), func(c *config.Server) {
		c.URL, c.Replicas, c.HoldShare, c.StoreDir = strings.Join(through, ","), min(len(p.urls), 3), 1, p.dirs[i]
	})
	p.nodes[i].links = p.links[i]
}

// restartNode kills a node by SIGKILL and starts it again.
func (p *drama) restartNode(t *testing.T, i int) {
	t.Helper()
	p.nodes[i].signal(t, syscall.SIGKILL)
	_ = p.nodes[i].cmd.Wait()
	p.startNode(t, i)
}

// suffers has a fault happen to a node for so long that another becomes the keeper.
func (p *drama) suffers(t *testing.T, i int, f keeperFault) {
	t.Helper()
	f.happen(t, p.nodes[i])
	noSooner(keeper.Validity + dramaTTL)
	f.mend(t, p.nodes[i])
}

// enter starts the clients of a troupe and takes down what they tell.
func (p *drama) enter(t *testing.T, r *troupe) {
	t.Helper()
	settings, err := json.Marshal(actorSettings{
		URL: r.link.URL(), First: r.number * dramaActors, Clients: dramaActors, Seed: rand.Uint64(), TTL: dramaTTL, Began: p.began.UnixNano(),
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd, out := childAt(t, asActors, string(settings), os.Stderr)
	r.process = cmd.Process
	p.revealing.Go(func() { p.reveal(t, out) })
}

// reveal takes down what a process tells, until it has ended.
func (p *drama) reveal(t *testing.T, out io.Reader) {
	from := json.NewDecoder(out)
	pending := map[int]faults.Note{} // by client, which does one thing at a time
	for {
		var n faults.Note
		if from.Decode(&n) != nil {
			break
		}
		switch {
		case n.Revokes != "":
			p.mu.Lock()
			if o := p.owners[n.Revokes]; o != nil {
				o.certain, o.revoked = min(o.certain, n.Certain), true
			}
			p.mu.Unlock()
		case n.Over:
			delete(pending, n.Event.Client)
			p.over(t, &n)
		default:
			pending[n.Event.Client] = n
			p.begins(&n)
		}
	}
	for _, n := range pending { // it was killed
		p.takeDown(&n)
	}
}

func (p *drama) begins(n *faults.Note) {
	d := &n.Event.Deed
	if d.Owner == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.owners[d.Owner]
	if o == nil {
		o = &ownership{client: n.Event.Client, objects: map[string]bool{}}
		p.owners[d.Owner] = o
	}
	o.certain = max(o.certain, n.Certain)
	o.objects[d.Object] = true
}

func (p *drama) over(t *testing.T, n *faults.Note) {
	e := n.Event
	if n.Expired() && e.Return < n.Certain {
		t.Errorf("%v: the lease has ended at %v, and was certain until %v", e.Deed, e.Return, n.Certain)
	}
	if !n.Expected() {
		t.Errorf("%v: %s", e.Deed, n.Code)
	}
	p.takeDown(n)
	if e.Deed.Verb == history.Campaign && e.Finding.Fate == history.Done && e.Finding.Term != 0 {
		e.Deed.Verb = history.Lead
		p.chronicle.Note(e)
	}
}

func (p *drama) takeDown(n *faults.Note) {
	if n.Ask.Kind == 0 {
		p.chronicle.Note(n.Event)
		return
	}
	r := history.Record{Client: n.Event.Client, Ask: n.Ask, Answer: n.Answer, Call: n.Event.Call, Return: n.Event.Return}
	if !n.Over {
		r.Answer.Fate = history.Unknown
		if n.Ask.Kind == history.Lookup {
			r.Answer.Fate = history.Undone
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = append(p.records, r)
}

// kill ends the processes of a troupe by SIGKILL, and others take the stage.
func (p *drama) kill(t *testing.T, r *troupe) {
	t.Helper()
	if err := r.process.Kill(); err != nil {
		t.Error(err)
	}
	p.enter(t, r)
}

// stop stops a troupe past its leases.
func (p *drama) stop(t *testing.T, r *troupe) {
	t.Helper()
	if err := r.process.Signal(syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
	noSooner(2 * dramaTTL)
	if err := r.process.Signal(syscall.SIGCONT); err != nil {
		t.Error(err)
	}
}

// cut cuts a troupe off, past its leases.
func (p *drama) cut(t *testing.T, r *troupe) {
	t.Helper()
	r.link.Cut(t)
	noSooner(2 * dramaTTL)
	r.link.Heal(t)
}

// done says how many requests about objects have been answered.
func (p *drama) done() int { return p.chronicle.Count(history.Done, history.Refused) }

// answered waits until so many more requests have been answered.
func (p *drama) answered(t *testing.T, more int) {
	t.Helper()
	from := p.done()
	for deadline := time.Now().Add(dramaPatience); p.done() < from+more; noSooner(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d more answers after %d took longer than %v", more, from, dramaPatience)
		}
	}
}

// curtain ends the play: everything must be to be had again, and the history be one of
// objects that keep their promises.
func (p *drama) curtain(t *testing.T) {
	t.Helper()
	p.answered(t, dramaLeast-p.done())
	for _, r := range p.troupes {
		_ = r.process.Kill()
	}
	p.revealing.Wait()
	p.free(t)
	p.mu.Lock()
	for owner, o := range p.owners {
		for object := range o.objects {
			p.chronicle.Note(history.Ending(o.client, object, owner, o.certain))
		}
	}
	ends := len(p.owners)
	records := p.records
	p.mu.Unlock()
	counts := map[string]int{
		"answered": p.done(), "refused": p.chronicle.Count(history.Refused), "unknown": p.chronicle.Count(history.Unknown),
		"not done": p.chronicle.Count(history.Undone), "leases": ends,
		"registrations": len(records),
	}
	t.Logf("in %v: %v", time.Since(p.began).Round(time.Second), counts)
	if p.done() < dramaLeast || counts["refused"] == 0 || counts["unknown"] == 0 {
		t.Fatalf("the history does not count: %v; want %d answered, some refused, and some unknown", counts, dramaLeast)
	}
	judged := time.Now()
	for _, b := range history.Judge(p.chronicle.Events(), 2*time.Minute) {
		t.Error(b)
		page, err := os.Create(filepath.Join(os.TempDir(), "roost-history-"+t.Name()+"-"+b.Object+".html"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(b.Draw(page), page.Close()); err != nil {
			t.Fatal(err)
		}
		t.Logf("the whole history of %s: %s", b.Object, page.Name())
	}
	for _, v := range history.Check(records, 2*time.Minute) {
		t.Error(v)
	}
	t.Logf("judged in %v", time.Since(judged).Round(time.Millisecond))
}

// free fails unless everything is to be had, now that all have been killed.
func (p *drama) free(t *testing.T) {
	t.Helper()
	c := lookerAt(t, strings.Join(p.urls, ","))
	lease, err := c.Grant(t.Context(), client.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range slices.Sorted(slices.Values(faults.ObjectsAtPlay())) {
		kind, name, _ := strings.Cut(object, ".")
		var err error
		switch kind {
		case "lock":
			_, err = c.Lock("default", name).Lock(t.Context(), lease, client.LockOptions{Wait: patience})
		case "semaphore":
			_, err = c.Semaphore("default", name, faults.PermitsAtPlay).Acquire(t.Context(), lease, client.SemaphoreOptions{Permits: faults.PermitsAtPlay, Wait: patience})
		case "election":
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err = c.Election("default", name).Campaign(ctx, lease, client.CampaignOptions{})
			cancel()
		}
		if err != nil {
			t.Errorf("%s, when nobody else lives: %v", object, err)
		}
	}
}
