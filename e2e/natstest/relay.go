package natstest

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Relay is a link to a server whose connections can be held up one by one: what is sent
// arrives later, and nothing is lost, as when a network retransmits. See [Proxy] for links
// that break.
type Relay struct {
	listener net.Listener
	upstream string

	mu    sync.Mutex
	lines []*Line // in the order in which they were made
	over  bool
}

// Line is one connection through a Relay.
type Line struct {
	Up, Down Lane // to the server, and from it

	ends [2]net.Conn
}

// Lane is one direction of a Line.
type Lane struct {
	mu      sync.Mutex
	at      []byte        // hold from here on
	tail    []byte        // of what passed, while at is waited for
	held    chan struct{} // closed when something is held up
	release chan struct{} // nil while everything passes
}

// RelayTo returns a link to the server at upstream, a NATS URL.
func RelayTo(tb testing.TB, upstream string) *Relay {
	tb.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		tb.Fatalf("relay to %s: %v", upstream, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		tb.Fatalf("relay to %s: %v", upstream, err)
	}
	r := &Relay{listener: l, upstream: u.Host}
	var tasks sync.WaitGroup
	tasks.Go(func() { r.accept(&tasks) })
	tb.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		r.over = true
		lines := r.lines
		r.mu.Unlock()
		for _, line := range lines {
			line.close()
		}
		tasks.Wait()
	})
	return r
}

// URL returns where the link begins.
func (r *Relay) URL() string { return "nats://" + r.listener.Addr().String() }

// Line returns the connection that was made as the i-th.
func (r *Relay) Line(i int) *Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines[i]
}

func (r *Relay) accept(tasks *sync.WaitGroup) {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.upstream) //nolint:noctx // on loopback
		if err != nil {
			_ = near.Close()
			continue
		}
		line := &Line{ends: [2]net.Conn{near, far}}
		r.mu.Lock()
		over := r.over
		r.lines = append(r.lines, line)
		r.mu.Unlock()
		if over {
			line.close()
			return
		}
		tasks.Go(func() { line.pump(far, near, &line.Up) })
		tasks.Go(func() { line.pump(near, far, &line.Down) })
	}
}

func (l *Line) close() {
	for _, end := range l.ends {
		_ = end.Close()
	}
	l.Up.Release()
	l.Down.Release()
}

// pump carries what comes from src until either end is closed.
func (l *Line) pump(dst, src net.Conn, lane *Lane) {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := src.Read(buffer)
		if n > 0 {
			lane.pass(buffer[:n])
			if _, err := dst.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass returns when p may go on.
func (l *Lane) pass(p []byte) {
	l.mu.Lock()
	release, held := l.release, l.held
	if release != nil && len(l.at) > 0 {
		all := append(l.tail, p...) //nolint:gocritic // the tail is replaced
		if !bytes.Contains(all, l.at) {
			l.tail = bytes.Clone(all[max(0, len(all)-len(l.at)):])
			l.mu.Unlock()
			return
		}
		l.at = nil
	}
	l.mu.Unlock()
	if release == nil {
		return
	}
	select {
	case <-held:
	default:
		close(held)
	}
	<-release
}

var errHeld = errors.New("the lane is held up already")

// Hold holds up what comes from now on, until Release.
func (l *Lane) Hold(tb testing.TB) {
	tb.Helper()
	l.HoldAt(tb, "")
}

// HoldAt holds up the sending in which text comes to its end, and what is sent after it,
// until Release. The channel that it returns is closed when something is held up.
func (l *Lane) HoldAt(tb testing.TB, text string) <-chan struct{} {
	tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.release != nil {
		tb.Fatal(errHeld)
	}
	l.at, l.tail = []byte(text), nil
	l.held, l.release = make(chan struct{}), make(chan struct{})
	return l.held
}

// Release ends Hold: what was held up arrives. It is idempotent.
func (l *Lane) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.release != nil {
		close(l.release)
		l.release = nil
	}
}
