package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
)

func TestEveryWrongSettingIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	if err := server.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	err := server.Config{Prefix: "a..b", Version: "one", DrainTimeout: -1}.Validate()
	if err == nil {
		t.Fatal("nothing is wrong with a Config where everything is")
	}
	for _, setting := range []string{"prefix", "node", "version", "max_in_flight", "max_waiting", "max_keepalives", "default_timeout", "drain_timeout", "max_request"} {
		if !strings.Contains(err.Error(), setting) {
			t.Errorf("%v\ndoes not name %s", err, setting)
		}
	}
	if _, err := server.New(nil, nil, server.Config{}); err == nil {
		t.Error("New takes a Config that is wrong")
	}
}

func TestNothingIsSentToNATSItselfOrIntoTheRegistry(t *testing.T) {
	t.Parallel()
	cfg := server.DefaultConfig()
	for _, reply := range []string{
		"$KV.roost_v1.event.a.b.c", "$JS.API.STREAM.DELETE.KV_roost_v1", "$SYS.REQ", "$",
		"roost.v1", "roost.v1.event.a.b.c", "roost.v1.registry.register.a.b.c", "roost.v1.beacon", "roost.v1.",
	} {
		if !server.Forbidden(cfg, reply) {
			t.Errorf("%q is allowed", reply)
		}
	}
	for _, reply := range []string{"", "_INBOX.x", "roost.v10.x", "roost", "roost.v2.event.a", "my.roost.v1.x", "x.$KV"} {
		if server.Forbidden(cfg, reply) {
			t.Errorf("%q is refused", reply)
		}
	}
}

func TestARequestsContextEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := server.Deadline(t.Context(), time.Now().Add(time.Second))
		defer end()
		if err := ctx.Err(); err != nil {
			t.Errorf("at the beginning: %v", err)
		}
		begun := time.Now()
		<-ctx.Done()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("done after %v; want 1s", took)
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("then: %v; want DeadlineExceeded", ctx.Err())
		}
	})
}

func TestARequestsContextKnowsItsDeadlineWithoutBeingWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := server.Deadline(t.Context(), time.Now().Add(time.Second))
		defer end()
		time.Sleep(time.Second)
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("after a second: %v; want DeadlineExceeded", ctx.Err())
		}
		select {
		case <-ctx.Done():
		default:
			t.Error("Err says done and Done does not")
		}
	})
}

func TestARequestsContextEndsWithItsParentAndGivesItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("stopping")
	for _, waited := range []bool{false, true} {
		parent, cancel := context.WithCancelCause(t.Context())
		ctx, end := server.Deadline(parent, time.Now().Add(time.Hour))
		if waited {
			child, stop := context.WithCancel(ctx)
			defer stop()
			cancel(cause)
			<-child.Done()
			<-ctx.Done()
		}
		cancel(cause)
		if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), cause) {
			t.Errorf("waited %t: %v, because %v; want Canceled, because %v", waited, ctx.Err(), context.Cause(ctx), cause)
		}
		end()
	}
}

func TestARequestsContextIsDoneWhenTheRequestIs(t *testing.T) {
	t.Parallel()
	for _, waited := range []bool{false, true} {
		ctx, end := server.Deadline(t.Context(), time.Now().Add(time.Hour))
		if waited {
			ctx.Done()
		}
		end()
		if ctx.Err() == nil {
			t.Errorf("waited %t: not done after the end", waited)
		}
		<-ctx.Done()
	}
}

func TestRequestsBeyondTheLimitAreNotTakenOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := server.NewHands(3, func(string) { <-release })
		for i := range 3 {
			if ok, _ := h.Take("r", false); !ok {
				t.Errorf("request %d of 3 was refused", i)
			}
		}
		if ok, _ := h.Take("r", false); ok {
			t.Error("a fourth was taken on")
		}
		if ok, _ := h.Take("health", true); !ok {
			t.Error("health was refused")
		}
		close(release)
		synctest.Wait()
		if n := h.InFlight(); n != 0 {
			t.Errorf("%d in hand after all were finished", n)
		}
		if ok, _ := h.Take("r", false); !ok {
			t.Error("refused although nothing is in hand")
		}
		if !h.Close(t.Context()) {
			t.Error("not closed")
		}
	})
}

func TestClosingWaitsForWhatIsInHandAndTakesNothingOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := server.NewHands(8, func(string) { time.Sleep(3 * time.Second) })
		h.Take("slow", false)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if h.Close(short) {
			t.Error("closed with a request in hand")
		}
		if ok, closed := h.Take("late", false); ok || !closed {
			t.Errorf("a late one: taken on %t, closed %t; want refused because closed", ok, closed)
		}
		if !h.Close(t.Context()) {
			t.Error("not closed when the request was finished")
		}
	})
}

func TestReadHeadersRoundTheAgeUp(t *testing.T) {
	t.Parallel()
	headers := server.ReadHeaders()
	for _, c := range []struct {
		age  time.Duration
		want string
	}{{0, "0"}, {1, "1"}, {time.Millisecond, "1"}, {time.Millisecond + 1, "2"}, {time.Second, "1000"}, {0, "0"}} {
		h := headers(backend.Stamp{Revision: 7, Epoch: 3, Age: c.age})
		want := map[string][]string{bus.HeaderRevision: {"7"}, bus.HeaderEpoch: {"3"}, bus.HeaderAge: {c.want}}
		if diff := cmp.Diff(want, map[string][]string(h)); diff != "" {
			t.Errorf("age %v (-want +got):\n%s", c.age, diff)
		}
	}
}

func TestAPageIsRenderedAsAListReply(t *testing.T) {
	t.Parallel()
	a := backend.Registration{Key: backend.Key{Namespace: "n", Service: `"s"`, Instance: "i"}, Weight: 1, Status: backend.Up, Revision: 3, CreatedRevision: 3}
	b := a
	b.Instance = "j"
	for _, page := range []*backend.Page{
		{},
		{Registrations: []*backend.Registration{&a}},
		{Registrations: []*backend.Registration{&a, &b}, Next: backend.Cursor{Revision: 3, Epoch: 1, Key: b.Key.String()}.String()},
	} {
		var reply bus.ListReply
		if err := json.Unmarshal(server.RenderPage(page), &reply); err != nil {
			t.Fatalf("%s: %v", server.RenderPage(page), err)
		}
		if reply.Registrations == nil || len(reply.Registrations) != len(page.Registrations) || reply.Next != page.Next {
			t.Errorf("%s: got %d registrations, next %q", server.RenderPage(page), len(reply.Registrations), reply.Next)
		}
		for i := range reply.Registrations {
			if diff := cmp.Diff(page.Registrations[i], reply.Registrations[i]); diff != "" {
				t.Errorf("registration %d: %s", i, diff)
			}
		}
	}
}
