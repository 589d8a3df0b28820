package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeOn registers something by the nodes of url, and fails the test if that is not done.
func writeOn(t *testing.T, url, instance string) {
	t.Helper()
	must(t, url, "register", "orders/"+instance, "--permanent")
}

// instances returns what is registered, by a read that is as new as every write.
func instances(t *testing.T, url string) string {
	t.Helper()
	var found []string
	for line := range strings.Lines(must(t, url, "list", "orders", "--consistency", "linearizable", "--timeout", "20s")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "orders" {
			found = append(found, fields[1])
		}
	}
	return strings.Join(found, " ")
}

// R2 of a cluster: nodes that start one after another wait for each other and say so, keep
// everything three times by themselves, and lose nothing with one of them.
func TestThreeNodesFormAClusterThatOutlivesEachOfThem(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	f.nodes[0].begin(t)
	await(t, "word of a wait", func() (bool, string) {
		said := f.nodes[0].stderr.String()
		return strings.Contains(said, "waiting for jetstream"), said
	})
	f.nodes[1].begin(t)
	f.nodes[0].awaitReady(t)
	f.nodes[1].awaitReady(t)
	writeOn(t, f.nodes[0].url, "before")
	await(t, "word of too few nodes", func() (bool, string) {
		code, out, _ := roost(t, f.nodes[0].url, "health", "--all")
		return code == exitDegraded && strings.Contains(out, "KV_roost_v1 is kept by 1 of 3 servers"), out
	})
	addresses := freeAddresses(t, 2)
	f.routes = append(f.routes, addresses[1])
	f.add(t, "n3", addresses[0], addresses[1]).again(t)
	f.awaitWhole(t) // the third makes three copies, by itself

	for _, m := range f.nodes {
		said := m.stderr.String()
		if strings.Contains(said, "correct horse") {
			t.Errorf("%s logs the secret", m.name)
		}
	}
	lost := f.nodes[0]
	lost.kill(t)
	left := "nats://" + f.nodes[1].listen + ",nats://" + f.nodes[2].listen
	writeOn(t, left, "between")
	if diff := cmp.Diff("before between", instances(t, left)); diff != "" {
		t.Errorf("without %s (-want +got):\n%s", lost.name, diff)
	}
	await(t, "word of a node that is away", func() (bool, string) {
		code, out, _ := roost(t, left, "health", "--all")
		return code == exitDegraded && strings.Contains(out, "n1") && strings.Contains(out, "offline") && strings.Contains(out, "away"), out
	})

	lost.again(t)
	f.awaitWhole(t)
	if diff := cmp.Diff("before between", instances(t, lost.url)); diff != "" {
		t.Errorf("asked through %s (-want +got):\n%s", lost.name, diff)
	}
	code, out, _ := roost(t, f.url(), "health", "--all")
	for _, want := range []string{"n1", "n2", "n3", "keeper", "leads KV_roost_v1", "leads roost_v1_counters", "leads roost_v1_history", "current"} {
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("roost health --all = %d; want 0 and %q in:\n%s", code, want, out)
		}
	}
	if code := lost.terminate(t); code != 0 {
		t.Errorf("exit code after SIGTERM = %d; want 0", code)
	}
}

func TestAStrangerIsNotLetIntoACluster(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	f := newFleet(t, 2)
	f.begin(t)
	stranger := newFleet(t, 1)
	stranger.routes = f.routes
	writeSecret(t, stranger.secret, "another secret altogether")
	m := stranger.nodes[0]
	m.name, m.args = "stranger", []string{"--start-timeout", "5s"}
	m.begin(t)
	if code := m.wait(t); code != exitFailed {
		t.Errorf("exit code of a stranger = %d; want %d", code, exitFailed)
	}
	for _, h := range f.reports(t, f.url()) {
		for _, peer := range h.Cluster.Peers {
			if peer.Name == "stranger" {
				t.Errorf("%s knows the stranger", h.Node)
			}
		}
	}
	for _, want := range []string{"waiting for jetstream", "store unavailable", "no other node is connected: another node refuses this one's secret"} {
		if said := strings.ToLower(m.stderr.String()); !strings.Contains(said, want) {
			t.Errorf("the stranger said nothing of %q:\n%s", want, said)
		}
	}
	f.nodes[0].signal(t, syscall.SIGTERM)
}

// A server of a cluster deletes streams that the cluster does not know.
func TestAStoreDirectoryOfANodeAloneIsNotTakenIntoAClusterNorTheOtherWayRound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alone := serve(t, "--store-dir", dir)
	must(t, alone.url, "register", "orders/i-1", "--permanent")
	alone.terminate(t)
	addresses := freeAddresses(t, 2)
	complains(t, []string{
		"serve", "--listen", "127.0.0.1:0", "--store-dir", dir, "--cluster-listen", addresses[0], "--cluster-routes", strings.Join(addresses, ","),
	}, dir, "without a cluster", "export")
	again := serve(t, "--store-dir", dir)
	must(t, again.url, "lookup", "orders/i-1")
	again.terminate(t)

	f := newFleet(t, 2)
	f.begin(t)
	for _, m := range f.nodes {
		m.terminate(t)
	}
	complains(t, []string{"serve", "--listen", "127.0.0.1:0", "--store-dir", f.nodes[0].dir}, f.nodes[0].dir, "of a cluster", "--cluster-listen")
}

func TestASecondNodeInMemoryIsRefused(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--store-dir", t.TempDir(), "--trusted-clients")
	args := []string{"--nats-url", upstream.url, "--prefix", "other.v1", "--backend", "memory"}
	serve(t, append([]string{"--server-name", "first"}, args...)...)
	complains(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), "first", "only one node", "--backend hybrid")
}
