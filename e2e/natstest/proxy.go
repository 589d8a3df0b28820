package natstest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Proxy is a link to a server that can be cut without either end being told.
type Proxy struct {
	proxy *toxiproxy.Proxy
	cut   []string // directions
}

// Through returns a link to the server at upstream, a NATS URL.
func Through(tb testing.TB, upstream string) *Proxy {
	tb.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		tb.Fatalf("proxy to %s: %v", upstream, err)
	}
	host := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(host, "nats", "127.0.0.1:0", u.Host)}
	if err := p.proxy.Start(); err != nil {
		tb.Fatalf("proxy to %s: %v", upstream, err)
	}
	tb.Cleanup(p.proxy.Stop)
	return p
}

// URL returns where the link begins.
func (p *Proxy) URL() string { return "nats://" + p.Address() }

// Address returns the host and port of URL.
func (p *Proxy) Address() string { return p.proxy.Listen }

// The directions of a link, as toxics name them.
const (
	upstream   = "upstream"
	downstream = "downstream"
)

// Cut swallows everything, both ways, and leaves the connections open.
func (p *Proxy) Cut(tb testing.TB) {
	tb.Helper()
	p.swallow(tb, upstream)
	p.swallow(tb, downstream)
}

// Deafen swallows what comes from the server, and leaves the connections open: the other
// end speaks and hears nothing.
func (p *Proxy) Deafen(tb testing.TB) {
	tb.Helper()
	p.swallow(tb, downstream)
}

// Mute swallows what goes to the server, and leaves the connections open: the other end
// hears and is not heard.
func (p *Proxy) Mute(tb testing.TB) {
	tb.Helper()
	p.swallow(tb, upstream)
}

// Delay has everything arrive so much later, both ways, until Heal.
func (p *Proxy) Delay(tb testing.TB, by time.Duration) {
	tb.Helper()
	for _, stream := range []string{upstream, downstream} {
		p.spoil(tb, stream, "latency", fmt.Sprintf(`{"latency":%d}`, by.Milliseconds()))
	}
}

func (p *Proxy) swallow(tb testing.TB, stream string) {
	tb.Helper()
	p.spoil(tb, stream, "timeout", `{"timeout":0}`)
}

func (p *Proxy) spoil(tb testing.TB, stream, kind, attributes string) {
	tb.Helper()
	toxic := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"attributes":%s}`, stream, kind, stream, attributes)
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		tb.Fatalf("cut the link: %v", err)
	}
	p.cut = append(p.cut, stream)
}

// Heal ends Cut, Deafen, Mute and Delay. The connections that they swallowed something of are closed, as
// they would be found out to be broken.
func (p *Proxy) Heal(tb testing.TB) {
	tb.Helper()
	for _, stream := range p.cut {
		if err := p.proxy.Toxics.RemoveToxic(tb.Context(), stream); err != nil {
			tb.Fatalf("heal the link: %v", err)
		}
	}
	p.cut = nil
}

// Break closes all connections, at both ends, and takes none until Mend.
func (p *Proxy) Break() { p.proxy.Stop() }

// Mend ends Break.
func (p *Proxy) Mend(tb testing.TB) {
	tb.Helper()
	if err := p.proxy.Start(); err != nil {
		tb.Fatalf("mend the link: %v", err)
	}
}
