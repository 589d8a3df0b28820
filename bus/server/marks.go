package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore"
)

// Shelf is what backups need of the objects of one kind: an [engine.Objects].
type Shelf interface {
	List(ctx context.Context, namespace, after string, limit int, read backend.Read) (engine.Page, backend.Stamp, error)
	Kept(ctx context.Context, n engine.Name, read backend.Read) (json.RawMessage, backend.Stamp, error)
	Restore(ctx context.Context, n engine.Name, kept json.RawMessage, dry bool, by backend.Write) (engine.Restoration, backend.Stamp, error)
}

// Backups is what an operator's requests for backups and restores are answered from, beside
// the Backend and the counters of [WithCoordination].
type Backups struct {
	Shelves map[bus.Kind]Shelf
	// Raise gives the store an epoch above one, unless it has it; [epoch.Guard.Raise].
	Raise func(ctx context.Context, above uint32) (epoch uint32, err error)
}

// BackupsOf returns the Backups of e, whose store's epoch raise raises.
func BackupsOf(e *engine.Engine, raise func(ctx context.Context, above uint32) (uint32, error)) Backups {
	return Backups{Raise: raise, Shelves: map[bus.Kind]Shelf{
		bus.KindElection: e.Elections, bus.KindLock: e.Locks, bus.KindSemaphore: e.Semaphores,
		bus.KindBarrier: e.Barriers, bus.KindProposal: e.Proposals,
	}}
}

// WithBackups has a [Server] answer an operator's requests for backups and restores.
func WithBackups(b Backups) Option { return optionFunc(func(o *options) { o.backups = b }) }

// backupEndpoints returns everything that is answered about backups.
func (s *Server) backupEndpoints() []*endpoint {
	if s.backups.Raise == nil {
		return nil
	}
	const kind = `"kind": "election"|"lock"|"semaphore"|"barrier"|"counter"|"proposal"`
	return []*endpoint{
		{
			name: "admin-marks", subject: s.subjects.AdminMarks(), handle: s.adminMarks, reads: true,
			about: "what a backup keeps of objects", request: "{" + kind + ", " + paging + ", " + freshness + "}",
			reply: `{"marks": [{"namespace", "name", "record"}], "next": "…"}`,
		},
		{
			name: "admin-restore", subject: s.subjects.AdminRestore(), handle: s.adminRestore,
			about: "raise the marks of objects to those of a backup", request: "{" + kind + `, "marks": […], "dry_run": false}`,
			reply: `{"results": [{"state": "restored"|"unchanged"|"in_use"} or {"code", "message"}]}`,
		},
		{
			name: "admin-epoch", subject: s.subjects.AdminEpoch(), handle: s.adminEpoch,
			about: "begin an epoch above another, unless it has begun", request: `{"above": 1792454400}`, reply: `{"epoch": 1792454401}`,
		},
	}
}

func (s *Server) adminEpoch(ctx context.Context, r *request) (answer, error) {
	var q bus.EpochRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	raised, err := s.backups.Raise(ctx, uint32(q.Above))
	switch {
	case errors.Is(err, kvstore.ErrInvalid):
		return answer{}, backend.Invalid("above", "is %d: there is no room for epochs above it", q.Above)
	case err != nil:
		return answer{}, counting(err)
	}
	// Whoever reads the answer asks in the new epoch next: this node serves it by then.
	_, stamp, err := s.b.List(ctx, backend.Query{Limit: 1, Read: backend.Read{Consistency: backend.Linearizable}})
	if err != nil {
		return answer{stamp: stamp}, fmt.Errorf("%w: epoch %d has begun and is not served yet", err, raised)
	}
	return said(bus.EpochReply{Epoch: backend.Epoch(raised)}, stamp, nil)
}

func (s *Server) adminMarks(ctx context.Context, r *request) (answer, error) {
	var q bus.MarksRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Kind.Validate(); err != nil {
		return answer{}, err
	}
	limit, err := s.namesLimit(q.Limit)
	if err != nil {
		return answer{}, err
	}
	read, err := r.freshRead(q.Freshness)
	if err != nil {
		return answer{}, err
	}
	shelf := s.shelf(q.Kind)
	page, stamp, err := shelf.List(ctx, "", q.After, limit, read)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	// What List has shown is as new as was asked for, and so is every record.
	read = backend.Read{Epoch: stamp.Epoch}
	reply, left := bus.MarksReply{Marks: []bus.Mark{}, Next: page.Next}, s.pageBudget()
	for i, n := range page.Names {
		kept, _, err := shelf.Kept(ctx, n, read)
		if err != nil {
			return answer{stamp: stamp}, err
		}
		if kept == nil {
			continue
		}
		left -= len(kept) + maxNameEntry
		if left < 0 && len(reply.Marks) > 0 {
			reply.Next = page.Names[i-1].String()
			break
		}
		reply.Marks = append(reply.Marks, bus.Mark{Namespace: n.Namespace, Name: n.Name, Record: kept})
	}
	return said(&reply, stamp, nil)
}

// restoring is how many marks of one request are restored side by side.
const restoring = 16

func (s *Server) adminRestore(ctx context.Context, r *request) (answer, error) {
	var q bus.RestoreRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Validate(); err != nil {
		return answer{}, err
	}
	by, err := r.identified(bus.Guard{}, "")
	if err != nil {
		return answer{}, err
	}
	shelf, reply := s.shelf(q.Kind), bus.RestoreReply{Results: make([]bus.RestoreResult, len(q.Marks))}
	ids := bus.OperationIDs(r.id, r.subject, r.data)
	var mu sync.Mutex
	var newest backend.Stamp
	one := func(i int) {
		m, w := &q.Marks[i], by
		w.ID = ids(i)
		state, stamp, err := shelf.Restore(ctx, engine.Name{Namespace: m.Namespace, Name: m.Name}, m.Record, q.DryRun, w)
		reply.Results[i] = bus.RestoreResult{State: string(state)}
		if err != nil {
			failure := s.failure(ctx, r, err)
			reply.Results[i] = bus.RestoreResult{Code: failure.Code, Message: failure.Message}
		}
		mu.Lock()
		defer mu.Unlock()
		if stamp.Revision > newest.Revision {
			newest = stamp
		}
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(restoring, len(q.Marks)) {
		workers.Go(func() {
			for i := range next {
				one(i)
			}
		})
	}
	for i := range q.Marks {
		next <- i
	}
	close(next)
	workers.Wait()
	return said(&reply, s.stamps.orSeen(newest), nil)
}

func (s *Server) shelf(kind bus.Kind) Shelf {
	if kind == bus.KindCounter {
		return counterShelf{s}
	}
	return s.backups.Shelves[kind]
}

// counterShelf is the Shelf of counters, whose mark is the value. One that stands at zero
// is as good as one that was never touched.
type counterShelf struct{ *Server }

func (s counterShelf) List(ctx context.Context, namespace, after string, limit int, read backend.Read) (engine.Page, backend.Stamp, error) {
	return s.counters(ctx, namespace, after, limit, read)
}

func (s counterShelf) Kept(ctx context.Context, n engine.Name, _ backend.Read) (json.RawMessage, backend.Stamp, error) {
	value, err := s.coordination.Counters.Value(ctx, n.String())
	if err != nil || value == "0" {
		return nil, backend.Stamp{}, counting(err)
	}
	body, err := encode(bus.CounterReply{Value: value})
	return body, backend.Stamp{}, err
}

// maxChunks bounds the additions that one value is restored with.
const maxChunks = 1000

func (s counterShelf) Restore(ctx context.Context, n engine.Name, kept json.RawMessage, dry bool, _ backend.Write) (engine.Restoration, backend.Stamp, error) {
	none := backend.Stamp{}
	var mark bus.CounterReply
	if err := decode(kept, &mark); err != nil {
		return "", none, backend.Invalid("record", "is none of a counter: %v", err)
	}
	deltas, err := chunks(mark.Value)
	if err != nil {
		return "", none, err
	}
	now, err := s.coordination.Counters.Value(ctx, n.String())
	switch {
	case err != nil:
		return "", none, counting(err)
	case now == mark.Value:
		return engine.Unchanged, none, nil
	case now != "0":
		return engine.InUse, none, nil
	case dry:
		return engine.Restored, none, nil
	}
	// The same value restored by two importers at a time is one operation.
	id := sha256.Sum256([]byte("restore\x00" + n.String() + "\x00" + mark.Value))
	operation := base64.RawURLEncoding.EncodeToString(id[:])
	for i, delta := range deltas {
		if _, err := s.coordination.Counters.Add(ctx, n.String(), delta, fmt.Sprintf("%s-%d", operation, i)); err != nil {
			if err = counting(err); i > 0 {
				err = fmt.Errorf("%w: %s", backend.ErrUnknownOutcome, strings.TrimSpace(err.Error()))
			}
			return "", none, err
		}
	}
	return engine.Restored, none, nil
}

// chunks returns what to add to zero so that it comes to value.
func chunks(value string) (deltas []int64, err error) {
	left, ok := new(big.Int).SetString(value, 10)
	if !ok || left.String() != value {
		return nil, backend.Invalid("value", "%.40q is not a whole number in decimal digits", value)
	}
	most := new(big.Int).SetInt64(1<<63 - 1)
	if left.Sign() < 0 {
		most.Neg(most)
	}
	for !left.IsInt64() {
		if len(deltas) == maxChunks {
			return nil, backend.Invalid("value", "%.40q is too large to be restored", value)
		}
		deltas = append(deltas, most.Int64())
		left.Sub(left, most)
	}
	return append(deltas, left.Int64()), nil
}
