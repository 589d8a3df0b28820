package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// granted is what roost lease grant --json prints.
type granted struct {
	Lease   string
	Owner   string
	TTLMs   int `json:"ttl_ms"`
	GraceMs int `json:"grace_ms"`
}

func grant(t *testing.T, url string, args ...string) (g granted) {
	t.Helper()
	out := must(t, url, append([]string{"lease", "grant", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &g); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return g
}

func TestAGrantPrintsTheSecretAndNothingElse(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	code, out, said := roost(t, node.url, "lease", "grant", "--ttl", "1m", "--name", "nightly")
	if code != exitDone || !regexp.MustCompile(`^[A-Za-z0-9_-]{22,64}\n$`).MatchString(out) {
		t.Errorf("roost lease grant = %d and printed %q; want a secret", code, out)
	}
	if strings.Contains(said, strings.TrimSpace(out)) || !strings.Contains(said, "ends after 1m0s") || strings.Count(said, "\n") != 1 {
		t.Errorf("it said %q; want a line about the lease without its secret", said)
	}
	if _, out, said := roost(t, node.url, "lease", "grant", "--quiet"); len(out) < 22 || said != "" {
		t.Errorf("roost lease grant --quiet printed %q and said %q; want the secret alone", out, said)
	}
	if g := grant(t, node.url, "--ttl", "1m"); len(g.Lease) < 22 || len(g.Owner) != 26 || g.TTLMs != 60_000 || g.GraceMs != 2000 {
		t.Errorf("roost lease grant --json printed %+v", g)
	}
	list := must(t, node.url, "lease", "list")
	if n := strings.Count(list, "\n"); n != 4 || !strings.Contains(list, "  nightly  live   1m0s  ") || !strings.HasPrefix(list, "OWNER ") {
		t.Errorf("roost lease list printed\n%swant a heading and three leases", list)
	}
}

func TestWhatIsRegisteredUnderALeaseBelongsToItAndEndsWithIt(t *testing.T) {
	t.Parallel()
	node := serve(t)
	g := grant(t, node.url, "--ttl", "1m")
	t.Run("InTheEnvironment", func(t *testing.T) {
		as := func(want int, args ...string) string {
			t.Helper()
			p, lines := begin(t, []string{"NATS_URL=" + node.url, "ROOST_LEASE=" + g.Lease}, args...)
			var out []string
			go func() {
				for lines.Scan() {
					out = append(out, lines.Text())
				}
				p.reap()
			}()
			if code := p.wait(t); code != want {
				t.Errorf("roost %v = %d; want %d: %s", args, code, want, p.stderr.String())
			}
			return strings.Join(out, "\n")
		}
		as(exitDone, "register", "payments/i-1")
		as(exitDone, "register", "payments/i-2")
		as(exitDone, "update", "payments/i-1", "--status", "draining")
		if f, _ := find(t, node.url, "payments/i-1"); f.Owner != g.Owner || f.Status != "draining" {
			t.Errorf("registered as %+v; want it draining, of %s", f, g.Owner)
		}
		as(exitDone, "unregister", "payments/i-2")
		gone(t, node.url, "payments/i-2")
	})
	for _, args := range [][]string{
		{"update", "payments/i-1", "--status", "up"},
		{"unregister", "payments/i-1"},
		{"update", "payments/i-1", "--status", "up", "--lease", grant(t, node.url).Lease},
		{"register", "payments/i-1", "--permanent"},
	} {
		if code, _, said := roost(t, node.url, args...); code != exitConflict {
			t.Errorf("roost %v of somebody else's = %d, %q; want %d", args, code, said, exitConflict)
		}
	}
	if got := must(t, node.url, "lease", "get", g.Owner); !strings.Contains(got, g.Owner) || !strings.Contains(got, "  1              20") {
		t.Errorf("roost lease get printed\n%swant one registration", got)
	}
	code, got, said := roost(t, node.url, "lease", "revoke", g.Lease)
	if code != exitDone && code != exitConflict { // which is the answer to one that was sent again
		t.Errorf("roost lease revoke = %d, %s", code, said)
	}
	if code == exitDone && got != "revoked; 1 registration removed\n" {
		t.Errorf("roost lease revoke printed %q", got)
	}
	gone(t, node.url, "payments/i-1")
	for _, row := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"lease", "keep", g.Lease}, exitConflict, g.Owner},
		{[]string{"lease", "revoke", g.Lease}, exitConflict, "lease expired"},
		{[]string{"register", "payments/i-1", "--lease", g.Lease}, exitConflict, "grant a new one"},
		{[]string{"lease", "get", g.Owner}, exitNotFound, "roost lease list"},
		{[]string{"lease", "revoke", "--owner", g.Owner}, exitNotFound, "roost lease list"},
	} {
		code, _, said := roost(t, node.url, row.args...)
		if code != row.code || !strings.Contains(said, row.said) || strings.Count(said, "\n") != 1 {
			t.Errorf("roost %v = %d, %q; want %d and one line with %q", row.args, code, said, row.code, row.said)
		}
	}
}

func TestALeaseLivesForAsLongAsItIsKept(t *testing.T) {
	t.Parallel()
	node := serve(t)
	const ttl = 3 * time.Second
	kept, left := grant(t, node.url, "--ttl", ttl.String()), grant(t, node.url, "--ttl", ttl.String())
	must(t, node.url, "register", "payments/kept", "--lease", kept.Lease)
	must(t, node.url, "register", "payments/left", "--lease", left.Lease)
	poll(t, "end of the lease that was left", func() bool {
		if got := must(t, node.url, "lease", "keep", kept.Lease); got != "" {
			t.Fatalf("roost lease keep printed %q", got)
		}
		_, there := find(t, node.url, "payments/left")
		return !there
	})
	if f, _ := find(t, node.url, "payments/kept"); f.Owner != kept.Owner {
		t.Errorf("what was kept alive is %+v; want it there", f)
	}
	code, out, said := roost(t, node.url, "lease", "keep", "--json", kept.Lease, left.Lease)
	if code != exitConflict || !strings.Contains(out, `{"expired":["`+left.Owner+`"]`) || !strings.Contains(said, left.Owner) || strings.Contains(said, kept.Owner) {
		t.Errorf("roost lease keep of both = %d, %q, %q; want %d and the one that has ended", code, out, said, exitConflict)
	}
}

func TestLeasesInJSONAreTheRegistrysReply(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	g := grant(t, node.url, "--ttl", "1h", "--name", "nightly")
	nc, err := nats.Connect(node.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	remaining := regexp.MustCompile(`"remaining_ms":\d+`)
	for subject, args := range map[string][]string{
		"roost.v1.lease.list":           {"lease", "list", "--json"},
		"roost.v1.lease.get." + g.Owner: {"lease", "get", g.Owner, "--json"},
	} {
		raw, err := nc.Request(subject, nil, patience)
		if err != nil {
			t.Fatal(err)
		}
		got, want := remaining.ReplaceAllString(must(t, node.url, args...), ""), remaining.ReplaceAllString(string(raw.Data), "")+"\n"
		if got != want {
			t.Errorf("roost %v printed\n%swant\n%s", args, got, want)
		}
	}
	if got := must(t, node.url, "lease", "revoke", g.Lease, "--json"); got != "{\"removed\":0}\n" {
		t.Errorf("roost lease revoke --json printed %q", got)
	}
	if got := must(t, node.url, "lease", "list"); got != "no leases\n" {
		t.Errorf("roost lease list printed %q", got)
	}
}

func TestWrongUsageOfLeasesIsSaidInALine(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	for _, row := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"grant", "--ttl", "10ms"}, exitUsage, "1000 to 86400000"},
		{[]string{"grant", "--ttl", "0s"}, exitUsage, "--ttl 0s"},
		{[]string{"grant", "more"}, exitUsage, "more"},
		{[]string{"keep"}, exitUsage, "SECRET is missing"},
		{[]string{"keep", "short"}, exitUsage, "22 to 64"},
		{[]string{"get"}, exitUsage, "OWNER is missing"},
		{[]string{"get", "nobody"}, exitUsage, "26 characters"},
		{[]string{"revoke", "H4QWDBVVTIQXVMV2OS6CNXVIUA", "--reason", "x"}, exitUsage, "--owner"},
		{[]string{"nonsense"}, exitUsage, "roost lease --help"},
		{[]string{"list", "--prefix", "nobody.v1", "--timeout", "500ms"}, exitUnavailable, "--prefix"},
	} {
		code, _, said := roost(t, node.url, append([]string{"lease"}, row.args...)...)
		if code != row.code || !strings.Contains(said, row.said) || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "roost: ") {
			t.Errorf("roost lease %v = %d, %q; want %d and one line with %q", row.args, code, said, row.code, row.said)
		}
	}
}

func TestHealthShowsLeases(t *testing.T) {
	t.Parallel()
	node := serve(t)
	grant(t, node.url, "--ttl", "1h")
	grant(t, node.url, "--ttl", "1h")
	got := must(t, node.url, "health")
	for _, want := range []string{"leases              2, 0 of them suspect, 0 held back\n", "closed connections  noticed at once\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("roost health printed\n%swant %q in it", got, want)
		}
	}
	var reply struct {
		Leases, Suspects, Held *int
		ConnectionEvents       *bool `json:"connection_events"`
	}
	if err := json.Unmarshal([]byte(must(t, node.url, "health", "--json")), &reply); err != nil {
		t.Fatal(err)
	}
	if reply.Leases == nil || *reply.Leases != 2 || reply.Suspects == nil || reply.Held == nil || reply.ConnectionEvents == nil || !*reply.ConnectionEvents {
		t.Errorf("roost health --json printed %+v", reply)
	}
}
