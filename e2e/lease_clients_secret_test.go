package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// guesses are secrets that somebody could try who knows everything about a lease but its
// secret.
func guesses(secret, owner string) map[string]string {
	return map[string]string{
		"its owner":             owner,
		"the owner's owner":     bus.Owner(owner),
		"the owner in capitals": strings.ToUpper(owner),
		"another case":          strings.ToUpper(secret),
		"a prefix":              secret[:len(secret)-1],
		"more":                  secret + "A",
		"another end":           secret[:len(secret)-1] + "_",
	}
}

// TestNobodyWithoutTheSecretActsInTheNameOfALease tries everything that is done in a lease's
// name, with every guess and with none. L6.
func TestNobodyWithoutTheSecretActsInTheNameOfALease(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, w *wireWorld) {
		t.Helper()
		secret := "theSecretOfTheVictim-01"
		owner := w.grantOf(t, secret, time.Hour)
		w.grantOf(t, secretOf(2), time.Hour) // the attacker's own
		const name = "default.payments.i-1"
		w.must(t, nil, "registry.register."+name, `{"lease":"`+secret+`"}`, "Roost-Request-Id", "first")
		before := string(w.ask(t, "registry.lookup."+name, `{"consistency":"linearizable"}`).Data)

		for what, guess := range guesses(secret, owner) {
			lease := `{"lease":"` + guess + `"`
			for subject, body := range map[string]string{
				"lease.keepalive":             lease + "}",
				"lease.revoke":                lease + "}",
				"registry.unregister." + name: lease + "}",
				"registry.register." + name:   lease + "}",
				"registry.update." + name:     lease + `,"weight":1}`,
			} {
				// That the victim has used this request id does not help.
				reply := w.ask(t, subject, body, "Roost-Request-Id", "first")
				if code := reply.Header.Get("Nats-Service-Error-Code"); code != "410" {
					t.Errorf("%s with %s: %q %s; want lease_expired", subject, what, code, reply.Data)
				}
			}
		}
		for _, lease := range []string{`"lease":"` + secretOf(2) + `"`, ""} {
			w.fail(t, bus.CodeNotOwner, "registry.unregister."+name, "{"+lease+"}")
			w.fail(t, bus.CodeNotOwner, "registry.update."+name, strings.Replace(`{"status":"down",`+lease+"}", ",}", "}", 1))
			w.fail(t, bus.CodeExists, "registry.register."+name, "{"+lease+"}")
		}
		// A lease of that name is not the attacker's because he grants it: he does not know it.
		if other := w.grantOf(t, owner, time.Hour); other == owner {
			t.Errorf("the owner %s is a secret of itself", owner)
		}
		var reply struct {
			Results []struct{ Code string } `json:"results"`
		}
		w.must(t, &reply, "registry.batch.default", `{"operations":[`+
			`{"op":"unregister","service":"payments","instance":"i-1","lease":"`+secretOf(2)+`"},`+
			`{"op":"unregister","service":"payments","instance":"i-1"}]}`)
		for _, one := range reply.Results {
			if one.Code != "not_owner" {
				t.Errorf("a batch: %+v; want not_owner", reply.Results)
			}
		}
		if after := string(w.ask(t, "registry.lookup."+name, `{"consistency":"linearizable"}`).Data); after != before {
			t.Errorf("the registration is %s; want %s", after, before)
		}
		var is bus.Lease
		w.must(t, &is, "lease.get."+owner, "{}")
		if is.Registrations != 1 || is.State != "live" {
			t.Errorf("the lease is %+v; want it live, with one registration", is)
		}
	})
}

// TestASecretIsToBeReadNowhere looks for one in everything that others may read. L6.
func TestASecretIsToBeReadNowhere(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, w *wireWorld) {
		t.Helper()
		spy := connect(t, w.nc.ConnectedUrl())
		var mu sync.Mutex
		var heard []string
		hear := func(m *nats.Msg) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, fmt.Sprintf("%s %s %s %v", m.Subject, m.Reply, m.Data, m.Header))
		}
		for _, subject := range []string{"roost.v1.event.>", "roost.v1.announce.>", "roost.v1.beacon", "_INBOX.>"} {
			if _, err := spy.Subscribe(subject, hear); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, spy)
		secret := "theSecretOfTheVictim-01"
		owner := w.grantOf(t, secret, time.Hour)
		const name = "default.payments.i-1"
		lease := `{"lease":"` + secret + `"`
		read := func() {
			for subject, body := range map[string]string{
				"registry.lookup." + name: "{}", "registry.list": "{}", "registry.health": "{}", "lease.list": "{}",
				"registry.list.default": `{"since":1}`, "registry.services": "{}",
			} {
				hear(w.ask(t, subject, body))
			}
		}
		hear(w.must(t, nil, "registry.register."+name, lease+"}"))
		hear(w.must(t, nil, "registry.update."+name, lease+`,"weight":7}`))
		hear(w.must(t, nil, "lease.keepalive", lease+"}"))
		hear(w.must(t, nil, "lease.keepalive", `{"leases":["`+secret+`","`+secret+`x"]}`))
		hear(w.must(t, nil, "lease.get."+owner, "{}"))
		hear(w.ask(t, "registry.update."+name, lease+`,"weight":-7}`))
		hear(w.ask(t, "registry.update."+name, lease+`,"weight":7,"nonsense":1}`))
		hear(w.ask(t, "lease.keepalive", lease+`,"nonsense":1}`))
		read()
		hear(w.must(t, nil, "lease.revoke", lease+"}"))
		hear(w.ask(t, "lease.revoke", lease+"}"))
		hear(w.ask(t, "registry.update."+name, lease+`,"weight":7}`))
		read()
		flush(t, spy)
		mu.Lock()
		defer mu.Unlock()
		if len(heard) < 30 {
			t.Errorf("the spy heard %d messages; want more", len(heard))
		}
		for _, one := range heard {
			if strings.Contains(one, secret) {
				t.Errorf("the secret is in %s", one)
			}
		}
	})
}

// TestTheStoreKnowsNoSecret reads everything that a node has stored. L6.
func TestTheStoreKnowsNoSecret(t *testing.T) {
	t.Parallel()
	g := running(t)
	w := &wireWorld{nc: connect(t, g.url)}
	secret := "theSecretOfTheVictim-01"
	owner := w.grantOf(t, secret, time.Hour)
	w.must(t, nil, "registry.register.default.payments.i-1", `{"lease":"`+secret+`"}`)
	found := false
	for sequence := uint64(1); ; sequence++ {
		info, err := g.stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sequence > info.State.LastSeq {
			break
		}
		m, err := g.stream.GetMsg(t.Context(), sequence)
		if err != nil {
			continue // it was replaced
		}
		headers, err := json.Marshal(m.Header)
		if err != nil {
			t.Fatal(err)
		}
		all := bytes.Join([][]byte{[]byte(m.Subject), m.Data, headers}, []byte(" "))
		if bytes.Contains(all, []byte(secret)) {
			t.Errorf("the secret is in %s", all)
		}
		found = found || strings.Contains(m.Subject, owner)
	}
	if !found {
		t.Error("the lease was not stored, so this shows nothing")
	}
}
