package server_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
)

// requests returns an empty message of each kind of request, by the name of its golden file.
func requests() map[string]func() any {
	return map[string]func() any{
		"register":             func() any { return new(bus.RegisterRequest) },
		"lookup":               func() any { return new(bus.LookupRequest) },
		"update":               func() any { return new(bus.UpdateRequest) },
		"update_merge":         func() any { return new(bus.UpdateRequest) },
		"unregister":           func() any { return new(bus.UnregisterRequest) },
		"admin_unregister":     func() any { return new(bus.AdminUnregisterRequest) },
		"list":                 func() any { return new(bus.ListRequest) },
		"count":                func() any { return new(bus.CountRequest) },
		"services":             func() any { return new(bus.ServicesRequest) },
		"batch":                func() any { return new(bus.BatchRequest) },
		"health":               func() any { return new(bus.HealthRequest) },
		"lease_grant":          func() any { return new(bus.GrantRequest) },
		"lease_keepalive":      func() any { return new(bus.KeepaliveRequest) },
		"lease_keepalives":     func() any { return new(bus.KeepaliveRequest) },
		"lease_revoke":         func() any { return new(bus.RevokeRequest) },
		"lease_get":            func() any { return new(bus.LeaseRequest) },
		"lease_list":           func() any { return new(bus.LeasesRequest) },
		"admin_revoke":         func() any { return new(bus.AdminRevokeRequest) },
		"admin_cluster_remove": func() any { return new(bus.RemoveNodeRequest) },
		"campaign":             func() any { return new(bus.CampaignRequest) },
		"resign":               func() any { return new(bus.ResignRequest) },
		"transfer":             func() any { return new(bus.TransferRequest) },
		"lock":                 func() any { return new(bus.LockRequest) },
		"release":              func() any { return new(bus.ReleaseRequest) },
		"semaphore":            func() any { return new(bus.SemaphoreRequest) },
		"arrive":               func() any { return new(bus.ArriveRequest) },
		"add":                  func() any { return new(bus.AddRequest) },
		"propose":              func() any { return new(bus.ProposeRequest) },
		"propose_service":      func() any { return new(bus.ProposeRequest) },
		"vote":                 func() any { return new(bus.VoteRequest) },
		"object":               func() any { return new(bus.ObjectRequest) },
		"proposal":             func() any { return new(bus.ProposalRequest) },
		"objects":              func() any { return new(bus.ObjectsRequest) },
		"admin_release":        func() any { return new(bus.AdminReleaseRequest) },
		"admin_marks":          func() any { return new(bus.MarksRequest) },
		"admin_restore":        func() any { return new(bus.RestoreRequest) },
		"admin_epoch":          func() any { return new(bus.EpochRequest) },
		"admin_history":        func() any { return new(bus.HistoryRequest) },
		"switch":               func() any { return new(bus.SwitchRequest) },
		"switch_abort":         func() any { return new(bus.SwitchAbortRequest) },
	}
}

func goldenRequest(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "golden", "request_"+name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestEveryGoldenRequestIsUnderstoodAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	for name, empty := range requests() {
		text := goldenRequest(t, name)
		got, want := empty(), empty()
		if err := server.Decode(text, got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := json.Unmarshal(text, want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-encoding/json +decoded):\n%s", name, diff)
		}
	}
}

func TestAnEmptyBodyIsAnEmptyObject(t *testing.T) {
	t.Parallel()
	for name, empty := range requests() {
		for _, body := range []string{"", "{}", " {\n}\t"} {
			got := empty()
			if err := server.Decode([]byte(body), got); err != nil {
				t.Errorf("%s %q: %v", name, body, err)
			}
			if diff := cmp.Diff(empty(), got); diff != "" {
				t.Errorf("%s %q: %s", name, body, diff)
			}
		}
	}
}

func TestABodyThatIsNoStrictJSONObjectIsInvalid(t *testing.T) {
	t.Parallel()
	for name, empty := range requests() {
		for _, body := range []string{
			" ", "null", "[]", `"x"`, "7", "{", "}", "{}{}", "{} x", `{"a"}`, "{'a':1}", "{a:1}", "\xff", "{\"\xff\":1}",
			"// c\n{}", strings.Repeat("[", 20000), "\x00",
		} {
			wantInvalid(t, name, body, server.Decode([]byte(body), empty()), "body")
		}
		wantInvalid(t, name, `{"surprise":1}`, server.Decode([]byte(`{"surprise":1}`), empty()), "surprise")
		for body, takes := range map[string][]string{`{"since":1}`: {"list"}, `{"wait_ms":1}`: {"list", "lookup", "campaign", "lock", "semaphore", "arrive"}} {
			if err := server.Decode([]byte(body), empty()); slices.Contains(takes, name) {
				if err != nil {
					t.Errorf("%s %s: %v; want nil", name, body, err)
				}
			} else {
				wantInvalid(t, name, body, err, strings.Split(body, `"`)[1])
			}
		}
	}
}

// wantInvalid checks that err is an InvalidError about field. An empty field stands for any.
func wantInvalid(t *testing.T, name, body string, err error, field string) {
	t.Helper()
	if len(body) > 80 {
		body = body[:80] + "…"
	}
	d, ok := errors.AsType[*backend.InvalidError](err)
	if !ok {
		t.Errorf("%s %q: got %v; want ErrInvalid", name, body, err)
		return
	}
	if field != "" && d.Field != field && (field != "body" || !strings.HasPrefix(body, `{`)) {
		t.Errorf("%s %q: the error is about %q (%s); want %q", name, body, d.Field, d.Problem, field)
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ request, body, field string }{
		{"list", `{"since":-1}`, "since"},
		{"list", `{"since":"1"}`, "since"},
		{"list", `{"since":null}`, "since"},
		{"list", `{"since":1.5}`, "since"},
		{"list", `{"wait_ms":true}`, "wait_ms"},
		{"lookup", `{"wait_ms":null}`, "wait_ms"},
		{"lookup", `{"wait_ms":"1"}`, "wait_ms"},
		{"lookup", `{"wait_ms":1e30}`, "wait_ms"},
		{"register", `{"weight":70000}`, "weight"},
		{"register", `{"weight":-1}`, "weight"},
		{"register", `{"weight":1.5}`, "weight"},
		{"register", `{"weight":"1"}`, "weight"},
		{"register", `{"weight":null}`, "weight"},
		{"register", `{"weight":1,"weight":1}`, "weight"},
		{"register", `{"Weight":1}`, "Weight"},
		{"register", `{"status":"away"}`, "status"},
		{"register", `{"status":null}`, "status"},
		{"register", `{"status":1}`, "status"},
		{"register", `{"endpoints":{"http":1}}`, "endpoints.http"},
		{"register", `{"endpoints":{"http":null}}`, "endpoints.http"},
		{"register", `{"endpoints":{"a":"x","a":"y"}}`, "endpoints.a"},
		{"register", `{"endpoints":{"a":"x","\u0061":"y"}}`, "endpoints.a"},
		{"register", `{"endpoints":[]}`, "endpoints"},
		{"register", `{"endpoints":null}`, "endpoints"},
		{"register", `{"metadata":[]}`, "metadata"},
		{"register", `{"metadata":null}`, "metadata"},
		{"register", `{"metadata":{"a":{"b":1,"b":2}}}`, "metadata.a.b"},
		{"register", `{"metadata":` + strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9) + `}`, "metadata.a.a.a.a.a.a.a.a"},
		{"register", `{"metadata":{"a":"\ud800"}}`, "metadata.a"},
		{"register", `{"lease":null}`, "lease"},
		{"register", `{"lease":""}`, "lease"},
		{"register", `{"l\u0065ase":""}`, "lease"},
		{"register", `{"lease":7}`, "lease"},
		{"register", `{"if_revision":null}`, "if_revision"},
		{"register", `{"if_revision":-1}`, "if_revision"},
		{"register", `{"if_revision":"1"}`, "if_revision"},
		{"register", `{"if_revision":1e3}`, "if_revision"},
		{"register", `{"if_revision":18446744073709551616}`, "if_revision"},
		{"register", `{"namespace":null}`, "namespace"},
		{"register", `{"service":3}`, "service"},
		{"register", `{"instance":{}}`, "instance"},
		{"register", `{"reason":"x"}`, "reason"},
		{"register", `{"owner":"x"}`, "owner"},
		{"register", `{"":1}`, ""},
		{"update", `{"merge_metadata":null}`, "merge_metadata"},
		{"unregister", `{"reason":null}`, "reason"},
		{"unregister", `{"reason":1}`, "reason"},
		{"unregister", `{"weight":1}`, "weight"},
		{"admin_unregister", `{"lease":"x"}`, "lease"},
		{"lookup", `{"min_revision":null}`, "min_revision"},
		{"lookup", `{"consistency":""}`, "consistency"},
		{"lookup", `{"consistency":true}`, "consistency"},
		{"lookup", `{"max_age_ms":"1"}`, "max_age_ms"},
		{"lookup", `{"max_age_ms":1e3}`, "max_age_ms"},
		{"lookup", `{"where":{}}`, "where"},
		{"list", `{"where":null}`, "where"},
		{"list", `{"where":[]}`, "where"},
		{"list", `{"where":{"a":{}}}`, "where.a"},
		{"list", `{"where":{"limits.rps":[1]}}`, "where.limits.rps"},
		{"list", `{"where":{"a":1,"a":1}}`, "where.a"},
		{"list", `{"filter":1}`, "filter"},
		{"list", `{"status":[]}`, "status"},
		{"list", `{"status":[null]}`, "status"},
		{"list", `{"status":["up","away"]}`, "status"},
		{"list", `{"status":{}}`, "status"},
		{"list", `{"limit":"1"}`, "limit"},
		{"list", `{"limit":1.0}`, "limit"},
		{"list", `{"after":1}`, "after"},
		{"count", `{"limit":1}`, "limit"},
		{"services", `{"where":{}}`, "where"},
		{"batch", `{"operations":null}`, "operations"},
		{"batch", `{"operations":{}}`, "operations"},
		{"batch", `{"operations":[null]}`, "operations.0"},
		{"batch", `{"operations":[{},7]}`, "operations.1"},
		{"batch", `{"operations":[{},{"op":"register","weight":"x"}]}`, "operations.1.weight"},
		{"batch", `{"operations":[{"op":null}]}`, "operations.0.op"},
		{"batch", `{"operations":[{"lease":""}]}`, "operations.0.lease"},
		{"batch", `{"operations":[{"metadata":{"a":{"b":1,"b":2}}}]}`, "operations.0.metadata.a.b"},
		{"batch", `{"operations":[{"endpoints":{"x":1}}]}`, "operations.0.endpoints.x"},
		{"batch", `{"operations":[{"surprise":1}]}`, "operations.0.surprise"},
		{"batch", `{"operations":[{"op":"register","op":"update"}]}`, "operations.0.op"},
		{"batch", `{"atomic":null}`, "atomic"},
		{"batch", `{"atomic":"yes"}`, "atomic"},
		{"health", `{"verbose":true}`, "verbose"},
		{"lease_grant", `{"lease":""}`, "lease"},
		{"lease_grant", `{"lease":null}`, "lease"},
		{"lease_grant", `{"ttl_ms":"15s"}`, "ttl_ms"},
		{"lease_grant", `{"ttl_ms":1.5}`, "ttl_ms"},
		{"lease_grant", `{"ttl_ms":null}`, "ttl_ms"},
		{"lease_grant", `{"ttl_ms":9223372036854775808}`, "ttl_ms"},
		{"lease_grant", `{"grace_ms":true}`, "grace_ms"},
		{"lease_grant", `{"connection":null}`, "connection"},
		{"lease_grant", `{"connection":"x"}`, "connection"},
		{"lease_grant", `{"connection":{"server_id":7}}`, "connection.server_id"},
		{"lease_grant", `{"connection":{"client_id":"7"}}`, "connection.client_id"},
		{"lease_grant", `{"connection":{"client_id":-7}}`, "connection.client_id"},
		{"lease_grant", `{"connection":{"user":"x"}}`, "connection.user"},
		{"lease_keepalive", `{"lease":"a","lease":"b"}`, "lease"},
		{"lease_keepalive", `{"leases":"x"}`, "leases"},
		{"lease_keepalive", `{"leases":null}`, "leases"},
		{"lease_keepalive", `{"leases":[7]}`, "leases.0"},
		{"lease_keepalive", `{"leases":[],"leases":[]}`, "leases"},
		{"lease_keepalive", `{"ttl_ms":1}`, "ttl_ms"},
		{"lease_revoke", `{"lease":7}`, "lease"},
		{"lease_revoke", `{"reason":"x"}`, "reason"},
		{"lease_get", `{"owner":"x"}`, "owner"},
		{"lease_list", `{"limit":"1"}`, "limit"},
		{"admin_revoke", `{"reason":null}`, "reason"},
		{"admin_revoke", `{"lease":"x"}`, "lease"},
	} {
		wantInvalid(t, c.request, c.body, server.Decode([]byte(c.body), requests()[c.request]()), c.field)
	}
}

func TestAnEmptyOrNullValueInsideMetadataAndWhereIsAValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ request, body string }{
		{"register", `{"metadata":{"a":null,"lease":"","b":[null,""]},"instance":""}`},
		{"update", `{"merge_metadata":{"a":null}}`},
		{"list", `{"where":{"a":null,"b":""},"filter":"","after":""}`},
		{"batch", `{"operations":[{"op":"register","instance":"","metadata":{"lease":"","x":null}}],"atomic":false}`},
	} {
		if err := server.Decode([]byte(c.body), requests()[c.request]()); err != nil {
			t.Errorf("%s %s: %v", c.request, c.body, err)
		}
	}
}

func TestMetadataIsTakenExactly(t *testing.T) {
	t.Parallel()
	const metadata = `{"z":9007199254740993,"a":1.10,"e":1e400,"s":"\u00e9\/","deep":[{"x":-0.0}]}`
	var q bus.RegisterRequest
	if err := server.Decode([]byte(`{ "metadata" : `+metadata+` }`), &q); err != nil {
		t.Fatal(err)
	}
	if q.Metadata.String() != metadata {
		t.Errorf("got %s; want %s", q.Metadata, metadata)
	}
}

func TestAnErrorDoesNotRepeatAHugeName(t *testing.T) {
	t.Parallel()
	var q bus.RegisterRequest
	err := server.Decode([]byte(`{"`+strings.Repeat("é", 100_000)+`":1}`), &q)
	if !errors.Is(err, backend.ErrInvalid) || len(err.Error()) > 1000 {
		t.Errorf("got an error of %d bytes; want a short ErrInvalid", len(err.Error()))
	}
}

// fuzz checks one decoder: what it accepts encoding/json accepts and reads alike, and
// what it refuses is invalid.
func fuzz(f *testing.F, name string) {
	f.Helper()
	f.Add(goldenRequest(f, name))
	f.Add([]byte(`{"lease":"","if_revision":null}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	empty := requests()[name]
	f.Fuzz(func(t *testing.T, body []byte) {
		got, want := empty(), empty()
		if err := server.Decode(body, got); err != nil {
			if !errors.Is(err, backend.ErrInvalid) {
				t.Errorf("%q: %v is not ErrInvalid", body, err)
			}
			return
		}
		if len(body) == 0 {
			return
		}
		if err := json.Unmarshal(body, want); err != nil {
			t.Errorf("%q: encoding/json refuses what was accepted: %v", body, err)
			return
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q (-encoding/json +decoded):\n%s", body, diff)
		}
	})
}

func FuzzRegisterRequest(f *testing.F)        { fuzz(f, "register") }
func FuzzLookupRequest(f *testing.F)          { fuzz(f, "lookup") }
func FuzzUpdateRequest(f *testing.F)          { fuzz(f, "update_merge") }
func FuzzUnregisterRequest(f *testing.F)      { fuzz(f, "unregister") }
func FuzzAdminUnregisterRequest(f *testing.F) { fuzz(f, "admin_unregister") }
func FuzzListRequest(f *testing.F)            { fuzz(f, "list") }
func FuzzCountRequest(f *testing.F)           { fuzz(f, "count") }
func FuzzServicesRequest(f *testing.F)        { fuzz(f, "services") }
func FuzzBatchRequest(f *testing.F)           { fuzz(f, "batch") }
func FuzzGrantRequest(f *testing.F)           { fuzz(f, "lease_grant") }
func FuzzRevokeRequest(f *testing.F)          { fuzz(f, "lease_revoke") }
func FuzzLeaseRequest(f *testing.F)           { fuzz(f, "lease_get") }
func FuzzLeasesRequest(f *testing.F)          { fuzz(f, "lease_list") }
func FuzzAdminRevokeRequest(f *testing.F)     { fuzz(f, "admin_revoke") }
