package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
)

const smallPayload = 8 << 10

func TestEveryPageFitsMaxPayloadAndNothingIsLeftOut(t *testing.T) {
	t.Parallel()
	w := serveWire(t, wireBackend(t, backend.Nobody), smallPayload, nil)
	const n = 300
	long := strings.Repeat("é", 40)
	for i := range n {
		w.must(t, nil, fmt.Sprintf("registry.register.%s.s-%d.%s", backend.Token(long), i, backend.Token(fmt.Sprint(long, i))),
			fmt.Sprintf(`{"metadata":{"x":%q}}`, strings.Repeat("x", i*4)))
	}
	for _, body := range []string{`"limit":10000`, `"status":"up"`} {
		seen := map[backend.Key]bool{}
		after, pages := "", 0
		for {
			var list bus.ListReply
			reply := w.must(t, &list, "registry.list", fmt.Sprintf(`{%s,"after":%q}`, body, after))
			if reply.Size() > smallPayload+len(reply.Subject)+len(reply.Reply) {
				t.Errorf("a page of %d bytes", reply.Size())
			}
			for _, r := range list.Registrations {
				seen[r.Key] = true
			}
			pages++
			if after = list.Next; after == "" {
				break
			}
		}
		if len(seen) != n || pages < 10 {
			t.Errorf("%s: %d registrations on %d pages; want %d on many", body, len(seen), pages, n)
		}
	}
	services, after := 0, ""
	for {
		var page bus.ServicesReply
		w.must(t, &page, "registry.services", fmt.Sprintf(`{"limit":10000,"after":%q}`, after))
		services += len(page.Services)
		if after = page.Next; after == "" {
			break
		}
	}
	if services != n {
		t.Errorf("%d services; want %d", services, n)
	}
}

func TestABatchesReplyFitsMaxPayloadWhateverItsErrorsCarry(t *testing.T) {
	t.Parallel()
	b := wireBackend(t, everyone{})
	w := serveWire(t, b, smallPayload, nil)
	w.must(t, nil, "registry.register.default.a.i", fmt.Sprintf(`{"lease":%q,"metadata":{"x":%q}}`, leaseA, strings.Repeat("x", 6000)))
	for _, n := range []int{1, 2, 60, 100} {
		operation := `{"op":"register","service":"a","instance":"i"},`
		var got bus.BatchReply
		w.must(t, &got, "registry.batch.default", `{"operations":[`+strings.TrimSuffix(strings.Repeat(operation, n), ",")+`]}`)
		if len(got.Results) != n {
			t.Fatalf("%d results; want %d", len(got.Results), n)
		}
		for i, r := range got.Results {
			if r.Error == nil || r.Code != bus.CodeExists {
				t.Errorf("result %d of %d: %+v; want already_exists", i, n, r)
			}
		}
	}
	e := w.fail(t, bus.CodeTooLarge, "registry.batch.default", `{"operations":[`+strings.TrimSuffix(strings.Repeat(`{"op":"unregister"},`, 200), ",")+`]}`)
	if e.Field != "operations" {
		t.Errorf("the error is about %q; want operations", e.Field)
	}
}

func TestAReplyThatCannotFitIsAnErrorAndNotSilence(t *testing.T) {
	t.Parallel()
	b := wireBackend(t, everyone{})
	w := serveWire(t, b, smallPayload, nil)
	key := backend.Key{Namespace: "default", Service: "a", Instance: "i"}
	big := backend.Registration{Key: key, Weight: 1, Metadata: backend.Metadata(`{"x":"` + strings.Repeat("x", 2*smallPayload) + `"}`)}
	if _, _, err := b.Register(t.Context(), big, backend.Write{Owner: bus.Owner(leaseA)}); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"registry.lookup.default.a.i", "registry.list"} {
		if e := w.fail(t, bus.CodeTooLarge, subject, ""); e.Field != "reply" || e.Limit == nil {
			t.Errorf("%s: %+v; want the reply and its limit", subject, e)
		}
	}
	w.fail(t, bus.CodeUnknownOutcome, "registry.update.default.a.i", fmt.Sprintf(`{"weight":2,"lease":%q}`, leaseA))
	if e := w.fail(t, bus.CodeExists, "registry.register.default.a.i", "{}"); e.Holder != nil {
		t.Error("a holder that does not fit was sent")
	}
}

func TestTheLongestErrorFits(t *testing.T) {
	t.Parallel()
	w := serveWire(t, wireBackend(t, backend.Nobody), 1024, func(c *server.Config) { c.Node = "n" })
	w.fail(t, bus.CodeInvalid, "registry.list", `{"`+strings.Repeat("x", 900)+`":1}`)
}
