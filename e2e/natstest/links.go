package natstest

import "testing"

// Links are those of one end to all others, which can be cut.
type Links struct{ out, in []*Proxy }

// Join notes a link through which one connects to another; to is nil where that is nobody's
// whose links are cut.
func Join(from, to *Links, link *Proxy) {
	from.out = append(from.out, link)
	if to != nil {
		to.in = append(to.in, link)
	}
}

// CutOff cuts all links, in both directions. Nobody is told, and whoever is connected to this
// end otherwise stays so.
func (l *Links) CutOff(tb testing.TB) {
	tb.Helper()
	l.each(func(p *Proxy) { p.Cut(tb) }, func(p *Proxy) { p.Cut(tb) })
}

// Deafen has this end hear nothing of the others, and be heard.
func (l *Links) Deafen(tb testing.TB) {
	tb.Helper()
	l.each(func(p *Proxy) { p.Deafen(tb) }, func(p *Proxy) { p.Mute(tb) })
}

// Mute has the others hear nothing of this end, which hears them.
func (l *Links) Mute(tb testing.TB) {
	tb.Helper()
	l.each(func(p *Proxy) { p.Mute(tb) }, func(p *Proxy) { p.Deafen(tb) })
}

// Rejoin ends what cut links.
func (l *Links) Rejoin(tb testing.TB) {
	tb.Helper()
	l.each(func(p *Proxy) { p.Heal(tb) }, func(p *Proxy) { p.Heal(tb) })
}

func (l *Links) each(out, in func(*Proxy)) {
	for _, link := range l.out {
		out(link)
	}
	for _, link := range l.in {
		in(link)
	}
}
