package view

import (
	"strings"

	"github.com/roostbus/roost/backend"
)

// pack returns a copy of reg that shares no memory with it. What many registrations
// have in common is held once, what before has too is shared with it, and the rest is
// one allocation.
func (c *core) pack(reg *backend.Registration, before *backend.Registration) backend.Registration {
	p := *reg
	p.Owner = c.ownerName(reg.Owner)
	if before != nil {
		p.Key = before.Key
		if reg.Metadata == before.Metadata {
			p.Metadata = before.Metadata
		}
	} else if s := c.services[backend.Scope{Namespace: reg.Namespace, Service: reg.Service}]; s != nil {
		p.Namespace, p.Service = s.Namespace, s.Service
	} else {
		p.Namespace, p.Service = strings.Clone(reg.Namespace), strings.Clone(reg.Service)
	}
	shared := before != nil && reg.Metadata == before.Metadata
	n := 0
	if before == nil {
		n += len(reg.Instance)
	}
	if !shared {
		n += len(reg.Metadata)
	}
	for _, e := range reg.Endpoints {
		n += len(e.URI)
	}
	var b strings.Builder
	b.Grow(n)
	keep := func(s string) string {
		b.WriteString(s)
		all := b.String()
		return all[len(all)-len(s):]
	}
	if before == nil {
		p.Instance = keep(reg.Instance)
	}
	if !shared {
		p.Metadata = backend.Metadata(keep(string(reg.Metadata)))
	}
	p.Endpoints = nil
	if len(reg.Endpoints) > 0 {
		p.Endpoints = make(backend.Endpoints, len(reg.Endpoints))
		for i, e := range reg.Endpoints {
			p.Endpoints[i] = backend.Endpoint{Name: c.intern(e.Name), URI: keep(e.URI)}
		}
	}
	return p
}

// ownerName returns name as its owner holds it, if there is such an owner already.
func (c *core) ownerName(name string) string {
	if o := c.owners[name]; o != nil {
		return o.name
	}
	return strings.Clone(name)
}

// intern returns a copy of s that is shared with others.
func (c *core) intern(s string) string {
	if s == "" {
		return ""
	}
	if held, ok := c.names[s]; ok {
		return held
	}
	s = strings.Clone(s)
	if len(c.names) < maxNames && len(s) <= backend.MaxName {
		c.names[s] = s
	}
	return s
}
