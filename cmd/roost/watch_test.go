package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

func TestAWatchShowsAPersonWhatHappens(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	must(t, node.url, "register", "old/i-1", "--permanent")
	w := watch(t, node.url, "--all-namespaces")
	aNumber := regexp.MustCompile(`  \d+ +`)
	for _, change := range []struct {
		args []string
		want string
	}{
		{
			[]string{"register", "payments/i-1", "--permanent", "--endpoint", "http=http://10.0.0.7:8080"},
			"TIME  registered    N  default/payments/i-1      up                http=http://10.0.0.7:8080",
		},
		{
			[]string{"update", "payments/i-1", "--status", "draining"},
			"TIME  updated       N  default/payments/i-1      draining          http=http://10.0.0.7:8080",
		},
		{
			[]string{"unregister", "payments/i-1", "--reason", "moved on"},
			"TIME  unregistered  N  default/payments/i-1                moved on",
		},
		{
			[]string{"register", "boss", "--unique", "--permanent", "--namespace", "other"},
			"TIME  registered    N  other/boss/(unique)       up",
		},
	} {
		must(t, node.url, change.args...)
		if got := aNumber.ReplaceAllString(anInstant.ReplaceAllString(w.line(t), "TIME"), "  N  "); got != change.want {
			t.Errorf("printed\n%q; want\n%q", got, change.want)
		}
	}
}

func TestAWatchInJSONIsWhatTheRegistryAnswers(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir())
	w := watch(t, node.url, "payments/i-1", "--json")
	must(t, node.url, "register", "payments/i-2", "--permanent")
	var now string
	expect := func(kind, reason string) {
		t.Helper()
		got := w.line(t)
		var e event
		if err := json.Unmarshal([]byte(got), &e); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"event":%q,"reason":%q,"revision":%d,"registration":%s}`, kind, reason, e.Revision, now)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	look := func() { now = strings.TrimSuffix(must(t, node.url, "lookup", "payments/i-1", "--json"), "\n") }
	must(t, node.url, "register", "payments/i-1", "--permanent", "--meta", `x={"a":"<&>","n":1.50}`, "--endpoint", "a=b:c?d&e")
	look()
	expect("registered", "")
	must(t, node.url, "update", "payments/i-1", "--weight", "7")
	look()
	expect("updated", "")
	must(t, node.url, "unregister", "payments/i-1", "--reason", `"bye" <now>`)
	expect("unregistered", `"bye" <now>`)
}

// R7: the node is killed again and again, and what it had acknowledged is told once.
func TestAWatchLosesAndRepeatsNothingOverKillsOfTheNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	node := serve(t, "--store-dir", dir)
	next := 0
	register := func(n int) {
		for range n {
			must(t, node.url, "register", fmt.Sprintf("orders/i-%d", next), "--permanent", "--quiet")
			next++
		}
	}
	register(3)
	var first event
	if err := json.Unmarshal([]byte(must(t, node.url, "lookup", "orders/i-0", "--json")), &first); err != nil {
		t.Fatal(err)
	}
	w := watch(t, node.url, "orders", "--json", "--since", fmt.Sprint(first.Revision))
	for kills := range 2 {
		register(5)
		node.signal(t, syscall.SIGKILL)
		node.wait(t)
		poll(t, "word that it is away", func() bool { return strings.Count(w.stderr.String(), "the registry is away") > kills })
		node = again(t, node.url, "--store-dir", dir)
		register(5)
		poll(t, "word that it is back", func() bool { return strings.Count(w.stderr.String(), "the registry is back") > kills })
	}
	must(t, node.url, "unregister", "orders/i-0")

	told := map[string]int{}
	last := false
	for !last {
		e := w.event(t)
		if e.Event == "gap" {
			continue
		}
		if last = e.Event == "unregistered"; !last {
			told[e.Registration.Instance]++
		}
	}
	if len(told) != next-1 || told["i-0"] != 0 {
		t.Errorf("told of %d; want %d, all but i-0", len(told), next-1)
	}
	for instance, n := range told {
		if n != 1 {
			t.Errorf("told %d times of %s; want once", n, instance)
		}
	}
	if n := strings.Count(w.stderr.String(), "\n"); n != 5 {
		t.Errorf("said %d lines; want that it watches, and each kill and return once:\n%s", n, w.stderr.String())
	}
}

func TestAWatchGoesOnWhenTheRegistryBeginsAnew(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	w := watch(t, node.url, "--json", "--status", "up")
	must(t, node.url, "register", "orders/i-1", "--permanent")
	if e := w.event(t); e.Event != "registered" {
		t.Errorf("the event is %+v; want that of i-1", e)
	}
	node.signal(t, syscall.SIGKILL)
	node.wait(t)
	named := time.Now().Unix()
	poll(t, "a second that no epoch is named after", func() bool { return time.Now().Unix() > named })
	node = again(t, node.url, "--backend", "memory")
	if got, want := w.line(t), `{"event":"gap","reason":"compacted","revision":0,"registration":null}`; got != want {
		t.Errorf("printed %s; want %s", got, want)
	}
	must(t, node.url, "register", "orders/i-2", "--permanent") // the gap says that from there on all is told
	if e := w.event(t); e.Event != "registered" || e.Registration.Instance != "i-2" {
		t.Errorf("the event is %+v; want that of i-2", e)
	}
	w.says(t, "begun anew")
}

func TestAWatchWithConditionsTellsOnceOfWhatNoLongerMatches(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	for i, region := range []string{"eu", "us"} {
		must(t, node.url, "register", fmt.Sprintf("orders/i-%d", i), "--permanent", "--meta", "region="+region)
	}
	for _, condition := range [][]string{{"--where", "region=eu"}, {"--filter", `metadata.region == "eu"`}} {
		w := watch(t, node.url, append([]string{"orders", "--json"}, condition...)...)
		for _, change := range []struct {
			args []string
			told string // waited for before the next change, as one follows what it can and skips the rest
		}{
			{args: []string{"update", "orders/i-1", "--weight", "1"}}, // never matched
			{args: []string{"update", "orders/i-0", "--meta", "region=asia"}, told: "unmatched i-0"},
			{args: []string{"update", "orders/i-0", "--weight", "2"}},
			{args: []string{"register", "orders/i-2", "--permanent"}},
			{args: []string{"unregister", "orders/i-2"}},
			{args: []string{"update", "orders/i-1", "--meta", "region=eu"}, told: "updated i-1"},
			{args: []string{"update", "orders/i-1", "--meta", "region=us", "--weight", "100"}, told: "unmatched i-1"},
			{args: []string{"update", "orders/i-0", "--meta", "region=eu", "--weight", "100"}, told: "updated i-0"},
		} {
			must(t, node.url, change.args...)
			if change.told == "" {
				continue
			}
			e := w.event(t)
			for e.Event == "gap" {
				e = w.event(t)
			}
			if got := e.Event + " " + e.Registration.Instance; got != change.told {
				t.Errorf("with %v, after %v: told %q; want %q", condition, change.args, got, change.told)
			}
		}
	}
}

func TestAnInterruptedWatchHasDoneWhatItShould(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		w := watch(t, node.url)
		w.signal(t, s)
		if code := w.wait(t); code != exitDone || strings.Count(w.stderr.String(), "\n") != 1 {
			t.Errorf("exit code after %v = %d, and it said %q; want 0 and no complaint", s, code, w.stderr.String())
		}
	}
}

func TestAWatchEndsQuietlyWhenNobodyReadsIt(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	p := unread(t, node.url)
	if code := p.wait(t); code != exitDone || strings.Count(p.stderr.String(), "\n") != 1 {
		t.Errorf("exit code = %d, and it said %q; want 0 and no complaint", code, p.stderr.String())
	}
}

func TestAQuietWatchPrintsEventsAndNothingElse(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir())
	must(t, node.url, "register", "orders/i-1", "--permanent")
	before := must(t, node.url, "lookup", "orders/i-1", "--json")
	must(t, node.url, "register", "orders/i-2", "--permanent")
	var first event
	if err := json.Unmarshal([]byte(before), &first); err != nil {
		t.Fatal(err)
	}
	p, lines := begin(t, []string{"NATS_URL=" + node.url}, "watch", "--quiet", "--since", fmt.Sprint(first.Revision))
	if !lines.Scan() || !strings.Contains(lines.Text(), "  gap  ") || !lines.Scan() || !strings.Contains(lines.Text(), "default/orders/i-2") {
		t.Errorf("printed %q; want a gap and i-2", lines.Text())
	}
	go p.reap()
	if code := p.terminate(t); code != exitDone || p.stderr.String() != "" {
		t.Errorf("exit code = %d, said %q; want 0 and nothing", code, p.stderr.String())
	}
}

func TestAWatchThatCannotBeginSaysWhyInOneLine(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	for _, row := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"--since", "1000000"}, exitConflict, "is at revision"},
		{[]string{"--since", "-1"}, exitUsage, "--since -1"},
		{[]string{"--since", "yesterday"}, exitUsage, "yesterday"},
		{[]string{"orders", "payments"}, exitUsage, "too many"},
		{[]string{"orders", "--all-namespaces"}, exitUsage, "--all-namespaces"},
		{[]string{"--instance", "i-1"}, exitUsage, "name it"},
		{[]string{"orders/"}, exitUsage, "--unique"},
		{[]string{"--filter", "metadata."}, exitUsage, "filter"},
		{[]string{"--status", "sideways"}, exitUsage, "sideways"},
		{[]string{"--timeout", "0s"}, exitUsage, "--timeout 0s"},
		{[]string{"--prefix", "nobody.v1", "--timeout", "500ms"}, exitUnavailable, "--prefix"},
		{[]string{"--server", "nats://127.0.0.1:1"}, exitUnavailable, "roost serve"},
	} {
		code, out, said := roost(t, node.url, append([]string{"watch"}, row.args...)...)
		if code != row.code || out != "" || !strings.Contains(said, row.said) || strings.Count(said, "\n") != 1 {
			t.Errorf("roost watch %v = %d, %q, %q; want %d and one line with %q", row.args, code, out, said, row.code, row.said)
		}
	}
}

// TestAWatchSinceWhatIsForgottenSaysSo stands in for a registry with a long past, at the
// far end of a real NATS.
func TestAWatchSinceWhatIsForgottenSaysSo(t *testing.T) {
	t.Parallel()
	upstream := serve(t, "--backend", "memory", "--trusted-clients")
	nc, err := nats.Connect(upstream.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for subject, reply := range map[string]*nats.Msg{
		"old.v1.registry.count.default": {Data: []byte(`{"count":0}`), Header: nats.Header{}},
		"old.v1.registry.list.default": {
			Data:   []byte(`{"code":"compacted","message":"revision 7 is forgotten"}`),
			Header: nats.Header{"Nats-Service-Error-Code": {"416"}, "Nats-Service-Error": {"compacted: revision 7 is forgotten"}},
		},
	} {
		reply.Header["Roost-Revision"], reply.Header["Roost-Epoch"] = []string{"50"}, []string{"1"}
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.RespondMsg(reply) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	code, out, said := roost(t, upstream.url, "watch", "--since", "7", "--prefix", "old.v1")
	if code != exitConflict || out != "" || !strings.Contains(said, "roost list") || strings.Count(said, "\n") != 1 {
		t.Errorf("roost watch --since 7 = %d, %q, %q; want %d and one line that says what to do", code, out, said, exitConflict)
	}
}
