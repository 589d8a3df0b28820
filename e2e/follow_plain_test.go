package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// plainFollower keeps a copy of one service with nats.go alone.
type plainFollower struct {
	nc     *nats.Conn
	prefix string // "roost.v1"
	scope  string // "default.payments"

	mu    sync.Mutex
	state map[string]held // by instance

	listed  bool
	epoch   string               // of R
	R       uint64               // revision of the last complete list; events never move it
	h       map[string]uint64    // revision last applied to a key, removals included
	removed map[string]time.Time // when, of the keys in h that are gone
	feed    string               // of the last beacon
}

// held is a registration and its revision, which the body of an event does not have.
type held struct {
	revision     uint64
	registration json.RawMessage
}

// run follows until ctx is done.
func (f *plainFollower) run(ctx context.Context) error {
	events, beacons := make(chan *nats.Msg, 4096), make(chan *nats.Msg, 16)
	status := f.nc.StatusChanged(nats.CONNECTED)
	defer f.nc.RemoveStatusListener(status)
	sub, err := f.nc.ChanSubscribe(f.prefix+".event."+f.scope+".*", events) // subscribe, then list
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	beacon, err := f.nc.ChanSubscribe(f.prefix+".beacon", beacons)
	if err != nil {
		return err
	}
	defer beacon.Unsubscribe()

	every := time.NewTicker(4*time.Minute + rand.N(2*time.Minute))
	defer every.Stop()
	doubt, least, dropped := true, uint64(0), 0
	for ctx.Err() == nil {
		if doubt || least > f.R {
			began, err := f.list(ctx, least)
			least = 0 // a linearizable list shows it, if it is of this epoch
			if doubt = err != nil; doubt {
				time.Sleep(100*time.Millisecond + rand.N(time.Second)) // unavailable: try again
			}
			for began && len(events) > 0 { // they may be of the epoch before
				<-events
				doubt = true
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-status: // reconnected
			doubt, f.feed = true, ""
		case <-every.C:
			doubt = true
		case m := <-beacons:
			var b struct{ Feed string }
			doubt = json.Unmarshal(m.Data, &b) != nil || b.Feed != f.feed
			f.feed = b.Feed
		case m := <-events:
			least = f.hear(m)
			if n, _ := sub.Dropped(); n != dropped { // too slow
				doubt, dropped = true, n
			}
		}
	}
	return ctx.Err()
}

// hear takes in an event, or returns its revision if there is a gap before it.
func (f *plainFollower) hear(m *nats.Msg) (gap uint64) {
	r, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	p, _ := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 64)
	var key struct{ Instance string }
	if json.Unmarshal(m.Data, &key) != nil {
		return r
	}
	switch known := max(f.h[key.Instance], f.R); {
	case r <= known: // known already
	case p > known: // a change before it was lost
		return r
	case m.Header.Get("KV-Operation") != "": // removed
		f.apply(key.Instance, r, nil)
	default:
		f.apply(key.Instance, r, m.Data)
	}
	return 0
}

func (f *plainFollower) apply(key string, r uint64, registration json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.h[key] = r
	if registration != nil {
		f.state[key] = held{r, registration}
		delete(f.removed, key)
	} else {
		delete(f.state, key)
		f.removed[key] = time.Now()
	}
}

// list lists what changed after R, or everything, and merges it. began is true of the
// first list of an epoch.
func (f *plainFollower) list(ctx context.Context, least uint64) (began bool, err error) {
	type entry struct {
		Instance string
		Revision uint64
		Text     json.RawMessage `json:"-"`
	}
	var there, gone []entry
	var revision uint64
	var epoch string
	body := map[string]any{"consistency": "linearizable"}
	request := nats.NewMsg(f.prefix + ".registry.list." + f.scope)
	if f.listed {
		body["since"], body["min_revision"] = f.R, max(least, f.R)
		request.Header.Set("Roost-Epoch", f.epoch)
	}
	for page := 0; page == 0 || body["after"] != nil; page++ {
		request.Data, _ = json.Marshal(body)
		asking, cancel := context.WithTimeout(ctx, 5*time.Second) // a reply may be lost, too
		reply, err := f.nc.RequestMsgWithContext(asking, request)
		cancel()
		if err != nil {
			return false, err
		}
		if code := reply.Header.Get("Nats-Service-Error-Code"); code != "" {
			if code == "416" { // compacted: list afresh
				f.listed = false
			}
			return false, fmt.Errorf("list: %s", reply.Header.Get("Nats-Service-Error"))
		}
		var answer struct {
			Registrations []json.RawMessage
			Removed       []entry
			Next          string
		}
		if err := json.Unmarshal(reply.Data, &answer); err != nil {
			return false, err
		}
		for _, text := range answer.Registrations {
			e := entry{Text: text}
			if err := json.Unmarshal(text, &e); err != nil {
				return false, err
			}
			there = append(there, e)
		}
		gone = append(gone, answer.Removed...)
		if page == 0 { // the revision of a paged list is that of its first page
			epoch = reply.Header.Get("Roost-Epoch")
			revision, _ = strconv.ParseUint(reply.Header.Get("Roost-Revision"), 10, 64)
		}
		delete(body, "after")
		if answer.Next != "" {
			body["after"] = answer.Next
		}
	}

	if began = epoch != f.epoch; began { // revisions have begun anew
		f.epoch, f.R, f.h, f.removed = epoch, 0, map[string]uint64{}, map[string]time.Time{}
	}
	if !f.listed { // what is absent is gone, unless an event newer than the list told of it
		listed := map[string]bool{}
		for _, e := range there {
			listed[e.Instance] = true
		}
		for key := range maps.Clone(f.state) {
			if !listed[key] && f.h[key] <= revision {
				f.apply(key, revision, nil)
			}
		}
	}
	for _, e := range there {
		if e.Revision > f.h[e.Instance] {
			f.apply(e.Instance, e.Revision, e.Text)
		}
	}
	for _, e := range gone {
		if e.Revision > f.h[e.Instance] {
			f.apply(e.Instance, e.Revision, nil)
		}
	}
	f.R, f.listed = max(f.R, revision), true
	for key, at := range f.removed { // a removal is remembered for 30 minutes
		if time.Since(at) > 30*time.Minute && f.h[key] <= f.R {
			delete(f.h, key)
			delete(f.removed, key)
		}
	}
	return began, nil
}
