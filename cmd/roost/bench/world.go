package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// World is a registry, a baseline, and connections to both.
type World struct {
	c        *Config
	subjects bus.Subjects
	// Scratch is the namespace of what is registered, and what the baseline's subjects
	// begin with.
	scratch string
	url     string
	clients []*nats.Conn
	pids    [processes]int // 0 where not known

	dir       string   // of the registry that was started
	more      []string // its arguments, besides
	started   *process
	fleet     *fleet // nil of one node
	responder *process
	checks    []func(context.Context) error // of the present cell
	releases  []func() error                // of the present cell
	cleanups  []func(context.Context) error
	shared    *crowd // nil until a cell needs it
}

// open starts what c asks for and connects to it. serve are more arguments of a registry
// that it starts.
func open(ctx context.Context, c *Config, serve []string) (w *World, err error) {
	w = &World{c: c, scratch: "bench-" + strings.ToLower(rand.Text()[:10])}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(ctx))
		}
	}()
	if w.subjects, err = bus.NewSubjects(c.Prefix); err != nil {
		return w, err
	}
	switch w.url = c.Server; {
	case c.Nodes > 1:
		if w.fleet, err = w.newFleet(ctx, c.Nodes, serve); err != nil {
			return w, err
		}
		w.url = w.fleet.nodes[0].url
		w.pids[serverProcess] = w.fleet.nodes[0].cmd.Process.Pid
	case w.url == "":
		if w.url, err = w.serve(ctx, serve); err != nil {
			return w, err
		}
	}
	w.pids[clientProcess] = os.Getpid()
	return w, w.join(ctx)
}

// join connects to the registry and has the responder do so.
func (w *World) join(ctx context.Context) error {
	for range w.c.Connections {
		nc, err := w.connect()
		if err != nil {
			return err
		}
		w.clients = append(w.clients, nc)
	}
	args := append(w.c.Program.Responder, "--server", w.url, "--subject", w.control())
	var err error
	if w.responder, _, err = w.c.Program.start(ctx, args...); err != nil {
		return err
	}
	w.pids[responderProcess] = w.responder.cmd.Process.Pid
	return nil
}

// connect makes a connection to where the registry is.
func (w *World) connect() (*nats.Conn, error) { return w.connectTo(w.url) }

func (w *World) connectTo(url string) (*nats.Conn, error) {
	nc, err := nats.Connect(url, append(w.c.Options, nats.Name("roost bench"), nats.NoReconnect())...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	return nc, nil
}

// serve starts a registry with more arguments. The registry's own connections are restricted also where its
// clients are trusted.
func (w *World) serve(ctx context.Context, more []string) (url string, err error) {
	if w.dir, err = os.MkdirTemp("", "roost-bench-"); err != nil {
		return "", err
	}
	w.more = more
	if w.started, url, err = w.launch(ctx, w.dir); err != nil {
		return "", err
	}
	w.pids[serverProcess] = w.started.cmd.Process.Pid
	return url, nil
}

// launch starts a registry on dir.
func (w *World) launch(ctx context.Context, dir string) (p *process, url string, err error) {
	return w.c.Program.start(ctx, append([]string{
		"serve", "--listen", "127.0.0.1:0", "--store-dir", dir,
		"--prefix", w.c.Prefix, "--log-level", "error",
	}, w.more...)...)
}

// check has what was measured be looked at as a whole, once it has been.
func (w *World) check(f func(context.Context) error) { w.checks = append(w.checks, f) }

// verify carries out the checks.
func (w *World) verify(ctx context.Context) error {
	for _, f := range w.checks {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

// afterwards has f be called when the present cell is done.
func (w *World) afterwards(f func() error) { w.releases = append(w.releases, f) }

// release lets go of what the present cell has needed.
func (w *World) release() error {
	var problems []error
	for _, f := range slices.Backward(w.releases) {
		problems = append(problems, f())
	}
	w.checks, w.releases = nil, nil
	return errors.Join(problems...)
}

// cleanTimeout bounds the clearing up behind a run on somebody's registry.
const cleanTimeout = 2 * time.Minute

// close ends what was started. In a registry that was there before, it removes what the
// run has left behind.
func (w *World) close(ctx context.Context) error {
	var problems []error
	if w.started == nil && w.fleet == nil && len(w.clients) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		for _, f := range w.cleanups {
			problems = append(problems, f(ctx))
		}
	}
	for _, nc := range w.clients {
		nc.Close()
	}
	for _, p := range []*process{w.responder, w.started} {
		if p != nil {
			problems = append(problems, p.stop())
		}
	}
	if w.fleet != nil {
		problems = append(problems, w.fleet.stop())
	}
	if w.dir != "" {
		problems = append(problems, os.RemoveAll(w.dir))
	}
	return errors.Join(problems...)
}

// client returns the connection of a worker.
func (w *World) client(worker int) *nats.Conn { return w.clients[worker%len(w.clients)] }

// control is the subject that the responder takes orders on.
func (w *World) control() string { return w.scratch + ".control" }

// order has the responder do something.
func (w *World) order(o order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	m, err := w.clients[0].Request(w.control(), body, w.c.Timeout)
	switch {
	case err != nil:
		return fmt.Errorf("the baseline's responder: %w", err)
	case len(m.Data) > 0:
		return fmt.Errorf("the baseline's responder: %s", m.Data)
	}
	return nil
}

// echo has requests on subjects that begin with a new one be answered by size bytes. It
// returns that beginning and the answer.
func (w *World) echo(size int) (subject string, answer []byte, err error) {
	subject = fmt.Sprintf("%s.echo.%s", w.scratch, strings.ToLower(rand.Text()[:6]))
	return subject, filler(size), w.order(order{Echo: subject, Size: size})
}

// ask sends a request over the connection of a worker and returns what came back.
func (w *World) ask(worker int, subject string, body []byte) ([]byte, error) {
	m, err := w.client(worker).Request(subject, body, w.c.Timeout)
	if err != nil {
		return nil, err
	}
	return answerOf(m)
}

// answerOf returns the body of a reply, or the failure that it is.
func answerOf(m *nats.Msg) ([]byte, error) {
	if len(m.Header) == 0 || m.Header.Get(bus.HeaderErrorCode) == "" {
		return m.Data, nil
	}
	var failure bus.Error
	if err := json.Unmarshal(m.Data, &failure); err != nil {
		return nil, fmt.Errorf("failed reply %s: %w", m.Header.Get(bus.HeaderError), err)
	}
	return nil, &failure
}

// sizeOf returns how many bytes a reply has, headers included.
func sizeOf(m *nats.Msg) int {
	size := len(m.Data)
	if len(m.Header) == 0 {
		return size
	}
	size += len("NATS/1.0\r\n\r\n")
	for name, values := range m.Header {
		for _, v := range values {
			size += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return size
}
