package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/bus"
)

// wireBackend is an empty registry in memory.
func wireBackend(t testing.TB, live backend.Liveness) backend.Backend {
	t.Helper()
	b := memory.New(live, memory.WithEpoch(5))
	t.Cleanup(func() { b.Close() })
	return b
}

func serveMemory(t testing.TB) *wireWorld {
	t.Helper()
	return serveWire(t, wireBackend(t, backend.Nobody), 0, nil)
}

func TestARawRegisterIsLookedUpAsTheProtocolSays(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	const body = `{"endpoints":{"http":"http://10.0.0.7:8080"},"metadata":{"version":"2.1.0","n":9007199254740993,"limits":{"rps":2e2}},
		"service":"payments","instance":"10.0.0.7:8080","namespace":"default"}`
	before := time.Now().Add(-time.Second)
	registered := w.must(t, nil, "registry.register.default.payments.10=2E0=2E0=2E7=3A8080", body)
	looked := w.must(t, nil, "registry.lookup.default.payments.10=2E0=2E0=2E7=3A8080", "")
	if diff := cmp.Diff(string(registered.Data), string(looked.Data)); diff != "" {
		t.Errorf("look-up (-registered +found):\n%s", diff)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(looked.Data, &got); err != nil {
		t.Fatal(err)
	}
	var at time.Time
	if err := json.Unmarshal(got["created_at"], &at); err != nil || at.Before(before) || time.Now().Before(at) {
		t.Errorf("created_at %s, %v", got["created_at"], err)
	}
	for name, want := range map[string]string{
		"namespace": `"default"`, "service": `"payments"`, "instance": `"10.0.0.7:8080"`,
		"endpoints": `{"http":"http://10.0.0.7:8080"}`, "metadata": `{"version":"2.1.0","n":9007199254740993,"limits":{"rps":2e2}}`,
		"weight": "100", "status": `"up"`, "owner": `""`, "revision": "1", "created_revision": "1", "updated_at": string(got["created_at"]),
	} {
		if string(got[name]) != want {
			t.Errorf("%s is %s; want %s", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) != 1 {
		t.Errorf("unexpected members: %v", got)
	}
	wantHeaders(t, registered, "1", "5", "")
	wantHeaders(t, looked, "1", "5", "0")
}

func wantHeaders(t *testing.T, m *nats.Msg, revision, epoch, age string) {
	t.Helper()
	got := [3]string{m.Header.Get("Roost-Revision"), m.Header.Get("Roost-Epoch"), m.Header.Get("Roost-Age-Ms")}
	if want := [3]string{revision, epoch, age}; got != want {
		t.Errorf("revision, epoch and age %q; want %q", got, want)
	}
}

func TestARawUpdateReplacesWhatItNamesAndMergesMetadata(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	w.must(t, nil, "registry.register.default.payments.i-1", `{"metadata":{"a":1,"b":{"c":2,"d":3}},"weight":7}`)
	var got backend.Registration
	w.must(t, &got, "registry.update.default.payments.i-1", `{"merge_metadata":{"a":null,"b":{"c":9}},"status":"draining","if_revision":1}`)
	if got.Metadata != `{"b":{"c":9,"d":3}}` || got.Status != backend.Draining || got.Weight != 7 || got.Revision != 2 || got.CreatedRevision != 1 {
		t.Errorf("got %+v", got)
	}
	w.must(t, &got, "registry.update.default.payments.i-1", `{"metadata":{}}`)
	if got.Metadata != "" || got.Revision != 3 {
		t.Errorf("got %+v", got)
	}
	w.must(t, &got, "registry.update.default.payments.i-1", `{"weight":7}`)
	if got.Revision != 3 {
		t.Errorf("an update that changes nothing made revision %d", got.Revision)
	}
}

func TestARawUnregisterSaysWhetherSomethingWasThere(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	w.must(t, nil, "registry.register.default.leader._", `{}`)
	for _, want := range []string{`{"removed":true,"revision":2}`, `{"removed":false}`} {
		if got := w.must(t, nil, "registry.unregister.default.leader._", `{"reason":"moved"}`); string(got.Data) != want {
			t.Errorf("got %s; want %s", got.Data, want)
		}
	}
	w.must(t, nil, "registry.register.default.leader._", `{}`)
	if got := w.must(t, nil, "admin.unregister.default.leader._", `{"reason":"gone"}`); string(got.Data) != `{"removed":true,"revision":4}` {
		t.Errorf("admin: got %s", got.Data)
	}
	w.fail(t, bus.CodeInvalid, "admin.unregister.default.leader._", `{"if_revision":1}`)
}

// furnish registers 3 services in 2 namespaces, 2 instances each; every second is draining.
func (w *wireWorld) furnish(t testing.TB) {
	t.Helper()
	for _, service := range []string{"a.x", "a.y", "b.x"} {
		for i, status := range []string{"up", "draining"} {
			w.must(t, nil, fmt.Sprintf("registry.register.%s.i-%d", service, i),
				fmt.Sprintf(`{"status":%q,"metadata":{"limits":{"rps":%d},"tags":["t%d","all"]}}`, status, i*100, i))
		}
	}
}

func TestRawListsAndCountsSelectByScopeWhereFilterAndStatus(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	w.furnish(t)
	for _, c := range []struct {
		scope, body string
		want        []string
	}{
		{"", "", []string{"a.x.i-0", "a.x.i-1", "a.y.i-0", "a.y.i-1", "b.x.i-0", "b.x.i-1"}},
		{".a", "", []string{"a.x.i-0", "a.x.i-1", "a.y.i-0", "a.y.i-1"}},
		{".a.y", `{"namespace":"a","service":"y"}`, []string{"a.y.i-0", "a.y.i-1"}},
		{".none", "", []string{}},
		{"", `{"status":"draining"}`, []string{"a.x.i-1", "a.y.i-1", "b.x.i-1"}},
		{".a", `{"status":["up","down"]}`, []string{"a.x.i-0", "a.y.i-0"}},
		{".a", `{"where":{"limits.rps":1e2}}`, []string{"a.x.i-1", "a.y.i-1"}},
		{"", `{"where":{"tags":"t0","limits.rps":0}}`, []string{"a.x.i-0", "a.y.i-0", "b.x.i-0"}},
		{"", `{"filter":"metadata.limits.rps >= 100 && namespace == 'b'"}`, []string{"b.x.i-1"}},
	} {
		var list bus.ListReply
		reply := w.must(t, &list, "registry.list"+c.scope, c.body)
		got := make([]string, 0, len(c.want))
		for _, r := range list.Registrations {
			got = append(got, r.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" || list.Next != "" {
			t.Errorf("list%s %s: next %q (-want +got):\n%s", c.scope, c.body, list.Next, diff)
		}
		wantHeaders(t, reply, "6", "5", "0")
		var count bus.CountReply
		w.must(t, &count, "registry.count"+c.scope, c.body)
		if count.Count != len(c.want) {
			t.Errorf("count%s %s: %d; want %d", c.scope, c.body, count.Count, len(c.want))
		}
	}
}

func TestRawListsAreWalkedPageByPage(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	w.furnish(t)
	var got []string
	after, pages := "", 0
	for {
		var list bus.ListReply
		w.must(t, &list, "registry.list", fmt.Sprintf(`{"limit":4,"after":%q}`, after))
		for _, r := range list.Registrations {
			got = append(got, r.String())
		}
		pages++
		if after = list.Next; after == "" {
			break
		}
	}
	if pages != 2 || len(got) != 6 || !slices.IsSorted(got) {
		t.Errorf("%d pages with %v", pages, got)
	}
}

func TestRawServicesAreSummedUp(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	w.furnish(t)
	got := w.must(t, nil, "registry.services.a", "")
	const want = `{"services":[{"namespace":"a","service":"x","instances":2,"up":1,"revision":2},{"namespace":"a","service":"y","instances":2,"up":1,"revision":4}]}`
	if string(got.Data) != want {
		t.Errorf("got %s; want %s", got.Data, want)
	}
	var all, rest bus.ServicesReply
	w.must(t, &all, "registry.services", `{"limit":2}`)
	w.must(t, &rest, "registry.services", fmt.Sprintf(`{"after":%q}`, all.Next))
	if len(all.Services) != 2 || len(rest.Services) != 1 || rest.Next != "" || rest.Services[0].Namespace != "b" {
		t.Errorf("pages %+v and %+v", all, rest)
	}
	if got := w.must(t, nil, "registry.services.none", ""); string(got.Data) != `{"services":[]}` {
		t.Errorf("none: %s", got.Data)
	}
}

func TestARawBatchAnswersEachOperationInOrder(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	var got bus.BatchReply
	reply := w.must(t, &got, "registry.batch.default", `{"operations":[
		{"op":"register","service":"a","instance":"1","metadata":{"x":1}},
		{"op":"update","service":"none","weight":1},
		{"op":"register","service":"_bad","instance":"1"},
		{"op":"register","service":"a","namespace":"other"},
		{"op":"update","service":"a","instance":"1","merge_metadata":{"y":2}},
		{"op":"unregister","service":"a","instance":"1","reason":"x","if_revision":7},
		{"op":"explode","service":"a"},
		{"op":"unregister","service":"a","weight":1},
		{"op":"register","service":"a","reason":"x"},
		{"op":"unregister","service":"a","instance":"1"},
		{"op":"unregister","service":"a","instance":"1"}]}`)
	var codes []string
	for _, r := range got.Results {
		switch {
		case r.Error != nil:
			codes = append(codes, string(r.Code)+" "+r.Field)
		case r.Removed != nil:
			codes = append(codes, fmt.Sprintf("removed %t %d", *r.Removed, r.Revision))
		default:
			codes = append(codes, strconv.FormatUint(uint64(r.Revision), 10))
		}
	}
	want := []string{
		"1", "not_found ", "invalid service", "invalid namespace", "2", "conflict ", "invalid op",
		"invalid weight", "invalid reason", "removed true 3", "removed false 0",
	}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("%s (-want +got):\n%s", reply.Data, diff)
	}
	if e := got.Results[5].Error; e.Revision == nil || *e.Revision != 2 {
		t.Errorf("the conflict says revision %v; want 2", e.Revision)
	}
}

func TestARawAtomicBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	e := w.fail(t, bus.CodeConflict, "registry.batch.default", `{"atomic":true,"operations":[
		{"op":"register","service":"a"},{"op":"register","service":"b","if_revision":9}]}`)
	if e.Index == nil || *e.Index != 1 {
		t.Errorf("the failure is that of operation %v; want 1", e.Index)
	}
	e = w.fail(t, bus.CodeInvalid, "registry.batch.default", `{"atomic":true,"operations":[
		{"op":"register","service":"a"},{"op":"register","service":"b","weight":1,"lease":"short"}]}`)
	if e.Index == nil || *e.Index != 1 || e.Field != "lease" {
		t.Errorf("the failure is that of operation %v, field %q; want 1, lease", e.Index, e.Field)
	}
	w.fail(t, bus.CodeInvalid, "registry.batch.default", `{"atomic":true,"operations":[{"op":"register","service":"a"},{"op":"register","service":"a"}]}`)
	w.fail(t, bus.CodeInvalid, "registry.batch.default", `{}`)
	var count bus.CountReply
	if w.must(t, &count, "registry.count", ""); count.Count != 0 {
		t.Errorf("%d registrations after batches that failed", count.Count)
	}
	var got bus.BatchReply
	w.must(t, &got, "registry.batch.default", `{"atomic":true,"operations":[{"op":"register","service":"a"},{"op":"register","service":"b"}]}`)
	if len(got.Results) != 2 || got.Results[1].Revision == 0 {
		t.Errorf("got %+v", got)
	}
	if got := w.must(t, nil, "registry.batch.default", `{"operations":[]}`); string(got.Data) != `{"results":[]}` {
		t.Errorf("empty batch: %s", got.Data)
	}
}

func TestARawHealthRequestSaysHowTheNodeIs(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	w.furnish(t)
	w.fail(t, bus.CodeNotFound, "registry.lookup.a.none.i-0", "")
	var got bus.HealthReply
	w.must(t, &got, "registry.health", "{}")
	got.Requests.InFlight = 0
	want := bus.HealthReply{
		Status: backend.Healthy, Node: "roost", Version: "0.0.0", Backend: "memory", State: got.State, Registrations: 6, Services: 3,
		Revision: 6, Epoch: 5, Requests: bus.RequestStats{Limit: 1024, WaitingLimit: 10_000, Answered: 6, Failed: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
}

func TestTheServiceDescribesItselfToNATS(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	w.furnish(t)
	reply, err := w.nc.Request("$SRV.INFO.roost", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Version   string
		Metadata  map[string]string
		Endpoints []struct {
			Name, Subject string
			QueueGroup    string `json:"queue_group"`
			Metadata      map[string]string
		}
	}
	if err := json.Unmarshal(reply.Data, &info); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range info.Endpoints {
		got = append(got, e.Subject)
		queue := "roost"
		if e.Subject == "roost.v1.admin.health" { // every node answers
			queue = ""
		}
		if e.QueueGroup != queue || e.Metadata["description"] == "" || e.Metadata["request"] == "" || e.Metadata["reply"] == "" {
			t.Errorf("endpoint %+v says too little", e)
		}
	}
	want := []string{
		"roost.v1.registry.register.*.*.*", "roost.v1.registry.lookup.*.*.*", "roost.v1.registry.update.*.*.*",
		"roost.v1.registry.unregister.*.*.*", "roost.v1.registry.list", "roost.v1.registry.list.*", "roost.v1.registry.list.*.*",
		"roost.v1.registry.count", "roost.v1.registry.count.*", "roost.v1.registry.count.*.*", "roost.v1.registry.services",
		"roost.v1.registry.services.*", "roost.v1.registry.batch.*", "roost.v1.registry.health",
		"roost.v1.admin.health", "roost.v1.admin.cluster.remove", "roost.v1.admin.unregister.*.*.*",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if info.Metadata["node"] != "roost" || info.Metadata["prefix"] != "roost.v1" {
		t.Errorf("metadata %v", info.Metadata)
	}
	if reply, err = w.nc.Request("$SRV.STATS.roost", nil, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Endpoints []struct {
			Name string
			Data struct{ Answered, Failed int }
		}
	}
	if err := json.Unmarshal(reply.Data, &stats); err != nil {
		t.Fatal(err)
	}
	if stats.Endpoints[0].Name != "register" || stats.Endpoints[0].Data.Answered != 6 {
		t.Errorf("statistics of register: %+v; want 6 answered", stats.Endpoints[0])
	}
}
