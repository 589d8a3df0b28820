package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

// Store runs a bare NATS server of the kind that a registry has inside, with its streams
// in dir, until in ends or ctx is done, and says on out where it is.
func Store(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		return err
	}
	server, err := natsmodule.StartEmbedded(natsmodule.EmbeddedConfig{
		Name: "roost-bench-store", Listen: "127.0.0.1:0", Subjects: subjects, StoreDir: dir, TrustedClients: true,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer server.Stop()
	if _, err := fmt.Fprintln(out, ready, server.ClientURL()); err != nil {
		return err
	}
	untilEnd(ctx, in)
	return nil
}

// store is a process that runs [Store], and a connection to it.
type store struct {
	*process
	nc *nats.Conn
}

// store starts a bare NATS server on dir for the present cell, which stops it with close or
// leaves that to its end.
func (w *World) store(ctx context.Context, dir string) (*store, error) {
	p, url, err := w.c.Program.start(ctx, append(w.c.Program.Store, "--store-dir", dir)...)
	if err != nil {
		return nil, err
	}
	s := &store{process: p}
	w.afterwards(s.close)
	s.nc, err = w.connectTo(url)
	return s, err
}

// close ends the connection and the server.
func (s *store) close() error {
	if s.nc != nil {
		s.nc.Close()
	}
	return s.stop()
}

// emptyDir makes a directory for the present cell.
func (w *World) emptyDir() (string, error) {
	dir, err := os.MkdirTemp("", "roost-bench-")
	w.afterwards(func() error { return os.RemoveAll(dir) })
	return dir, err
}

// halt stops the registry that was started, which keeps its directory, and all that is
// connected to it.
func (w *World) halt() error {
	for _, nc := range w.clients {
		nc.Close()
	}
	problems := []error{w.responder.stop(), w.started.stop()}
	w.clients, w.responder = nil, nil
	w.pids[serverProcess], w.pids[responderProcess] = 0, 0
	return errors.Join(problems...)
}

// resume starts the registry on its directory once more, and connects to it.
func (w *World) resume(ctx context.Context) (err error) {
	if w.started, w.url, err = w.launch(ctx, w.dir); err != nil {
		return err
	}
	w.pids[serverProcess] = w.started.cmd.Process.Pid
	return w.join(ctx)
}
