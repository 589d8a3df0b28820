package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/modules/config"
)

// soundRequests are requests in which nothing is strange, one for each endpoint of a whole
// node: their fields, by subject. A switch is not meant, and nobody waits.
func soundRequests(t *testing.T) map[string]map[string]string {
	t.Helper()
	const fresh = `"min_revision":1,"consistency":"local","max_age_ms":60000`
	const page = `"limit":3,"after":""`
	text := map[string]string{
		"registry.register.default.a.i":   `"endpoints":{"http":"x"},"metadata":{"a":1},"weight":1,"status":"up","if_revision":0,"lease":"` + leaseA + `","namespace":"default","service":"a","instance":"i"`,
		"registry.lookup.default.a.i":     fresh + `,"wait_ms":0`,
		"registry.update.default.a.i":     `"endpoints":{"http":"x"},"merge_metadata":{"a":1},"weight":1,"status":"up","if_revision":0,"lease":"` + leaseA + `"`,
		"registry.unregister.default.a.i": `"lease":"` + leaseA + `","if_revision":1,"reason":"x"`,
		"registry.list":                   `"where":{"a":1},"filter":"weight > 5","status":["up"],"since":1,"wait_ms":0,` + page + "," + fresh,
		"registry.count.default":          `"where":{"a":1},"filter":"weight > 5","status":"up",` + fresh,
		"registry.services":               page + "," + fresh,
		"registry.batch.default":          `"operations":[{"op":"unregister","service":"b","instance":"i"}],"atomic":true`,
		"registry.health":                 ``,
		"admin.health":                    ``,
		"admin.unregister.default.a.i":    `"reason":"x"`,
		"admin.cluster.remove":            `"node":"none"`,

		"lease.grant":                       `"lease":"` + leaseA + `","ttl_ms":3600000,"grace_ms":0,"name":"x","connection":{"server_id":"N","client_id":1}`,
		"lease.keepalive":                   `"leases":["` + leaseA + `"],"connection":{"server_id":"N","client_id":1}`,
		"lease.revoke":                      `"lease":"` + leaseB + `"`,
		"lease.get." + bus.Owner(leaseA):    fresh,
		"lease.list":                        page + "," + fresh,
		"admin.revoke." + bus.Owner(leaseB): `"reason":"x"`,
		"election.campaign.default.x":       `"lease":"` + leaseA + `","value":1,"priority":1,"wait_ms":0`,
		"election.resign.default.x":         `"lease":"` + leaseA + `"`,
		"election.transfer.default.x":       `"lease":"` + leaseA + `","to":"` + bus.Owner(leaseB) + `"`,
		"lock.acquire.default.x":            `"lease":"` + leaseA + `","holder":"h","mode":"shared","wait_ms":0`,
		"lock.release.default.x":            `"lease":"` + leaseA + `","holder":"h"`,
		"semaphore.acquire.default.x":       `"lease":"` + leaseA + `","holder":"h","permits":1,"limit":2,"wait_ms":0`,
		"semaphore.release.default.x":       `"lease":"` + leaseA + `","holder":"h"`,
		"barrier.arrive.default.x":          `"lease":"` + leaseA + `","holder":"h","size":1,"generation":1,"wait_ms":0`,
		"counter.add.default.x":             `"delta":"1"`,
		"counter.get.default.x":             fresh,
		"proposal.propose.default.x":        `"lease":"` + leaseA + `","value":1,"voters":["` + bus.Owner(leaseA) + `"],"quorum":"all","timeout_ms":1000`,
		"proposal.vote.default.x":           `"lease":"` + leaseA + `","id":"x","accept":true,"reason":"x"`,
		"proposal.get.default.x":            `"id":"x",` + fresh,
		"admin.marks":                       `"kind":"lock",` + page + "," + fresh,
		"admin.restore":                     `"kind":"lock","marks":[{"namespace":"default","name":"y","record":{"token":"00000001-0000000000000001"}}],"dry_run":true`,
		"admin.epoch":                       `"above":1`,
		"admin.switch.start":                `"backend":"hybrid","bucket":"other","dry_run":true`,
		"admin.switch.status":               ``,
		"admin.switch.abort":                `"reason":"x"`,
		"admin.history":                     `"namespace":"default","service":"a","object":"lock","since":"2026-11-21T10:00:00.000Z","after":1,"limit":3`,
	}
	for _, kind := range bus.Kinds() {
		text[string(kind)+".list"], text[string(kind)+".list.default"] = page+","+fresh, page+","+fresh
		if kind != bus.KindCounter {
			text["admin.release."+string(kind)+".default.y"] = `"reason":"x"`
		}
		if kind != bus.KindCounter && kind != bus.KindProposal {
			text[string(kind)+".get.default.x"] = fresh
		}
	}
	all := map[string]map[string]string{}
	for subject, fields := range text {
		var decoded map[string]json.RawMessage
		if err := json.Unmarshal([]byte("{"+fields+"}"), &decoded); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		all[subject] = map[string]string{}
		for name, value := range decoded {
			all[subject][name] = string(value)
		}
	}
	return all
}

// strangeValues stand in the place of a field, strangeBodies in that of a whole request, and
// strangeHeaders in that of what a header says.
func strangeValues() []string {
	return []string{
		`null`, `""`, `" "`, `0`, `-1`, `1.5`, `1e400`, `9007199254740993`, `18446744073709551615`, `18446744073709551616`,
		`true`, `[]`, `{}`, `[null]`, `[[]]`, `[{}]`, `["x"]`, `{"a":1}`, `{"a":{"a":null}}`, `{"a":1,"a":2}`, `"\u0000"`, `"\ud800"`,
		`"a\nb"`, `"."`, `"*"`, `">"`, `"_x"`, `"` + strings.Repeat("é", 200) + `"`, `"` + strings.Repeat(`\u0001`, 5000) + `"`,
		strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000), strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000),
	}
}

func strangeBodies() []string {
	return []string{
		"null", "[]", `"x"`, "7", "{", "{}{}", "\xff", "\x00", `{"a":1,"a":1}`, `{"surprise":1}`, `{"\u0000":1}`,
		strings.Repeat("[", 100_000), `{"` + strings.Repeat("x", 5000) + `":1}`,
	}
}

func strangeHeaders() (all []nats.Header) {
	for _, name := range []string{bus.HeaderTimeout, bus.HeaderEpoch, bus.HeaderRequestID, bus.HeaderRepeat, bus.HeaderKnown} {
		for _, value := range []string{"-1", "1e3", "x", "\x01", strings.Repeat("9", 4000), "18446744073709551616", "+1", "0"} {
			all = append(all, nats.Header{name: {value}})
		}
	}
	return append(all, nats.Header{bus.HeaderRepeat: {"1"}, bus.HeaderKnown: {"1"}})
}

// strange is a request that something is strange about.
type strange struct {
	subject, body string
	header        nats.Header
	field         string // that is strange; "" if it is none
}

// strangeRequests are all that can be made of what is sound; in a short run a fifth of them.
func strangeRequests(t *testing.T) (all []strange) {
	t.Helper()
	sound := soundRequests(t)
	add := func(s strange) {
		if !testing.Short() || len(s.subject+s.field+s.body)%5 == 0 {
			all = append(all, s)
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(sound)) {
		fields := sound[subject]
		all = append(all, strange{subject: subject, body: bodyOf(fields)})
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			for _, value := range strangeValues() {
				with := maps.Clone(fields)
				with[name] = value
				add(strange{subject: subject, body: bodyOf(with), field: name})
			}
		}
		for _, body := range strangeBodies() {
			add(strange{subject: subject, body: body})
		}
		for i, header := range strangeHeaders() {
			add(strange{subject: subject, body: bodyOf(fields) + strings.Repeat(" ", i%5), header: header})
		}
	}
	return all
}

func bodyOf(fields map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		all = append(all, fmt.Sprintf("%q:%s", name, fields[name]))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// sendTo sends s as whoever would wait for 200 ms, and says what is wrong with the reply.
func (s *strange) sendTo(nc *nats.Conn) error {
	m := &nats.Msg{Subject: keeperPrefix + "." + s.subject, Data: []byte(s.body), Header: nats.Header{bus.HeaderTimeout: {"200"}}}
	maps.Copy(m.Header, s.header)
	reply, err := nc.RequestMsg(m, 30*time.Second)
	if err != nil {
		return err
	}
	number := reply.Header.Get(bus.HeaderErrorCode)
	if number == "" {
		return nil
	}
	e := bus.ParseError(number, reply.Header.Get(bus.HeaderError), reply.Data)
	switch {
	case e.Code == bus.CodeInternal || !slices.Contains(bus.Codes(), e.Code) || e.Message == "":
		return fmt.Errorf("the error is %s: %s", e.Code, e.Message)
	case len(reply.Data) > 4096 && e.Holder == nil:
		return fmt.Errorf("the error has %d bytes: %.100s", len(reply.Data), reply.Data)
	case e.Code != bus.CodeInvalid || e.Field == "body" || e.Index != nil:
		return nil
	case e.Field == "" || !strings.Contains(e.Field+" "+e.Message, s.field):
		return fmt.Errorf("the error is about %q: %s", e.Field, e.Message)
	}
	return nil
}

// Whatever is sent to whatever endpoint of a node as the binary runs it is answered soon, with
// an error that says what is wrong.
func TestARequestHoweverStrangeGetsAnAnswerThatSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	n := nodeAt(t, "n", func(*config.Server) {})
	nc := connect(t, n.url)
	natstest.Await(t, "a lease", func() bool {
		reply, err := nc.Request(keeperPrefix+".lease.grant", []byte(`{"lease":"`+leaseA+`","ttl_ms":3600000}`), 5*time.Second)
		return err == nil && reply.Header.Get(bus.HeaderErrorCode) == ""
	})
	work := make(chan *strange)
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for s := range work {
				if err := s.sendTo(nc); err != nil {
					t.Errorf("%s %v %.200s: %v", s.subject, s.header, s.body, err)
				}
			}
		})
	}
	all := strangeRequests(t)
	for i := range all {
		work <- &all[i]
	}
	close(work)
	senders.Wait()
	reply, err := nc.Request("$SRV.INFO.roost", nil, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Endpoints []struct{ Subject string } }
	if err := json.Unmarshal(reply.Data, &info); err != nil || len(info.Endpoints) == 0 {
		t.Fatalf("%s: %v", reply.Data, err)
	}
	for _, e := range info.Endpoints {
		sent := func(s strange) bool { return kvstore.Matches(e.Subject, keeperPrefix+"."+s.subject) }
		if !slices.ContainsFunc(all, sent) && !strings.Contains(e.Subject, ".registry.") { // lists of a scope are as others
			t.Errorf("%s was sent nothing", e.Subject)
		}
	}
}
