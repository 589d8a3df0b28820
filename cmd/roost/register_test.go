package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

const held = "registered until this process ends"

func TestARegistrationIsHeldUntilItsProcessIsToldToEnd(t *testing.T) {
	t.Parallel()
	node := serve(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		w := watch(t, node.url, "payments", "--json")
		p := launch(t, node.url, "register", "payments/i-1", "--endpoint", "http=http://127.0.0.1:8080", "--ttl", "1m")
		p.says(t, held)
		f, there := find(t, node.url, "payments/i-1")
		if !there || f.Owner == "" || f.Status != "up" {
			t.Errorf("registered as %+v; want it up, with an owner", f)
		}
		if leases := must(t, node.url, "lease", "list"); !strings.Contains(leases, f.Owner+"  payments/i-1  live") {
			t.Errorf("the leases are\n%swant that of payments/i-1", leases)
		}
		p.signal(t, signal)
		p.ends(t, exitDone)
		gone(t, node.url, "payments/i-1")
		w.shows(t, "up", "expired")
		if leases := must(t, node.url, "lease", "list"); leases != "no leases\n" {
			t.Errorf("the leases are\n%s", leases)
		}
	}
}

func TestARegisterThatIsKilledIsGoneWithinItsGrace(t *testing.T) {
	t.Parallel()
	node := serve(t)
	p := launch(t, node.url, "register", "payments/i-1", "--ttl", "1h", "--grace", "1s")
	p.says(t, held)
	p.signal(t, syscall.SIGKILL)
	killed := time.Now()
	poll(t, "end of the registration", func() bool {
		_, there := find(t, node.url, "payments/i-1")
		return !there
	})
	if took := time.Since(killed); took < time.Second || took > 5*time.Second {
		t.Errorf("gone %v after it was killed; want 1s", took)
	}
}

func TestARegisterWaitsForANameThatAnotherHolds(t *testing.T) {
	t.Parallel()
	node := serve(t)
	first := launch(t, node.url, "register", "boss", "--unique")
	first.says(t, held)
	before, _ := boss(t, node.url)
	next := launch(t, node.url, "register", "boss", "--unique", "--wait", "1m")
	next.says(t, "waiting up to 1m0s for it to go")
	code, _, said := roost(t, node.url, "register", "boss", "--unique")
	if code != exitConflict || !strings.Contains(said, before.Owner) || strings.Count(said, "\n") != 1 {
		t.Errorf("a register of a name that is taken = %d, %q; want %d and its owner", code, said, exitConflict)
	}
	first.signal(t, syscall.SIGTERM)
	first.ends(t, exitDone)
	next.says(t, held)
	if after, there := boss(t, node.url); !there || after.Owner == before.Owner {
		t.Errorf("the name belongs to %+v; want the one who waited", after)
	}
	third := launch(t, node.url, "register", "boss", "--unique", "--wait", "1s")
	third.ends(t, exitConflict)
	interrupted := launch(t, node.url, "register", "boss", "--unique", "--wait", "1m")
	interrupted.says(t, "waiting")
	interrupted.signal(t, syscall.SIGTERM)
	interrupted.ends(t, exitConflict)
}

// boss is find for one that is unique.
func boss(t *testing.T, url string) (f found, there bool) {
	t.Helper()
	code, out, _ := roost(t, url, "lookup", "boss", "--unique", "--json")
	if code != exitDone {
		return f, false
	}
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		t.Fatal(err)
	}
	return f, true
}

func TestARegisterPrintsTheRegistrysReplyOrNothing(t *testing.T) {
	t.Parallel()
	node := serve(t)
	p := launch(t, node.url, "register", "payments/i-1", "--json", "--meta", "n=1.50")
	var made struct {
		Owner    string
		Metadata json.RawMessage
	}
	line := p.line(t)
	if err := json.Unmarshal([]byte(line), &made); err != nil || made.Owner == "" || string(made.Metadata) != `{"n":1.50}` {
		t.Errorf("it printed %q (%v); want the registration", line, err)
	}
	p.says(t, held)
	p.signal(t, syscall.SIGTERM)
	p.ends(t, exitDone)
	if line, more := <-p.lines; more {
		t.Errorf("it printed more: %q", line)
	}

	p = launch(t, node.url, "register", "payments/i-1", "--quiet")
	becomes(t, node.url, "payments/i-1", "up")
	p.signal(t, syscall.SIGTERM)
	// It may not have heard yet that it is registered.
	if code := p.wait(t); code == exitDone && p.stderr.String() != "" || code != exitDone && code != exitUnavailable {
		t.Errorf("exit code %d, and it said %q; want nothing", code, p.stderr.String())
	}
	if line, more := <-p.lines; more {
		t.Errorf("it printed %q; want nothing", line)
	}
	gone(t, node.url, "payments/i-1")
}

func TestALeaseThatMakesNoSenseIsWrongUsage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		args []string
		said string
	}{
		{[]string{"--ttl", "10ms"}, "--ttl 10ms"},
		{[]string{"--ttl", "25h"}, "--ttl 25h"},
		{[]string{"--grace", "-1s"}, "--grace -1s"},
		{[]string{"--grace", "25h"}, "--grace 25h"},
		{[]string{"--wait", "-1s"}, "--wait -1s"},
		{[]string{"--ttl", "soon"}, "soon"},
		{[]string{"--lease", "short"}, "22 to 64"},
		{[]string{"--lease", "H4QWDBVVTIQXVMV2OS6CNXVIUA", "--permanent"}, "--permanent"},
	} {
		code, _, said := roost(t, "nats://127.0.0.1:1", append([]string{"register", "payments/i-1"}, row.args...)...)
		if code != exitUsage || !strings.Contains(said, row.said) || strings.Count(said, "\n") != 1 {
			t.Errorf("roost register %v = %d, %q; want %d and one line with %q", row.args, code, said, exitUsage, row.said)
		}
	}
}

func TestARegisterWithoutARegistryIsUnavailable(t *testing.T) {
	t.Parallel()
	if code, _, said := roost(t, "nats://127.0.0.1:1", "register", "payments/i-1"); code != exitUnavailable || !strings.Contains(said, "roost serve") {
		t.Errorf("roost register = %d, %q; want %d", code, said, exitUnavailable)
	}
	node := serve(t, "--backend", "memory")
	code, _, said := roost(t, node.url, "register", "payments/i-1", "--prefix", "nobody.v1", "--timeout", "1s")
	if code != exitUnavailable || !strings.Contains(said, "--prefix") {
		t.Errorf("roost register where nobody answers = %d, %q; want %d", code, said, exitUnavailable)
	}
}

func TestARegistrationOutlivesARestartOfTheRegistry(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	node := serve(t, "--store-dir", store)
	p := launch(t, node.url, "register", "payments/i-1", "--ttl", "10s", "--grace", "500ms")
	p.says(t, held)
	before, _ := find(t, node.url, "payments/i-1")
	if code := node.terminate(t); code != exitDone {
		t.Fatalf("the registry ended with %d", code)
	}
	node = again(t, node.url, "--store-dir", store)
	if after, there := find(t, node.url, "payments/i-1"); !there || after != before {
		t.Errorf("registered as %+v after the restart; want %+v", after, before)
	}
	p.signal(t, syscall.SIGTERM)
	p.ends(t, exitDone)
	gone(t, node.url, "payments/i-1")
}

func TestARegistrationComesBackWhenAnOperatorRevokesItsLease(t *testing.T) {
	t.Parallel()
	node := serve(t)
	p := launch(t, node.url, "register", "payments/i-1")
	p.says(t, held)
	before, _ := find(t, node.url, "payments/i-1")
	code, got, said := roost(t, node.url, "lease", "revoke", "--owner", before.Owner, "--reason", "lost its disk")
	if code != exitDone && code != exitNotFound { // which is the answer to one that was sent again
		t.Errorf("the revoke = %d, %s", code, said)
	}
	if code == exitDone && got != "revoked; 1 registration removed\n" {
		t.Errorf("the revoke printed %q", got)
	}
	p.says(t, "registered again with another one")
	if after, there := find(t, node.url, "payments/i-1"); !there || after.Owner == before.Owner {
		t.Errorf("registered as %+v; want another owner than %s", after, before.Owner)
	}
}

// TestARegisterWhoseOutcomeIsUnknownIsMadeSureOf has somebody stand in for a registry, at the
// far end of a real NATS, that loses its first reply and cannot tell afterwards.
func TestARegisterWhoseOutcomeIsUnknownIsMadeSureOf(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--backend", "memory", "--trusted-clients")
	nc, err := nats.Connect(upstream.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	asked := 0
	for subject, answer := range map[string]func() (code, body string){
		"lease.grant": func() (string, string) {
			return "", `{"owner":"xx7efk5icnktva4ttus6qidmat","ttl_ms":15000,"grace_ms":2000,"term":1}`
		},
		"lease.keepalive": func() (string, string) { return "", `{"ttl_ms":15000,"term":1}` },
		"lease.revoke":    func() (string, string) { return "", `{"removed":1}` },
		"registry.register.default.payments.i-1": func() (string, string) {
			switch asked++; asked {
			case 1:
				return "", "" // which is lost
			case 2: // the repeat
				return "412", `{"code":"conflict","message":"somebody was there meanwhile"}`
			}
			return "", `{"namespace":"default","service":"payments","instance":"i-1","owner":"xx7efk5icnktva4ttus6qidmat","revision":7}`
		},
	} {
		_, err := nc.Subscribe("forgetful.v1."+subject, func(m *nats.Msg) {
			reply := nats.NewMsg(m.Reply)
			reply.Header.Set("Roost-Revision", "7")
			reply.Header.Set("Roost-Epoch", "1")
			code, body := answer()
			if reply.Data = []byte(body); code != "" {
				reply.Header.Set("Nats-Service-Error-Code", code)
				reply.Header.Set("Nats-Service-Error", "conflict: somebody was there meanwhile")
			}
			if body != "" {
				_ = nc.PublishMsg(reply)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	p := launch(t, upstream.url, "register", "payments/i-1", "--prefix", "forgetful.v1")
	p.says(t, held)
	p.signal(t, syscall.SIGTERM)
	p.ends(t, exitDone)
}
