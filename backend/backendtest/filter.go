package backendtest

import (
	"strings"
	"testing"

	"github.com/roostbus/roost/backend"
)

var filterClauses = []clause{
	{name: "AFilterSeesEveryPartOfARegistration", check: filterParts},
	{name: "AMissingFieldInAFilterIsFalse", check: filterMissing},
	{name: "AFilterThatDoesNotParseIsErrInvalid", check: filterInvalid},
	{name: "AFilterOfMoreThan4096BytesIsErrTooLarge", check: filterTooLarge},
	{name: "AFilterIsRightAfterAnUpdate", check: filterAfterUpdate},
}

// foundation: "predicate search by type and priority".
func filterParts(t *testing.T, s subject) {
	r := described("payments", "a", `{"region":"eu-west","limits":{"rps":200},"caps":["charge","refund"],"beta":true}`)
	s.register(t, r, backend.Write{})
	r = described("payments", "b", `{"region":"eu-north","limits":{"rps":50},"caps":["charge"],"beta":false}`)
	r.Weight, r.Status = 0, backend.Draining
	r.Endpoints = backend.EndpointsOf(map[string]string{"grpc": "grpc://b"})
	s.register(t, r, backend.Write{})
	r = described("orders", "c", `{"region":"us"}`)
	r.Namespace = "other"
	_, stamp := s.register(t, r, backend.Write{})
	for filter, want := range map[string][]string{
		`true`:                          {"a", "b", "c"},
		`false`:                         nil,
		`namespace == "other"`:          {"c"},
		`service == "payments"`:         {"a", "b"},
		`instance in ["a", "c"]`:        {"a", "c"},
		`status == "draining"`:          {"b"},
		`weight > 50`:                   {"a", "c"},
		`weight == 0`:                   {"b"},
		`endpoints.grpc == "grpc://b"`:  {"b"},
		`"grpc" in endpoints`:           {"b"},
		`metadata.region == "us"`:       {"c"},
		`metadata.beta`:                 {"a"},
		`"refund" in metadata.caps`:     {"a"},
		`metadata.limits.rps == 200`:    {"a"},
		`metadata["region"] == "us"`:    {"c"},
		`not (service == "payments")`:   {"c"},
		`instance == "a" || weight < 1`: {"a", "b"},
		`metadata.region in ["eu-west","eu-north"] && metadata.limits.rps >= 100`: {"a"},
		`metadata.region startsWith "eu-"`:                                        {"a", "b"},
	} {
		s.selects(t, backend.Query{Filter: filter, Read: seen(stamp)}, want...)
	}
	s.selects(t, backend.Query{Scope: scope("payments"), Filter: "weight < 1000", Where: conditions{"beta": "true"}, Status: []backend.Status{backend.Up}, Read: seen(stamp)}, "a")
}

func filterMissing(t *testing.T, s subject) {
	s.register(t, described("payments", "a", `{"n":1,"o":{"p":{"q":5}}}`), backend.Write{})
	s.register(t, described("payments", "b", `{"n":"text","o":7}`), backend.Write{})
	_, stamp := s.register(t, instance("payments", "c"), backend.Write{})
	for filter, want := range map[string][]string{
		`metadata.missing == 1`:                nil,
		`metadata.missing > 1`:                 nil,
		`metadata.missing.deeper.still == "x"`: nil,
		`metadata.n >= 1`:                      {"a"},
		`metadata.o.p.q == 5`:                  {"a"},
		`metadata.missing`:                     nil,
		`"x" in metadata.missing`:              nil,
		`endpoints.missing == "x"`:             nil,
	} {
		s.selects(t, backend.Query{Filter: filter, Read: seen(stamp)}, want...)
	}
}

func filterInvalid(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "a"), backend.Write{})
	for _, filter := range []string{`metadata.region ==`, `(`, `unknown == 1`, `owner == "a"`, `weight + 1`, `"text"`, "weight ==\x00 1"} {
		q := backend.Query{Filter: filter, Read: seen(stamp)}
		_, _, err := s.List(patient(t), q)
		invalid(t, "List with filter "+filter, err, "filter")
		_, _, err = backend.Count(patient(t), s.Backend, q)
		invalid(t, "Count with filter "+filter, err, "filter")
		w := s.watch(t, backend.Query{Filter: filter}, stamp.Revision)
		invalid(t, "Watch with filter "+filter, w.wait(t), "filter")
	}
}

func filterTooLarge(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "a"), backend.Write{})
	longest := `instance == "a" || service == "` + strings.Repeat("x", backend.MaxFilter-32) + `"`
	s.selects(t, backend.Query{Filter: longest, Read: seen(stamp)}, "a")
	_, _, err := s.List(patient(t), backend.Query{Filter: longest + strings.Repeat(" ", backend.MaxFilter+1-len(longest))})
	tooLarge(t, "List", err, backend.MaxFilter)
}

func filterAfterUpdate(t *testing.T, s subject) {
	r, stamp := s.register(t, described("payments", "a", `{"n":1}`), backend.Write{})
	s.selects(t, backend.Query{Filter: "metadata.n == 1", Read: seen(stamp)}, "a")
	_, stamp = s.update(t, r.Key, backend.Change{Merge: address(backend.Metadata(`{"n":2}`))}, backend.Write{})
	s.selects(t, backend.Query{Filter: "metadata.n == 1", Read: seen(stamp)})
	s.selects(t, backend.Query{Filter: "metadata.n == 2", Read: seen(stamp)}, "a")
}
