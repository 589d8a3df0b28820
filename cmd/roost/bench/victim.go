package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// Doomed is what a process is that will be killed or stopped.
type Doomed struct {
	URL     string
	Options []nats.Option
	Prefix  string
	// Key is what it registers, and Election what it leads, under a lease; with neither it
	// only holds a connection.
	Key, Election string
	TTL, Grace    time.Duration
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
	if err == nil && d.Key+d.Election != "" {
		said, err = d.take(ctx, nc)
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

// take takes what d says under a lease, which is kept alive from then on.
func (d *Doomed) take(ctx context.Context, nc *nats.Conn) (secret string, err error) {
	c, err := client.New(nc, client.WithPrefix(d.Prefix))
	if err != nil {
		return "", err
	}
	l, err := c.Grant(ctx, client.LeaseOptions{TTL: d.TTL, Grace: &d.Grace})
	if err != nil {
		return "", err
	}
	if d.Election != "" {
		err = d.lead(ctx, c, l)
	}
	if err == nil && d.Key != "" {
		err = d.register(ctx, c, l)
	}
	return l.Secret(), err
}

func (d *Doomed) lead(ctx context.Context, c *client.Client, l *client.Lease) error {
	o, err := bus.ParseObject(d.Election)
	if err == nil {
		_, err = c.Election(o.Namespace, o.Name).Campaign(ctx, l, client.CampaignOptions{})
	}
	return err
}

func (d *Doomed) register(ctx context.Context, c *client.Client, l *client.Lease) error {
	key, err := backend.ParseKey(d.Key)
	if err == nil {
		_, _, err = c.Register(ctx, client.Registration{Key: key, Endpoints: client.Endpoints{{Name: "http", URI: "http://127.0.0.1"}}},
			client.Write{Owner: l.Owner()})
	}
	return err
}

// victim starts a victim at url, which the caller ends with kill.
func (w *World) victim(ctx context.Context, url string, d Doomed) (p *process, said string, err error) {
	return w.c.Program.start(ctx, append(w.c.Program.Victim, "--server", url, "--prefix", w.c.Prefix,
		"--key", d.Key, "--election", d.Election, "--ttl", d.TTL.String(), "--grace", d.Grace.String())...)
}

// kill ends the process without a word, and waits until it has ended.
func (s *process) kill() {
	_ = s.cmd.Process.Kill() // fails only if it has ended
	<-s.exited
	_ = s.stdin.Close()
}
