package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// order is what the responder is told to do.
type order struct {
	// Echo is the beginning of subjects on which to answer with Size bytes.
	Echo string `json:"echo,omitempty"`
	Size int    `json:"size,omitempty"`
	// Follow is a stream to read with an ordered consumer.
	Follow string `json:"follow,omitempty"`
}

// Respond is the other end of the baselines. It takes orders on subject until in ends, or
// ctx is done, and says on out when it is ready.
func Respond(ctx context.Context, url, subject string, opts []nats.Option, in io.Reader, out io.Writer) error {
	nc, err := nats.Connect(url, append(opts, nats.Name("roost bench responder"), nats.NoReconnect())...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", url, err)
	}
	defer nc.Close()
	_, err = nc.Subscribe(subject, func(m *nats.Msg) {
		var said []byte
		if err := obey(ctx, nc, m.Data); err != nil {
			said = []byte(err.Error())
		}
		_ = m.Respond(said) // whoever asked waits for so long and no longer
	})
	if err != nil {
		return err
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, ready); err != nil {
		return err
	}
	untilEnd(ctx, in)
	return nil
}

func obey(ctx context.Context, nc *nats.Conn, text []byte) error {
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	if o.Follow != "" {
		return follow(ctx, nc, o.Follow)
	}
	answer := filler(o.Size)
	_, err := nc.QueueSubscribe(o.Echo+".>", "bench", func(m *nats.Msg) {
		_ = nc.Publish(m.Reply, answer) // a lost connection ends the run anyway
	})
	if err != nil {
		return err
	}
	return nc.Flush()
}

// follow reads a stream and its changes, as a cache would.
func follow(ctx context.Context, nc *nats.Conn, stream string) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	_, err = consumer.Consume(func(jetstream.Msg) {})
	return err
}

// filler is the answer of an echo.
func filler(size int) []byte { return bytes.Repeat([]byte{'x'}, size) }
