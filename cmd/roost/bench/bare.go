package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/modules/config"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

// closedSubject is where a bare server says which of its clients' connections has ended.
const closedSubject = "closed."

// Bare runs a bare NATS server of the kind that a registry has inside, until in ends or
// ctx is done, and says on out where it is. A connection inside its process answers
// keepalives below prefix with size bytes each and says which connections were closed by their peers.
func Bare(ctx context.Context, prefix string, size int, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := config.DefaultServer()
	c.Listen, c.Backend, c.TrustedClients = "127.0.0.1:0", config.BackendMemory, true
	subjects, err := bus.NewSubjects(prefix)
	if err != nil {
		return err
	}
	link, err := natsmodule.Open(c, subjects, slog.New(slog.DiscardHandler)) //nolint:contextcheck // it logs under a context of its own
	if err != nil {
		return err
	}
	answer := filler(size)
	_, err = link.Answering.Subscribe(subjects.LeaseKeepalive(), func(m *nats.Msg) {
		_ = link.Answering.Publish(m.Reply, answer) // a lost connection ends the run anyway
	})
	if err == nil {
		err = link.Answering.Flush()
	}
	if err == nil {
		_, err = fmt.Fprintln(out, ready, link.ClientURL)
	}
	if err != nil {
		return errors.Join(err, link.Close(ctx))
	}
	told := make(chan error, 1)
	go func() {
		told <- link.Events(ctx, func(e natsmodule.Closed) {
			_ = link.Answering.Publish(closedSubject+strconv.FormatUint(e.Client, 10), nil) // as above
		})
	}()
	untilEnd(ctx, in)
	cancel()
	return errors.Join(<-told, link.Close(context.WithoutCancel(ctx)))
}

// untilEnd returns when in ends, or ctx is done.
func untilEnd(ctx context.Context, in io.Reader) {
	ended := make(chan struct{})
	go func() { // ends with the process at the latest: a read cannot be called off
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// bareServer is a process that runs [Bare].
type bareServer struct {
	*process
	url string
}

// bare starts a bare NATS server for the present cell.
func (w *World) bare(ctx context.Context, size int) (*bareServer, error) {
	p, url, err := w.c.Program.start(ctx, append(w.c.Program.Bare, "--prefix", w.c.Prefix, "--size", strconv.Itoa(size))...)
	if err != nil {
		return nil, err
	}
	w.afterwards(p.stop)
	return &bareServer{process: p, url: url}, nil
}
