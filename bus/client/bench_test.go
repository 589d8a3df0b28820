package client

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
)

// BenchmarkLookup is what a look-up costs beside the network.
func BenchmarkLookup(b *testing.B) {
	o, err := newOptions(nil)
	if err != nil {
		b.Fatal(err)
	}
	c, err := open(nil, o)
	if err != nil {
		b.Fatal(err)
	}
	link := &instant{answer: reply("7", "1", stored)}
	c.link, c.line = link, link
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Lookup(b.Context(), key, Read{}); err != nil {
			b.Fatal(err)
		}
	}
}

// instant is a link that answers at once and remembers nothing.
type instant struct {
	script

	answer func(context.Context, *nats.Msg) (*nats.Msg, error)
}

func (i *instant) RequestMsgWithContext(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	return i.answer(ctx, m)
}
