package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// An external NATS is, in these tests, the one inside another roost that trusts everybody:
// with JetStream as it comes, without in memory.

func TestARegistryOnAnExternalNATSKeepsWhatItIsTold(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--store-dir", t.TempDir(), "--trusted-clients")
	args := []string{"--store-dir", t.TempDir(), "--nats-url", upstream.url, "--prefix", "other.v1"}
	first := serve(t, args...)
	if first.url != upstream.url {
		t.Errorf("ready at %s; want %s", first.url, upstream.url)
	}
	must(t, upstream.url, "register", "orders/i-1", "--permanent", "--prefix", "other.v1")
	if code := first.terminate(t); code != 0 {
		t.Errorf("exit code = %d; want 0", code)
	}
	serve(t, args...)
	must(t, upstream.url, "lookup", "orders/i-1", "--prefix", "other.v1")
	if code, _, _ := roost(t, upstream.url, "lookup", "orders/i-1"); code != exitNotFound {
		t.Errorf("the upstream's own registry answers %d; want %d", code, exitNotFound)
	}
}

func TestAnExternalNATSThatCannotBeReachedIsOneLine(t *testing.T) {
	t.Parallel()
	args := []string{"serve", "--store-dir", t.TempDir(), "--nats-url", "nats://user:secret@127.0.0.1:1,nats://127.0.0.1:2"}
	complains(t, args, "nats://user:xxxxx@127.0.0.1:1,nats://127.0.0.1:2", "--nats-url")
	if _, said := fails(t, nil, args...); strings.Contains(said, "roost serve,") {
		t.Errorf("one who serves is told to serve: %q", said)
	}
}

func TestAnExternalNATSWithoutJetStreamIsOneLine(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--backend", "memory", "--trusted-clients")
	complains(t, []string{"serve", "--store-dir", t.TempDir(), "--nats-url", upstream.url, "--prefix", "other.v1"},
		upstream.url, "JetStream", "-js")
}

func TestAnExternalNATSThatIsTooOldIsOneLine(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--backend", "memory", "--trusted-clients")
	nc, err := nats.Connect(upstream.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, err = nc.Subscribe("$JS.API.INFO", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"type":"io.nats.jetstream.api.v1.account_info_response","api":{"level":1}}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	complains(t, []string{"serve", "--store-dir", t.TempDir(), "--nats-url", upstream.url, "--prefix", "other.v1"},
		upstream.url, "too old", "2.12")
}

func TestInMemoryAnExternalNATSNeedsNoJetStream(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--backend", "memory", "--trusted-clients")
	serve(t, "--backend", "memory", "--nats-url", upstream.url, "--prefix", "other.v1")
	must(t, upstream.url, "register", "orders/i-1", "--permanent", "--prefix", "other.v1")
	must(t, upstream.url, "lookup", "orders/i-1", "--prefix", "other.v1")
}
