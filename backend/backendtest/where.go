package backendtest

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/roostbus/roost/backend"
)

var whereClauses = []clause{
	{name: "WhereReachesIntoObjectsAndArrays", check: whereReaches},
	{name: "WhereComparesNumbersAsNumbersAndExactly", check: whereNumbers},
	{name: "WhereIsRightAfterEveryUpdateAndRemoval", check: whereAfterChanges},
	{name: "WhereJoinsItsConditionsByAnd", check: whereJoins},
	{name: "WhereTakesAtMost32ConditionsOfCanonicalValues", check: whereLimits},
	{name: "WhereIsRightAmongConcurrentWriters", check: whereConcurrently},
}

type conditions = map[string]backend.Scalar

// foundation: "index on scalars and lists", "nested metadata", "missing field selects none".
func whereReaches(t *testing.T, s subject) {
	s.register(t, described("payments", "a", `{"region":"eu","caps":["charge","refund"],"limits":{"rps":200},"on":true,"none":null}`), backend.Write{})
	s.register(t, described("payments", "b", `{"region":"us","caps":["charge",["deep"]],"zones":[{"name":"x"},{"name":"y"}],"on":"true"}`), backend.Write{})
	s.register(t, instance("payments", "c"), backend.Write{})
	_, stamp := s.register(t, described("orders", "d", `{"region":"eu","":{"":"empty"},"ключ":"значение"}`), backend.Write{})
	for _, c := range []struct {
		where conditions
		want  []string
	}{
		{conditions{"region": `"eu"`}, []string{"d", "a"}},
		{conditions{"region": `"EU"`}, nil},
		{conditions{"caps": `"charge"`}, []string{"a", "b"}},
		{conditions{"caps": `"refund"`}, []string{"a"}},
		{conditions{"caps": `"deep"`}, []string{"b"}},
		{conditions{"caps.0": `"charge"`}, nil},
		{conditions{"zones.name": `"y"`}, []string{"b"}},
		{conditions{"limits.rps": "2e2"}, []string{"a"}},
		{conditions{"limits": "2e2"}, nil},
		{conditions{"rps": "2e2"}, nil},
		{conditions{"on": "true"}, []string{"a"}},
		{conditions{"on": `"true"`}, []string{"b"}},
		{conditions{"none": "null"}, []string{"a"}},
		{conditions{"missing": "null"}, nil},
		{conditions{"ключ": `"значение"`}, []string{"d"}},
	} {
		s.selects(t, backend.Query{Where: c.where, Read: seen(stamp)}, c.want...)
	}
	s.selects(t, backend.Query{Scope: scope("payments"), Where: conditions{"region": `"eu"`}, Read: seen(stamp)}, "a")
	s.selects(t, backend.Query{Scope: backend.Scope{Namespace: "other"}, Where: conditions{"region": `"eu"`}, Read: seen(stamp)})
}

func whereNumbers(t *testing.T, s subject) {
	var stamp backend.Stamp
	for name, n := range map[string]string{
		"a": "200", "b": "200.0", "c": "2e2", "d": `"200"`, "e": "9007199254740993", "f": "9007199254740992", "g": "9007199254740993.0",
		"h": "0", "i": "-0.0", "j": "1e400", "k": "10e399", "l": "1e401",
	} {
		_, stamp = s.register(t, described("payments", name, `{"n":`+backend.Metadata(n)+`}`), backend.Write{})
	}
	for n, want := range map[string][]string{
		"200": {"a", "b", "c"}, "2E2": {"a", "b", "c"}, `"200"`: {"d"}, "9007199254740993": {"e", "g"}, "9007199254740992": {"f"},
		"0": {"h", "i"}, "1e400": {"j", "k"}, "201": nil,
	} {
		value, err := backend.ParseScalar("where.n", []byte(n))
		if err != nil {
			t.Fatal(err)
		}
		s.selects(t, backend.Query{Scope: scope("payments"), Where: conditions{"n": value}, Read: seen(stamp)}, want...)
	}
}

// R3. foundation: "the index is consistent", "dead and removed are not returned".
func whereAfterChanges(t *testing.T, s subject) {
	at := func(stamp backend.Stamp, value backend.Scalar, want ...string) {
		t.Helper()
		s.selects(t, backend.Query{Scope: scope("payments"), Where: conditions{"v": value}, Read: seen(stamp)}, want...)
	}
	key := instance("payments", "i-1").Key
	s.register(t, described("payments", "i-1", `{"v":[1,2,2],"w":1}`), backend.Write{})
	_, stamp := s.register(t, described("payments", "i-2", `{"v":2}`), backend.Write{})
	at(stamp, "1", "i-1")
	at(stamp, "2", "i-1", "i-2")

	_, stamp = s.update(t, key, backend.Change{Merge: address(backend.Metadata(`{"v":[2,3]}`))}, backend.Write{})
	at(stamp, "1")
	at(stamp, "2", "i-1", "i-2")
	at(stamp, "3", "i-1")

	_, stamp = s.update(t, key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
	at(stamp, "3", "i-1")

	_, stamp = s.register(t, described("payments", "i-1", `{"v":4}`), backend.Write{})
	at(stamp, "2", "i-2")
	at(stamp, "3")
	at(stamp, "4", "i-1")

	_, stamp = s.unregister(t, key, backend.Write{})
	at(stamp, "4")
	at(stamp, "2", "i-2")

	_, stamp = s.register(t, described("payments", "i-1", `{"v":2}`), backend.Write{})
	at(stamp, "2", "i-1", "i-2")
	at(stamp, "4")

	_, stamp = s.update(t, key, backend.Change{Metadata: address(backend.Metadata(""))}, backend.Write{})
	at(stamp, "2", "i-2")
	s.selects(t, backend.Query{Scope: scope("payments"), Read: seen(stamp)}, "i-1", "i-2")
}

// foundation: "combined queries".
func whereJoins(t *testing.T, s subject) {
	var stamp backend.Stamp
	for i := range 16 {
		r := described("payments", fmt.Sprintf("i-%02d", i), backend.Metadata(fmt.Sprintf(`{"a":%d,"b":%d,"tier":"gold"}`, i%2, i%4)))
		r.Status = backend.Status(1 + i/8)
		_, stamp = s.register(t, r, backend.Write{})
	}
	q := backend.Query{Scope: scope("payments"), Read: seen(stamp)}
	q.Where = conditions{"a": "1", "b": "3", "tier": `"gold"`}
	s.selects(t, q, "i-03", "i-07", "i-11", "i-15")
	q.Status = []backend.Status{backend.Draining}
	s.selects(t, q, "i-11", "i-15")
	q.Where["b"] = "2"
	s.selects(t, q)
	q.Where = conditions{"tier": `"gold"`, "b": "0"}
	q.Filter = `metadata.a == 0 && instance != "i-12"`
	s.selects(t, q, "i-08")
}

func whereLimits(t *testing.T, s subject) {
	metadata, where := "{", conditions{}
	for i := range backend.MaxWhere {
		name := "m" + strconv.Itoa(i)
		where[name] = "true"
		metadata += `"` + name + `":true,`
	}
	_, stamp := s.register(t, described("payments", "i-1", backend.Metadata(metadata+`"last":1}`)), backend.Write{})
	s.selects(t, backend.Query{Where: where, Read: seen(stamp)}, "i-1")
	where["last"] = "1"
	for field, where := range map[string]conditions{
		"where": where, "where.a": {"a": "200"}, "where.b": {"b": "[1]"}, "where.c": {"c": ""}, "where.d": {"d": "text"},
	} {
		_, _, err := s.List(patient(t), backend.Query{Where: where})
		invalid(t, "List", err, field)
		_, _, err = backend.Count(patient(t), s.Backend, backend.Query{Where: where})
		invalid(t, "Count", err, field)
	}
	_, _, err := s.List(patient(t), backend.Query{Where: conditions{"": "1"}})
	invalid(t, "List with an empty path", err, "where")
}

func whereConcurrently(t *testing.T, s subject) {
	const writers, rounds = 6, 8
	_, errs := contend(writers, func(i int) (backend.Registration, error) {
		r := instance("payments", strconv.Itoa(i))
		for round := range rounds {
			r.Metadata = backend.Metadata(fmt.Sprintf(`{"round":%d,"all":[0,%d]}`, round, round))
			if _, _, err := s.Register(patient(t), r, backend.Write{}); err != nil {
				return r, err
			}
		}
		return r, nil
	})
	for i, err := range errs {
		if err != nil {
			t.Fatalf("writer %d: %v", i, err)
		}
	}
	q := backend.Query{Scope: scope("payments"), Read: linearizable}
	for round := range rounds {
		q.Where = conditions{"round": backend.Scalar(strconv.Itoa(round))}
		if round == rounds-1 {
			s.selects(t, q, "0", "1", "2", "3", "4", "5")
		} else {
			s.selects(t, q)
		}
	}
	q.Where = conditions{"all": "0"}
	s.selects(t, q, "0", "1", "2", "3", "4", "5")
}
