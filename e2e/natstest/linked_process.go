package natstest

import "testing"

// LinkedProcess is a [Process] whose routes to the others are links that can be cut.
type LinkedProcess struct {
	*Process

	out, in []*Proxy // the links that it connects through, and those that others do
}

// StartLinkedProcesses runs n servers in processes of their own, which replicate through
// links; one is a server of its own. It does not wait for them.
func StartLinkedProcesses(tb testing.TB, n int) []*LinkedProcess {
	tb.Helper()
	ports := freePorts(tb, 2*n)
	all := make([]*LinkedProcess, n)
	for i := range n {
		all[i] = &LinkedProcess{Process: &Process{Name: clusterName(i), settings: settings{
			Name: clusterName(i), StoreDir: tb.TempDir(), Port: ports[n+i], ClusterPort: ports[i], Linked: true,
		}}}
	}
	for i, from := range all {
		for j, to := range all {
			if i == j {
				continue
			}
			link := Through(tb, "nats://"+loopback(ports[j]))
			from.out, to.in = append(from.out, link), append(to.in, link)
			from.settings.Routes = append(from.settings.Routes, link.proxy.Listen)
		}
	}
	for _, one := range all {
		if n == 1 {
			one.settings.ClusterPort = 0
		}
		tb.Cleanup(one.Kill)
		one.Start(tb)
	}
	return all
}

// CutOff cuts all links of the server, in both directions. Nobody is told, and the clients
// of the server stay connected.
func (p *LinkedProcess) CutOff(tb testing.TB) {
	tb.Helper()
	p.each(func(l *Proxy) { l.Cut(tb) }, func(l *Proxy) { l.Cut(tb) })
}

// Deafen has the server hear nothing of the others, and be heard.
func (p *LinkedProcess) Deafen(tb testing.TB) {
	tb.Helper()
	p.each(func(l *Proxy) { l.Deafen(tb) }, func(l *Proxy) { l.Mute(tb) })
}

// Mute has the others hear nothing of the server, which hears them.
func (p *LinkedProcess) Mute(tb testing.TB) {
	tb.Helper()
	p.each(func(l *Proxy) { l.Mute(tb) }, func(l *Proxy) { l.Deafen(tb) })
}

// Rejoin ends what cut links.
func (p *LinkedProcess) Rejoin(tb testing.TB) {
	tb.Helper()
	p.each(func(l *Proxy) { l.Heal(tb) }, func(l *Proxy) { l.Heal(tb) })
}

func (p *LinkedProcess) each(out, in func(*Proxy)) {
	for _, link := range p.out {
		out(link)
	}
	for _, link := range p.in {
		in(link)
	}
}
