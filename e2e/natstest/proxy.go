package natstest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Proxy is a link to a server that can be cut without either end being told.
type Proxy struct {
	proxy *toxiproxy.Proxy
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
func (p *Proxy) URL() string { return "nats://" + p.proxy.Listen }

// directions are those of a link, as toxics name them.
var directions = []string{"upstream", "downstream"}

// Cut swallows everything, both ways, and leaves the connections open.
func (p *Proxy) Cut(tb testing.TB) {
	tb.Helper()
	for _, stream := range directions {
		toxic := `{"name":"` + stream + `","type":"timeout","stream":"` + stream + `","attributes":{"timeout":0}}`
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			tb.Fatalf("cut the link: %v", err)
		}
	}
}

// Heal ends Cut. The connections that it swallowed something of are closed, as they would
// be found out to be broken.
func (p *Proxy) Heal(tb testing.TB) {
	tb.Helper()
	for _, stream := range directions {
		if err := p.proxy.Toxics.RemoveToxic(tb.Context(), stream); err != nil {
			tb.Fatalf("heal the link: %v", err)
		}
	}
}
