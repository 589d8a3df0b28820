package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// role is what one takes and leaves again.
type role struct {
	kind        bus.Kind
	take, leave bus.Verb
	// namespace is that of the objects. Records of elections are never removed, so that
	// those of all runs are in one.
	namespace string
	// taken is what the reply to a take that succeeded at once begins with; its token
	// follows.
	taken []byte
	// left reports whether a reply to a leave says that nobody has the role.
	left func(answer []byte) bool
}

// locked is the role of a lock's holder.
func (w *World) locked() *role {
	return &role{
		kind: bus.KindLock, take: bus.VerbAcquire, leave: bus.VerbRelease, namespace: w.scratch,
		taken: []byte(`{"state":"held","token":"`),
		left:  func(answer []byte) bool { return len(answer) > 0 && !bytes.Contains(answer, []byte(`"holders"`)) },
	}
}

// electionNamespace is that of the elections of all runs.
const electionNamespace = "roost-bench"

// led is the role of an election's leader.
func (w *World) led() *role {
	return &role{
		kind: bus.KindElection, take: bus.VerbCampaign, leave: bus.VerbResign, namespace: electionNamespace,
		taken: []byte(`{"state":"leader","token":"`),
		left:  func(answer []byte) bool { return string(answer) == `{}` },
	}
}

// object is the n-th in which the role is taken.
func (r *role) object(n int) bus.Object {
	return bus.Object{Namespace: r.namespace, Name: "o-" + strconv.Itoa(n)}
}

// tokenSize is the length of a token.
const tokenSize = len("00000001-0000000000000001")

// token returns the token in the reply to a take, which must have succeeded.
func (r *role) token(answer []byte) (string, error) {
	rest, ok := bytes.CutPrefix(answer, r.taken)
	if !ok || len(rest) < tokenSize {
		return "", fmt.Errorf("a %s was answered with %.100s: %w", r.take, answer, errWrongAnswer)
	}
	return string(rest[:tokenSize]), nil
}

// turn takes a role and leaves it, over and over.
type turn struct {
	*role
	takes, leaves string // subjects
	body          []byte
	newest        string // token
}

// turn is that of one who does so in the n-th object, under a lease.
func (w *World) turn(r *role, n int, secret string) *turn {
	o := r.object(n)
	return &turn{
		role: r, body: beatOne(secret),
		takes: w.subjects.OfObject(r.kind, r.take, o), leaves: w.subjects.OfObject(r.kind, r.leave, o),
	}
}

var errOldToken = errors.New("a token must be greater than those before it")

// takeAndLeave does both once, over the connection of a worker, and checks the answers.
func (t *turn) takeAndLeave(w *World, worker int) error {
	answer, err := w.ask(worker, t.takes, t.body)
	if err != nil {
		return err
	}
	token, err := t.token(answer)
	if err != nil {
		return err
	}
	if token <= t.newest {
		return fmt.Errorf("%s after %s: %w", token, t.newest, errOldToken)
	}
	t.newest = token
	if answer, err = w.ask(worker, t.leaves, t.body); err != nil {
		return err
	}
	return wrongUnless(t.left(answer))
}

// mold is what the messages and the records of a role are like, once it has been taken
// for some time.
type mold struct {
	taking, leaving int    // bytes of the replies
	taken, left     []byte // records
}

// settled is how often a role is taken before its record has its lasting size.
const settled = 20

// mold takes and leaves a role, and looks at what that brings about.
func (w *World) mold(t *turn, object bus.Object) (m mold, err error) {
	nc := w.clients[0]
	announced, err := nc.SubscribeSync(w.subjects.Announcement(t.kind, object))
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, announced.Unsubscribe()) }()
	ask := func(subject string) (size int, record []byte, err error) {
		reply, err := nc.Request(subject, t.body, w.c.Timeout)
		if err != nil {
			return 0, nil, err
		}
		if _, err := answerOf(reply); err != nil {
			return 0, nil, err
		}
		told, err := announced.NextMsg(w.c.Timeout)
		if err != nil {
			return 0, nil, fmt.Errorf("the announcement on %s: %w", announced.Subject, err)
		}
		return sizeOf(reply), told.Data, nil
	}
	for range settled {
		if m.taking, m.taken, err = ask(t.takes); err != nil {
			return m, err
		}
		if m.leaving, m.left, err = ask(t.leaves); err != nil {
			return m, err
		}
	}
	return m, nil
}

// waitBody asks for a lock under a lease, and to wait for it.
func waitBody(secret string, ms int64) ([]byte, error) {
	return json.Marshal(bus.LockRequest{User: bus.User{Lease: secret}, Waiting: bus.Waiting{WaitMs: &ms}})
}

// raised is a record in the baseline's bucket that one writer updates.
type raised struct {
	raw      *bucket
	key      string
	revision uint64
}

// record creates a record of that kind in the bucket.
func (b *bucket) record(ctx context.Context, kind bus.Kind, o bus.Object, value []byte) (*raised, error) {
	key := "announce." + string(kind) + "." + o.String()
	revision, err := b.kvs[0].Create(ctx, key, value)
	return &raised{raw: b, key: key, revision: revision}, err
}

// update writes the record at the revision that it was last written at.
func (r *raised) update(ctx context.Context, w *World, worker int, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
	defer cancel()
	revision, err := r.raw.kv(worker).Update(ctx, r.key, value, r.revision)
	if err != nil {
		return err
	}
	if revision <= r.revision {
		return fmt.Errorf("revision %d after %d: %w", revision, r.revision, errWrongAnswer)
	}
	r.revision = revision
	return nil
}

// listen subscribes over the first connection for as long as the cell lasts.
func (w *World) listen(subject string, heard nats.MsgHandler) error {
	nc := w.clients[0]
	sub, err := nc.Subscribe(subject, heard)
	if err != nil {
		return err
	}
	w.afterwards(sub.Unsubscribe)
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	return nc.Flush()
}
