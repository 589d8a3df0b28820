package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/natskv"
)

// wire is the way to a server. It can lose the acknowledgement of a message, or the
// message itself, and then stays cut until it is mended.
type wire struct {
	srv *natstest.Server

	mu     sync.Mutex
	match  []byte // cut when this is sent
	pass   bool   // whether what is sent still arrives
	cut    chan struct{}
	mended chan struct{}
}

func newWire(srv *natstest.Server) *wire {
	w := &wire{srv: srv, mended: make(chan struct{})}
	close(w.mended)
	return w
}

// cutAt has the connection cut when a message is sent whose text contains match: after it
// has arrived, if pass, so that only the acknowledgement is lost. The channel is closed
// when that has happened.
func (w *wire) cutAt(match string, pass bool) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.match, w.pass = []byte(match), pass
	w.cut, w.mended = make(chan struct{}), make(chan struct{})
	return w.cut
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.mended)
}

// InProcessConn connects, unless the wire is cut.
func (w *wire) InProcessConn() (net.Conn, error) {
	w.mu.Lock()
	whole := w.match != nil
	mended := w.mended
	w.mu.Unlock()
	select {
	case <-mended:
	default:
		if !whole {
			return nil, io.ErrClosedPipe
		}
	}
	conn, err := w.srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	return &cuttable{Conn: conn, wire: w}, nil
}

// cuttable is one connection over a wire.
type cuttable struct {
	net.Conn
	wire *wire
	mu   sync.Mutex
	dead bool
}

func (c *cuttable) Write(b []byte) (int, error) {
	c.wire.mu.Lock()
	hit := c.wire.match != nil && bytes.Contains(b, c.wire.match)
	pass, cut := c.wire.pass, c.wire.cut
	if hit {
		c.wire.match = nil
	}
	c.wire.mu.Unlock()
	if !hit {
		return c.Conn.Write(b)
	}
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	if pass { // a pipe's Write returns when the server has read it
		if _, err := c.Conn.Write(b); err != nil {
			return 0, err
		}
	}
	close(cut)
	return len(b), c.Conn.Close()
}

func (c *cuttable) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return 0, io.EOF
	}
	return n, err
}

func (w *wire) open(t *testing.T, change ...func(*natskv.Config)) *natskv.Store {
	t.Helper()
	return openStore(t, w.srv.Connect(t, nats.InProcessServer(w)), bucket(change...))
}

func TestALostAcknowledgementEndsInSuccessWithTheFirstRevision(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	w := newWire(srv)
	s := w.open(t)
	other := openStore(t, srv.Connect(t), bucket())
	for _, test := range []struct {
		name string
		do   func() (uint64, error)
	}{
		{"create", func() (uint64, error) {
			return s.Write(t.Context(), kvstore.Write{Key: "a", Value: []byte("the-match 1")})
		}},
		{"batch", func() (uint64, error) {
			revisions, err := s.Batch(t.Context(), []kvstore.Write{{Key: "b"}, {Key: "c"}, {Key: "d", Value: []byte("the-match 2")}})
			if err != nil {
				return 0, err
			}
			return revisions[0], nil
		}},
	} {
		before, err := other.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cut := w.cutAt("the-match", true)
		go func() {
			<-cut
			w.mend()
		}()
		revision, err := test.do()
		if err != nil || revision != before.Last+1 {
			t.Errorf("%s = %d, %v, want %d, which the first try made", test.name, revision, err, before.Last+1)
		}
	}
	after, err := other.Info(t.Context())
	if err != nil || after.Last != 4 || after.Keys != 4 {
		t.Errorf("Info() = %+v, %v, want each write to have happened once", after, err)
	}
}

func TestALostMessageIsSentAgain(t *testing.T) {
	t.Parallel()
	w := newWire(natstest.Start(t))
	s := w.open(t)
	cut := w.cutAt("the-match", false)
	go func() {
		<-cut
		w.mend()
	}()
	if revision, err := s.Write(t.Context(), kvstore.Write{Key: "a", Value: []byte("the-match")}); err != nil || revision != 1 {
		t.Errorf("Write() = %d, %v, want 1", revision, err)
	}
}

func TestALostWriteThatSomebodyForestalledIsErrConflict(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	w := newWire(srv)
	s := w.open(t)
	other := openStore(t, srv.Connect(t), bucket())
	first := mustWrite(t, other, kvstore.Write{Key: "a"})
	cut := w.cutAt("the-match", false)
	done := make(chan error, 1)
	go func() {
		_, err := s.Write(t.Context(), kvstore.Write{Key: "a", Value: []byte("the-match"), Expect: first})
		done <- err
	}()
	<-cut
	rival := mustWrite(t, other, kvstore.Write{Key: "a", Value: []byte("rival"), Expect: first})
	w.mend()
	conflict, ok := errors.AsType[*kvstore.ConflictError](<-done)
	if !ok || conflict.Current.Revision != rival {
		t.Errorf("Write() = %v, want a conflict with the rival's %d: both were made from %d, so ours did not happen", conflict, rival, first)
	}
}

func TestALostAcknowledgementOfAWriteThatWasOverwrittenIsUnknown(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	w := newWire(srv)
	s := w.open(t)
	other := openStore(t, srv.Connect(t), bucket())
	cut := w.cutAt("the-match", true)
	done := make(chan error, 1)
	go func() {
		_, err := s.Write(t.Context(), kvstore.Write{Key: "a", Value: []byte("the-match")})
		done <- err
	}()
	<-cut
	var ours kvstore.Entry
	natstest.Await(t, "the write", func() (there bool) {
		var err error
		ours, err = other.Get(t.Context(), "a")
		return err == nil
	})
	mustWrite(t, other, kvstore.Write{Key: "a", Expect: ours.Revision})
	w.mend()
	if err := <-done; !errors.Is(err, kvstore.ErrUnknownOutcome) || errors.Is(err, kvstore.ErrConflict) {
		t.Errorf("Write() = %v, want ErrUnknownOutcome", err)
	}
}

func TestAWriteThatRunsOutOfTimeIsUnknownIfItWasSentAndElseUnavailable(t *testing.T) {
	t.Parallel()
	w := newWire(natstest.Start(t))
	s := w.open(t)
	w.cutAt("the-match", true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := s.Write(ctx, kvstore.Write{Key: "a", Value: []byte("the-match")})
	if !errors.Is(err, kvstore.ErrUnknownOutcome) || errors.Is(err, kvstore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Write() = %v of one that was sent, want ErrUnknownOutcome and the context's cause", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = s.Write(ctx, kvstore.Write{Key: "b"})
	if !errors.Is(err, kvstore.ErrUnavailable) || errors.Is(err, kvstore.ErrUnknownOutcome) {
		t.Errorf("Write() = %v of one that was not sent, want ErrUnavailable", err)
	}
	w.mend()
	if _, err := s.Get(t.Context(), "b"); !errors.Is(err, kvstore.ErrNotFound) {
		t.Errorf("Get(b) = %v: what was unavailable must not have happened", err)
	}
}
