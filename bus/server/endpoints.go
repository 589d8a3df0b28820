package server

import (
	"context"

	"github.com/roostbus/roost/bus"
)

// endpoint is one subject that the service answers.
type endpoint struct {
	name    string // within the NATS service
	subject string
	reads   bool // it changes nothing
	health  bool // it is answered also beyond the limit
	ends    bool // likewise: it gives something up
	all     bool // every node answers it, and not one of them

	keepsAlive bool // it is a keepalive of leases

	about, request, reply string // for people

	handle func(context.Context, *request) (answer, error)
	// prompt, unless nil, is handle for a request that is known not to wait, and
	// errMayWait for any other.
	prompt func(context.Context, *request) (answer, error)
	stats  stats
}

func (e *endpoint) metadata() map[string]string {
	return map[string]string{"description": e.about, "request": e.request, "reply": e.reply}
}

// What requests and replies have in common, for people.
const (
	freshness    = `"min_revision": 42, "consistency": "local"|"linearizable", "max_age_ms": 1000`
	conditions   = `"where": {"region": "eu-west"}, "filter": "weight > 50", "status": "up"|["up","draining"]`
	paging       = `"limit": 100, "after": "…"`
	content      = `"endpoints": {"http": "http://…"}, "metadata": {…}, "weight": 100, "status": "up"|"draining"|"down"`
	guard        = `"lease": "…", "if_revision": 42`
	registration = `the registration`
)

// newEndpoints returns everything that the registry answers.
func (s *Server) newEndpoints() []*endpoint {
	base := s.subjects.Prefix() + ".registry."
	key := ".*.*.*"
	list := endpoint{
		reads: true, about: "list registrations, ordered by key", handle: s.list,
		request: "{" + conditions + ", " + paging + `, "since": 42, "wait_ms": 30000, ` + freshness + "}",
		reply:   `{"registrations": […], "removed": [{"namespace", "service", "instance", "revision", "reason"}], "next": "…"}`,
	}
	count := endpoint{
		reads: true, about: "count registrations", handle: s.count,
		request: "{" + conditions + ", " + freshness + "}", reply: `{"count": 7}`,
	}
	services := endpoint{
		reads: true, about: "list services", handle: s.services,
		request: "{" + paging + ", " + freshness + "}",
		reply:   `{"services": [{"namespace", "service", "instances", "up", "revision"}], "next": "…"}`,
	}
	return []*endpoint{
		{
			name: "register", subject: base + string(bus.VerbRegister) + key, handle: s.register,
			about: "register an instance, <namespace>.<service>.<instance>", request: "{" + content + ", " + guard + "}", reply: registration,
		},
		{
			name: "lookup", subject: base + string(bus.VerbLookup) + key, handle: s.lookup, prompt: s.lookupPromptly, reads: true,
			about: "look up one registration", request: "{" + freshness + `, "wait_ms": 30000}`, reply: registration,
		},
		{
			name: "update", subject: base + string(bus.VerbUpdate) + key, handle: s.update,
			about: "replace or merge fields of a registration", request: "{" + content + `, "merge_metadata": {…}, ` + guard + "}", reply: registration,
		},
		{
			name: "unregister", subject: base + string(bus.VerbUnregister) + key, handle: s.unregister,
			about: "remove a registration", request: "{" + guard + `, "reason": "…"}`, reply: `{"removed": true, "revision": 43}`,
		},
		list.at("list", base+string(bus.VerbList)),
		list.at("list-namespace", base+string(bus.VerbList)+".*"),
		list.at("list-service", base+string(bus.VerbList)+".*.*"),
		count.at("count", base+string(bus.VerbCount)),
		count.at("count-namespace", base+string(bus.VerbCount)+".*"),
		count.at("count-service", base+string(bus.VerbCount)+".*.*"),
		services.at("services", base+string(bus.VerbServices)),
		services.at("services-namespace", base+string(bus.VerbServices)+".*"),
		{
			name: "batch", subject: base + string(bus.VerbBatch) + ".*", handle: s.batch,
			about:   "many writes in one namespace",
			request: `{"operations": [{"op": "register"|"update"|"unregister", "service", "instance", …}], "atomic": false}`,
			reply:   `{"results": [{"revision": 44} or {"code", "message"}]}`,
		},
		{
			name: "health", subject: s.subjects.Health(), handle: s.health, reads: true, health: true,
			about: "how this node is", request: "{}", reply: `{"status": "healthy", "backend", "registrations", …}`,
		},
		{
			name: "admin-health", subject: s.subjects.HealthOfAll(), handle: s.health, reads: true, health: true, all: true,
			about: "how every node is; each answers", request: "{}", reply: `as health`,
		},
		{
			name: "admin-cluster-remove", subject: s.subjects.RemoveNode(), handle: s.removeNode,
			about: "forget a node of the cluster that is gone for good", request: `{"node": "…"}`, reply: `{"removed": true}`,
		},
		{
			name: "admin-unregister", subject: s.subjects.Prefix() + ".admin.unregister" + key, handle: s.adminUnregister,
			about: "remove a registration whoever owns it", request: `{"reason": "…"}`, reply: `{"removed": true, "revision": 43}`,
		},
	}
}

// at returns an endpoint like e under another name and subject.
func (e *endpoint) at(name, subject string) *endpoint {
	return &endpoint{
		name: name, subject: subject, reads: e.reads,
		about: e.about, request: e.request, reply: e.reply, handle: e.handle,
	}
}
