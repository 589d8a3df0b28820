package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus/client"
)

// copyDir copies a store directory whose node does not run.
func copyDir(t *testing.T, from string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// living is a program with a session, of which one registration was made before a copy of the
// store directory was, and one afterwards.
type living struct {
	c *client.Client
	s *client.Session
}

func live(t *testing.T, url string) *living {
	t.Helper()
	c, err := client.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := c.NewSession(t.Context(), client.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &living{c: c, s: s}
}

func (l *living) register(t *testing.T, instance string) {
	t.Helper()
	if _, _, err := l.s.Register(t.Context(), client.Registration{Key: loadKey(instance)}, client.Write{}); err != nil {
		t.Fatal(err)
	}
}

// comesBack waits until all that the session registered is there, of its lease of now.
func (l *living) comesBack(t *testing.T, others ...string) {
	t.Helper()
	await(t, "registration again", func() (bool, string) {
		page, _, err := l.c.List(t.Context(), client.Query{Scope: client.Scope{Namespace: "default", Service: "load"}})
		if err != nil {
			return false, err.Error()
		}
		there := map[string]string{}
		for _, r := range page.Registrations {
			there[r.Key.Instance] = r.Owner
		}
		for r := range l.s.Registrations() {
			if there[r.Key.Instance] != l.s.Lease().Owner() {
				return false, r.Key.Instance + " is not registered"
			}
		}
		for _, other := range others {
			if _, ok := there[other]; !ok {
				return false, other + " is not registered"
			}
		}
		return l.s.Registered() == nil, "the session says that it is not registered"
	})
}

// "A store directory is restored from an older copy": owners that live register again by
// themselves, whether the node notices the copy by itself or is told of it.
func TestDrillWhatAnOlderCopyOfTheStoreLacksComesBackFromLivingOwners(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keep string // what is not restored
		args []string
	}{
		"noticed by the node's memory": {keep: "epoch.json"},
		"told by --new-epoch":          {args: []string{"--new-epoch"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, dir := freeAddresses(t, 1)[0], t.TempDir()
			start := func(args ...string) *process {
				return serve(t, append([]string{"--store-dir", dir, "--listen", address}, args...)...)
			}
			node := start()
			must(t, node.url, "register", "load/permanent", "--permanent")
			l := live(t, node.url)
			l.register(t, "before")
			node.terminate(t)
			older := copyDir(t, dir)
			node = start()
			l.comesBack(t, "permanent")
			l.register(t, "afterwards")
			young := live(t, node.url) // whose lease the copy does not know
			young.register(t, "young")
			revision := must(t, node.url, "lookup", "load/afterwards", "--json")
			node.terminate(t)

			if c.keep != "" {
				kept, err := os.ReadFile(filepath.Join(dir, c.keep))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(older, c.keep), kept, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			dir = older
			node = start(c.args...)
			l.comesBack(t, "permanent", "young")
			young.comesBack(t)
			after := must(t, node.url, "lookup", "load/afterwards", "--json")
			if revision == after {
				t.Error("what was registered after the copy is as it was, so nothing was lost and this does not count")
			}
		})
	}
}

// R3 data loss: the bucket is gone from all three servers while the nodes and their clients
// stay connected.
func TestDrillWhatThreeServersLostComesBackFromLivingOwners(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	f := newFleet(t, 3, "--trusted-clients")
	f.start(t)
	l := live(t, f.url())
	l.register(t, "i-1")
	l.register(t, "i-2")
	before := l.s.Lease().Owner()
	deleteStream(t, f.url(), "KV_roost_v1")
	l.comesBack(t)
	f.awaitWhole(t)
	t.Logf("before the loss the owner was %s, now it is %s", before, l.s.Lease().Owner())
}

// deleteStream deletes a stream, as an operator might by mistake.
func deleteStream(t *testing.T, url, stream string) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
}
