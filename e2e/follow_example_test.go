package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// R7: the rule of the protocol, followed by a program that knows NATS alone, through lost
// events, a flapping connection, a restart of the node, and a bucket made anew.
func TestAPlainNATSClientThatFollowsTheRuleEndsExact(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	node := startRegistry(t, srv, "")
	writer := connectClient(t, srv, node.prefix)
	if err := scribble(t.Context(), writer, 100); err != nil {
		t.Fatal(err)
	}
	link := &badLink{to: srv}
	nc, err := nats.Connect("", nats.InProcessServer(link), nats.MaxReconnects(-1), nats.ReconnectWait(0), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	f := &plainFollower{nc: nc, prefix: node.prefix, scope: "default.payments", state: map[string]held{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})

	f.exact(t, writer)
	link.percent.Store(40)
	for round := range 3 {
		if err := scribble(t.Context(), writer, 100); err != nil {
			t.Fatal(err)
		}
		announceFeed(t, srv, node.prefix, 1, fmt.Sprint("lost ", round))
		f.exact(t, writer)
	}
	for range 3 {
		link.cut()
		if err := scribble(t.Context(), writer, 50); err != nil {
			t.Fatal(err)
		}
		link.cut()
		f.exact(t, writer)
	}
	node.stop()
	node = startRegistry(t, srv, node.prefix)
	if err := scribble(t.Context(), writer, 50); err != nil {
		t.Fatal(err)
	}
	announceFeed(t, srv, node.prefix, 1, "another node")
	f.exact(t, writer)

	_, stamp, err := writer.Lookup(t.Context(), paymentsKey("i-1"), client.Read{Consistency: client.Linearizable})
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
	node.stop()
	js, err := jetstream.New(srv.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "KV_"+bucketOf(t, node.prefix)); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "a second that no epoch is named after", func() bool { return time.Now().Unix() > int64(stamp.Epoch) })
	node = startRegistry(t, srv, node.prefix)
	if err := scribble(t.Context(), writer, 30); err != nil {
		t.Fatal(err)
	}
	announceFeed(t, srv, node.prefix, 2, "another bucket")
	f.exact(t, writer)
}

// exact waits until f holds exactly what the registry has.
func (f *plainFollower) exact(t *testing.T, c *client.Client) {
	t.Helper()
	want := selected(t, c, client.Query{Scope: client.Scope{Namespace: "default", Service: "payments"}})
	diff := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if diff = cmp.Diff(want, f.holds()); diff == "" {
			return
		}
	}
	t.Fatalf("not exact (-registry +follower):\n%s", diff)
}

func (f *plainFollower) holds() map[client.Key]client.Revision {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[client.Key]client.Revision{}
	for instance, one := range f.state {
		all[paymentsKey(instance)] = client.Revision(one.revision)
	}
	return all
}

func TestTheExampleOfFollowingNeedsNothingOfOurs(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "follow_plain_test.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, imported := range file.Imports {
		if path := strings.Trim(imported.Path.Value, `"`); strings.Contains(path, ".") && path != "github.com/nats-io/nats.go" {
			t.Errorf("it imports %s", path)
		}
	}
}

func TestTheDocsShowTheExampleThatIsTested(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("follow_plain_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/follow.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(code), "// plainFollower keeps")
	if !strings.Contains(string(page), "```go\n// plainFollower keeps"+example+"```\n") {
		t.Error("the code of docs/follow.md is not that of e2e/follow_plain_test.go; copy it")
	}
}
