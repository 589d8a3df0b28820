package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// Doomed is what a process is that will be killed or stopped.
type Doomed struct {
	URL     string
	Options []nats.Option
	Prefix  string
	// Key is what it registers under a lease; "": it only holds a connection.
	Key        string
	TTL, Grace time.Duration
}

// Victim holds a connection, and what d says, until in ends or ctx is done. On out it says
// when it does: the secret of its lease, or the number that the server gave its connection.
func Victim(ctx context.Context, d Doomed, in io.Reader, out io.Writer) error {
	nc, err := nats.Connect(d.URL, append(d.Options, nats.Name("roost bench victim"), nats.ReconnectBufSize(-1))...)
	if err != nil {
		return err
	}
	defer nc.Close()
	id, err := nc.GetClientID()
	said := fmt.Sprint(id)
	if err == nil && d.Key != "" {
		said, err = d.register(ctx, nc)
	}
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, ready, said); err != nil {
		return err
	}
	untilEnd(ctx, in)
	return nil
}

// register registers d.Key under a lease, which is kept alive from then on.
func (d *Doomed) register(ctx context.Context, nc *nats.Conn) (secret string, err error) {
	key, err := backend.ParseKey(d.Key)
	if err != nil {
		return "", err
	}
	c, err := client.New(nc, client.WithPrefix(d.Prefix))
	if err != nil {
		return "", err
	}
	l, err := c.Grant(ctx, client.LeaseOptions{TTL: d.TTL, Grace: &d.Grace})
	if err != nil {
		return "", err
	}
	_, _, err = c.Register(ctx, client.Registration{Key: key, Endpoints: client.Endpoints{{Name: "http", URI: "http://127.0.0.1"}}},
		client.Write{Owner: l.Owner()})
	return l.Secret(), err
}

// victim starts a victim, which the caller ends with kill.
func (w *World) victim(ctx context.Context, url, key string, ttl, grace time.Duration) (p *process, said string, err error) {
	return w.c.Program.start(ctx, append(w.c.Program.Victim, "--server", url, "--prefix", w.c.Prefix,
		"--key", key, "--ttl", ttl.String(), "--grace", grace.String())...)
}

// kill ends the process without a word, and waits until it has ended.
func (s *process) kill() {
	_ = s.cmd.Process.Kill() // fails only if it has ended
	<-s.exited
	_ = s.stdin.Close()
}
