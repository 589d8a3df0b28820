package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// times and revisions are what differs between runs.
var (
	anInstant  = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`)
	aRevision  = regexp.MustCompile(`(revision +|created at )\d+|()\d+( +permanent)|(orders +2 +1 +)\d+`)
	manySpaces = regexp.MustCompile(` {2,}`)
)

// normal returns text without what differs between runs.
func normal(text string) string {
	text = anInstant.ReplaceAllString(text, "TIME")
	text = aRevision.ReplaceAllString(text, "${1}${4}N$3")
	return manySpaces.ReplaceAllString(text, "  ")
}

func TestARegistrationIsShownAsACardAndAsATable(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	card := must(t, node.url, "register", "payments/10.0.0.7:8080", "--permanent",
		"--endpoint", "http=http://10.0.0.7:8080", "--endpoint", "grpc=grpc://10.0.0.7:9090",
		"--meta", "version=2.1.0", "--meta", `limits={"rps":200}`, "--meta", "big=12345678901234567890", "--weight", "50")
	want := strings.Join([]string{
		"namespace  default", "service  payments", "instance  10.0.0.7:8080", "status  up", "weight  50",
		"endpoint  grpc=grpc://10.0.0.7:9090", "endpoint  http=http://10.0.0.7:8080",
		`metadata  {"version":"2.1.0","limits":{"rps":200},"big":12345678901234567890}`,
		"owner  permanent", "revision  N (created at N)", "created  TIME", "updated  TIME", "",
	}, "\n")
	if diff := cmp.Diff(want, normal(card)); diff != "" {
		t.Errorf("card (-want +got):\n%s", diff)
	}
	must(t, node.url, "register", "boss", "--unique", "--permanent", "--namespace", "other")
	got := normal(must(t, node.url, "list", "--all-namespaces"))
	want = strings.Join([]string{
		"NAMESPACE  SERVICE  INSTANCE  STATUS  WEIGHT  REVISION  OWNER  ENDPOINTS  METADATA",
		`default  payments  10.0.0.7:8080  up  50  N  permanent  grpc=grpc://10.0.0.7:9090 http=http://10.0.0.7:8080  {"version":"2.1.0","limits":{"rps":200},"big":12345678901234567890}`,
		"other  boss  (unique)  up  100  N  permanent", "",
	}, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestReadsSelectWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	must(t, node.url, "register", "orders/i-1", "--permanent", "--meta", "region=eu", "--meta", "n=5")
	must(t, node.url, "register", "orders/i-2", "--permanent", "--meta", "region=us", "--status", "draining")
	must(t, node.url, "register", "orders/i-3", "--permanent", "--namespace", "other")
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"count"}, "2\n"},
		{[]string{"count", "orders"}, "2\n"},
		{[]string{"count", "--all-namespaces"}, "3\n"},
		{[]string{"count", "--where", "region=eu", "--where", "n=5.0"}, "1\n"},
		{[]string{"count", "--status", "draining", "--status", "down"}, "1\n"},
		{[]string{"count", "--filter", `metadata.region in ["eu","us"] && status == "up"`}, "1\n"},
		{[]string{"count", "--consistency", "linearizable"}, "2\n"},
		{[]string{"list", "nobody"}, "no registrations\n"},
		{[]string{"services", "--namespace", "nowhere"}, "no services\n"},
		{[]string{"services"}, "SERVICE  INSTANCES  UP  REVISION\norders  2  1  N\n"},
		{[]string{"count", "--quiet"}, ""},
	} {
		got := must(t, node.url, row.args...)
		if row.args[0] == "services" {
			got = normal(got)
		}
		if got != row.want {
			t.Errorf("roost %v printed %q; want %q", row.args, got, row.want)
		}
	}
}

func TestJSONIsTheRegistrysReplyUnchanged(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	must(t, node.url, "register", "orders/i-1", "--permanent", "--meta", "n=1.50")
	nc, err := nats.Connect(node.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for subject, args := range map[string][]string{
		"roost.v1.registry.lookup.default.orders.i-1": {"lookup", "orders/i-1"},
		"roost.v1.registry.list.default":              {"list"},
		"roost.v1.registry.count.default.orders":      {"count", "orders"},
		"roost.v1.registry.services":                  {"services", "--all-namespaces"},
	} {
		raw, err := nc.Request(subject, nil, patience)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := must(t, node.url, append(args, "--json")...), string(raw.Data)+"\n"; got != want {
			t.Errorf("roost %v --json printed\n%swant\n%s", args, got, want)
		}
	}
	_, stdout, _ := roost(t, node.url, "lookup", "orders/none", "--json")
	var failure struct{ Code string }
	if err := json.Unmarshal([]byte(stdout), &failure); err != nil || failure.Code != "not_found" {
		t.Errorf("a failed look-up printed %q; want a failure's body", stdout)
	}
}

func TestAListOfManyPagesIsWhole(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	nc, err := nats.Connect(node.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	large := `{"metadata":{"x":"` + strings.Repeat("x", 40_000) + `"}}`
	for i := range 60 { // 2.4 MB, and a message holds one
		subject := fmt.Sprintf("roost.v1.registry.register.default.big.i-%02d", i)
		if _, err := nc.Request(subject, []byte(large), patience); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(must(t, node.url, "list", "big"), "\n"); got != 61 {
		t.Errorf("the table has %d lines; want a heading and 60", got)
	}
	pages := must(t, node.url, "list", "big", "--json")
	if got := strings.Count(pages, `"instance":`); got != 60 || strings.Count(pages, "\n") < 3 {
		t.Errorf("the JSON has %d registrations in %d lines; want 60 in at least 3", got, strings.Count(pages, "\n"))
	}
}

func TestAnUpdateReplacesMergesAndChecksTheRevision(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	must(t, node.url, "register", "orders/i-1", "--permanent", "--meta", "a=1", "--meta", "b=2", "--endpoint", "x=y:z")
	look := func() (r struct {
		Revision  int
		Weight    int
		Status    string
		Metadata  map[string]any
		Endpoints map[string]string
	},
	) {
		if err := json.Unmarshal([]byte(must(t, node.url, "lookup", "orders/i-1", "--json")), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	must(t, node.url, "update", "orders/i-1", "--merge", "--meta", "a=null", "--meta", "c=text", "--status", "down", "--weight", "0",
		"--if-revision", fmt.Sprint(look().Revision))
	got := look()
	if diff := cmp.Diff(map[string]any{"b": 2.0, "c": "text"}, got.Metadata); diff != "" || got.Status != "down" || got.Weight != 0 || got.Endpoints["x"] != "y:z" {
		t.Errorf("after the update: %+v", got)
	}
	if code, _, said := roost(t, node.url, "update", "orders/i-1", "--status", "up", "--if-revision", fmt.Sprint(got.Revision-1)); code != exitConflict || !strings.Contains(said, fmt.Sprint(got.Revision)) {
		t.Errorf("update at an old revision = %d, %q; want %d and the current revision", code, said, exitConflict)
	}
	must(t, node.url, "unregister", "orders/i-1", "--if-revision", fmt.Sprint(got.Revision), "--reason", "moved")
	if got := must(t, node.url, "unregister", "orders/i-1", "--force"); got != "orders/i-1 was not registered\n" {
		t.Errorf("a second unregister printed %q", got)
	}
}

func TestHealthIsShown(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory", "--server-name", "node-1")
	got := must(t, node.url, "health")
	for _, want := range []string{"status              healthy", "node                node-1", "TASK", "running  0", "keeper              node-1, term 1"} {
		if !strings.Contains(got, want) {
			t.Errorf("roost health printed\n%swant %q in it", got, want)
		}
	}
	if must(t, node.url, "health", "--quiet") != "" {
		t.Error("roost health --quiet printed something")
	}
}
