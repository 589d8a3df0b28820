package bus_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func ptr[T any](v T) *T { return &v }

// payments is the registration of the protocol's examples.
func payments(t *testing.T) backend.Registration {
	t.Helper()
	metadata, err := backend.ParseMetadata([]byte(
		`{"version": "2.1.0", "region": "eu-west", "capabilities": ["charge", "refund"], "limits": {"rps": 200}}`))
	if err != nil {
		t.Fatal(err)
	}
	return backend.Registration{
		Key:       backend.Key{Namespace: "default", Service: "payments", Instance: "10.0.0.7:8080"},
		Endpoints: backend.EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080", "nats": "nats:payments.charge"}),
		Metadata:  metadata, Weight: 100, Status: backend.Up,
		Owner: bus.Owner("pTqkZ4mB7sUe1Xh0aWc9Rg"), Revision: 42, CreatedRevision: 40,
		CreatedAt: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		UpdatedAt: time.Date(2026, 11, 21, 10, 5, 0, 0, time.UTC),
	}
}

// messages are every request and reply, by the name of its golden file.
func messages(t *testing.T) map[string]any {
	t.Helper()
	r := payments(t)
	content := bus.ContentOf(&r)
	patch, err := backend.ParsePatch([]byte(`{"region": null, "limits": {"rps": 300}}`))
	if err != nil {
		t.Fatal(err)
	}
	rps, err := backend.ScalarOf(200)
	if err != nil {
		t.Fatal(err)
	}
	region, err := backend.ScalarOf("eu-west")
	if err != nil {
		t.Fatal(err)
	}
	freshness := bus.Freshness{MinRevision: 42, Consistency: "linearizable", MaxAgeMs: ptr(int64(1000))}
	conditions := bus.Conditions{
		Where:  map[string]backend.Scalar{"region": region, "limits.rps": rps},
		Filter: `metadata.region in ["eu-west","eu-north"] && weight > 50`,
		Status: bus.Statuses{backend.Up, backend.Draining},
	}
	lease := "pTqkZ4mB7sUe1Xh0aWc9Rg"
	connection := &bus.Connection{ServerID: "NCPXBXTZV6QW3ZBBHJFFOJ2YKQWKTPWEZ7BJUDVC2TTDPGNZKJ4MHWJ5", ClientID: 31}
	held := bus.Lease{
		Owner: r.Owner, Name: "payments-7f9c", TTLMs: 15_000, RemainingMs: 11_250, State: "live", Registrations: 3,
		GrantedAt: bus.Instant(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)),
	}
	all := map[string]any{
		"request_register": bus.RegisterRequest{Content: content, Guard: bus.GuardOf(lease, backend.IfAbsent())},
		"request_lookup":   bus.LookupRequest{Freshness: freshness, WaitMs: ptr(int64(30_000))},
		"request_update": bus.UpdateRequest{
			Content: bus.ContentOfChange(backend.Change{Status: ptr(backend.Draining), Weight: ptr(uint16(0))}),
			Guard:   bus.GuardOf(lease, backend.IfRevision(42)),
		},
		"request_update_merge": bus.UpdateRequest{Content: bus.ContentOfChange(backend.Change{Merge: &patch})},
		"request_unregister": bus.UnregisterRequest{
			Guard: bus.GuardOf(lease, backend.IfRevision(42)), Reason: "scaled down",
		},
		"request_admin_unregister": bus.AdminUnregisterRequest{Reason: "host is gone"},
		"request_list": bus.ListRequest{
			Conditions: conditions, Paging: bus.Paging{Limit: ptr(100), After: "MSA0MiBkZWZhdWx0LnBheW1lbnRzLmktMQ"},
			Freshness: freshness,
		},
		"request_list_since": bus.ListRequest{
			Since: ptr(backend.Revision(42)), WaitMs: ptr(int64(30_000)), Freshness: bus.Freshness{MinRevision: 43},
		},
		"request_count":    bus.CountRequest{Conditions: conditions},
		"request_services": bus.ServicesRequest{Paging: bus.Paging{Limit: ptr(100)}},
		"request_batch": bus.BatchRequest{Atomic: true, Operations: []bus.BatchOperation{
			{Op: "register", Identity: bus.Identity{Service: ptr("payments"), Instance: ptr("i-1")}, Content: content},
			{
				Op: "update", Identity: bus.Identity{Service: ptr("orders"), Instance: ptr("i-1")},
				Content: bus.ContentOfChange(backend.Change{Weight: ptr(uint16(50))}),
			},
			{Op: "unregister", Identity: bus.Identity{Service: ptr("leader")}, Reason: "moved"},
		}},
		"request_health": bus.HealthRequest{},

		"request_lease_grant": bus.GrantRequest{
			Lease: lease, TTLMs: ptr(int64(15_000)), GraceMs: ptr(int64(2000)), Name: "payments-7f9c", Connection: connection,
		},
		"request_lease_grant_least": bus.GrantRequest{Lease: lease},
		"request_lease_keepalive":   bus.KeepaliveRequest{Lease: lease, Connection: connection},
		"request_lease_keepalives": bus.KeepaliveRequest{
			Leases: []string{lease, "8fJd02mWq_Zx-5TtYbNc3LvR"}, Connection: connection,
		},
		"request_lease_revoke": bus.RevokeRequest{Lease: lease},
		"request_switch":       bus.SwitchRequest{Backend: "hybrid", Bucket: "roost_v2", NATSURL: "nats://nats-1:4222", DryRun: true},
		"request_switch_abort": bus.SwitchAbortRequest{Reason: "wrong bucket"},
		"reply_switch": bus.SwitchReply{
			Node: "roost-2", Backend: "hybrid", Home: bus.Place{Kind: "bucket", Bucket: "roost_v1"}, Nodes: []string{"roost-1", "roost-2"},
			WaitingMs: 12, Switch: &bus.Switch{
				ID: "tp5ucqtql7", State: bus.SwitchPausing, From: bus.Place{Kind: "bucket", Bucket: "roost_v1"},
				To: bus.Place{Kind: "bucket", Bucket: "roost_v2", NATSURL: "nats://nats-1:4222"}, Node: "roost-1",
				StartedAt: bus.Instant(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)), Copied: 120, Keys: 120,
			},
		},
		"reply_switch_plan": bus.SwitchReply{
			Node: "roost-2", Backend: "hybrid", Home: bus.Place{Kind: "memory"}, Nodes: []string{"roost-2"},
			Plan: &bus.SwitchPlan{To: bus.Place{Kind: "bucket", Bucket: "roost_v1"}, Keys: 120, Replaces: 80},
		},
		"request_admin_revoke": bus.AdminRevokeRequest{Reason: "host is gone"},
		"request_lease_get":    bus.LeaseRequest{Freshness: bus.Freshness{MinRevision: 42}},
		"request_lease_list": bus.LeasesRequest{
			Paging: bus.Paging{Limit: ptr(100), After: r.Owner}, Freshness: bus.Freshness{Consistency: "linearizable"},
		},

		"reply_lease_grant":          bus.GrantReply{Owner: r.Owner, TTLMs: 15_000, GraceMs: 2000, Term: 7},
		"reply_lease_keepalive":      bus.KeepaliveReply{TTLMs: 15_000, Term: 7},
		"reply_lease_keepalives":     bus.KeepalivesReply{Expired: []string{bus.Owner("8fJd02mWq_Zx-5TtYbNc3LvR")}, Term: 7},
		"reply_lease_keepalives_all": bus.KeepalivesReply{Expired: []string{}, Term: 7},
		"reply_lease_revoke":         bus.RevokeReply{Removed: 3},
		"reply_lease_get":            held,
		"reply_lease_list":           bus.LeasesReply{Leases: []bus.Lease{held}, Next: r.Owner},
		"reply_lease_list_empty":     bus.LeasesReply{Leases: []bus.Lease{}},

		"beacon": bus.Beacon{Revision: 42, Epoch: 1792454400, Feed: "6p3vd0q1t9k2n8sm", Keeper: bus.Keeper{Node: "roost-2", Term: 7}},

		"reply_registration":      r,
		"reply_unregister":        bus.UnregisterReply{Removed: true, Revision: 43},
		"reply_unregister_absent": bus.UnregisterReply{},
		"reply_list":              bus.ListReply{Registrations: []*backend.Registration{&r}, Next: "MSA0MiBkZWZhdWx0LnBheW1lbnRzLmktMQ"},
		"reply_list_empty":        bus.ListReply{Registrations: []*backend.Registration{}},
		"reply_list_since": bus.ListReply{
			Registrations: []*backend.Registration{&r},
			Removed: []backend.Removed{
				{Key: backend.Key{Namespace: "default", Service: "payments", Instance: "10.0.0.8:8080"}, Revision: 44, Reason: backend.ReasonExpired},
				{Key: backend.Key{Namespace: "default", Service: "payments", Instance: "10.0.0.9:8080"}, Revision: 45, Reason: backend.ReasonUnmatched},
			},
		},
		"reply_list_since_nothing": bus.ListReply{Registrations: []*backend.Registration{}, Removed: []backend.Removed{}},
		"reply_count":              bus.CountReply{Count: 7},
		"reply_services": bus.ServicesReply{Services: []backend.ServiceInfo{
			{Namespace: "default", Service: "payments", Instances: 3, Up: 2, Revision: 42},
		}},
		"reply_batch": bus.BatchReply{Results: []bus.BatchResult{
			{Revision: 44},
			{Error: bus.ErrorFrom(&backend.ConflictError{Key: r.Key, Revision: 42})},
			{Revision: 45, Removed: ptr(true)},
			{Removed: ptr(false)},
		}},
		"reply_health": bus.HealthReply{
			Status: backend.Degraded, Problems: []string{"the view has not heard from the store for 3s"},
			Node: "roost-1", Version: "0.1.0", Backend: "hybrid", State: "stale", Registrations: 120, Services: 9,
			Revision: 42, Epoch: 1, AgeMs: 3100,
			Leases: 40, Suspects: ptr(1), Held: ptr(0), ConnectionEvents: ptr(true),
			Keeper: &bus.Keeper{Node: "roost-2", Term: 7},
			Cluster: &bus.Cluster{
				Name: "roost", Server: "roost-1", Embedded: true, Replicas: 3,
				Streams: []bus.Stream{{
					Name: "KV_roost_v1", Replicas: 3, Leader: "roost-2",
					Others: []bus.Peer{{Name: "roost-1", Current: true}, {Name: "roost-3", Offline: true, Lag: 17}},
				}},
				Peers: []bus.Peer{{Name: "roost-1", Current: true}, {Name: "roost-2", Current: true}, {Name: "roost-3", Offline: true}},
			},
			Requests:   bus.RequestStats{InFlight: 3, Limit: 1024, Waiting: 12, WaitingLimit: 10_000, Answered: 1200, Failed: 7},
			Operations: []bus.Operation{{Name: "lookup", Count: 1000, Refused: 12, P50Us: 3, P99Us: 41, MaxUs: 870}},
			Tasks:      []bus.Task{{Name: "feed", State: "running", Restarts: 1, Error: "nats: connection closed"}},
		},
	}
	all["request_admin_cluster_remove"], all["reply_admin_cluster_remove"] = bus.RemoveNodeRequest{Node: "roost-3"}, bus.RemoveNodeReply{Removed: true}
	maps.Copy(all, objectMessages())
	maps.Copy(all, markMessages())
	maps.Copy(all, historyMessages())
	return all
}

func TestEveryMessageIsWrittenAsItsGoldenFileSaysAndReadBackEqual(t *testing.T) {
	t.Parallel()
	for name, message := range messages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := marshal(t, message)
			golden(t, name, text)
			var compact bytes.Buffer
			if err := json.Compact(&compact, text); err != nil {
				t.Fatal(err)
			}
			got := reflect.New(reflect.TypeOf(message))
			if err := json.Unmarshal(compact.Bytes(), got.Interface()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(message, got.Elem().Interface(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheStoredFormIsWrittenAsItsGoldenFileSays(t *testing.T) {
	t.Parallel()
	r := payments(t)
	var text bytes.Buffer
	if err := json.Indent(&text, r.AppendStored(nil), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "event_updated", append(text.Bytes(), '\n'))
}

// marshal returns v as a person would like to read it.
func marshal(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// golden compares text with a golden file, or writes it with -update.
func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s (-golden +written):\n%s", path, diff)
	}
}
