package client

import (
	"fmt"
	"math"
	"testing"
)

// picked counts n picks by instance.
func picked(t *testing.T, n int, pick func() (*Registration, bool)) map[string]int {
	t.Helper()
	count := map[string]int{}
	for range n {
		r, ok := pick()
		if !ok {
			t.Fatal("nothing is picked")
		}
		count[r.Instance]++
	}
	return count
}

// near checks that shares of n picks are as weights say, within six standard deviations.
func near(t *testing.T, what string, count map[string]int, n int, weights map[string]float64) {
	t.Helper()
	var sum float64
	for _, w := range weights {
		sum += w
	}
	for instance := range count {
		if weights[instance] == 0 {
			t.Errorf("%s: %s is picked", what, instance)
		}
	}
	for instance, w := range weights {
		p := w / sum
		want, off := p*float64(n), 6*math.Sqrt(float64(n)*p*(1-p))
		if got := float64(count[instance]); math.Abs(got-want) > off+1 {
			t.Errorf("%s: %s is picked %v of %d times; want %v", what, instance, got, n, want)
		}
	}
}

func weighing(instance string, weight uint16, status Status) *Registration {
	r := at(instance, 1)
	r.Weight, r.Status = weight, status
	return r
}

// picks are the four ways of picking, where keys differ from pick to pick.
func picks(s *Service) map[string]func() (*Registration, bool) {
	key := 0
	return map[string]func() (*Registration, bool){
		"Pick": s.Pick, "PickRandom": s.PickRandom, "PickWeighted": s.PickWeighted,
		"PickFor": func() (*Registration, bool) { key++; return s.PickFor(fmt.Sprint("key ", key)) },
	}
}

func TestPicksFollowWeightsWhereTheySaySo(t *testing.T) {
	t.Parallel()
	s := holding(t, weighing("a", 1, Up), weighing("b", 30, Up), weighing("c", 300, Up), weighing("d", 300, Up)).Service("default", "payments")
	const n = 100_000
	for name, pick := range picks(s) {
		weights := map[string]float64{"a": 1, "b": 1, "c": 1, "d": 1}
		if name == "PickWeighted" || name == "PickFor" {
			weights = map[string]float64{"a": 1, "b": 30, "c": 300, "d": 300}
		}
		near(t, name, picked(t, n, pick), n, weights)
	}
	for instance, count := range picked(t, 400, s.Pick) {
		if count != 100 {
			t.Errorf("in turn %s has %d of 400 picks; want 100", instance, count)
		}
	}
}

func TestOnlyInstancesThatAreUpArePickedUnlessNoneIs(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		there []*Registration
		want  map[string]float64 // nil: nothing
	}{
		"up before draining":        {[]*Registration{weighing("u", 1, Up), weighing("g", 900, Draining), weighing("d", 1, Down)}, map[string]float64{"u": 1}},
		"up without weight":         {[]*Registration{weighing("u", 0, Up), weighing("g", 900, Draining)}, map[string]float64{"u": 1}},
		"draining before nothing":   {[]*Registration{weighing("g", 1, Draining), weighing("h", 0, Draining), weighing("d", 1, Down)}, map[string]float64{"g": 1}},
		"never down":                {[]*Registration{weighing("d", 1, Down)}, nil},
		"none":                      {nil, nil},
		"no weight is passed over":  {[]*Registration{weighing("a", 0, Up), weighing("b", 5, Up)}, map[string]float64{"b": 1}},
		"nobody has a weight":       {[]*Registration{weighing("a", 0, Up), weighing("b", 0, Up)}, map[string]float64{"a": 1, "b": 1}},
		"all have the same weight":  {[]*Registration{weighing("a", 9, Up), weighing("b", 9, Up)}, map[string]float64{"a": 1, "b": 1}},
		"a status that is not said": {[]*Registration{weighing("a", 9, 0)}, map[string]float64{"a": 1}},
	} {
		s := holding(t, row.there...).Service("default", "payments")
		for how, pick := range picks(s) {
			if row.want == nil {
				if r, ok := pick(); ok {
					t.Errorf("%s: %s gives %s; want nothing", name, how, r.Instance)
				}
				continue
			}
			near(t, name+": "+how, picked(t, 2000, pick), 2000, row.want)
		}
		if got := len(s.Instances()); got != len(row.there) {
			t.Errorf("%s: %d instances; want %d", name, got, len(row.there))
		}
	}
}

func TestWhenAnInstanceGoesOnlyItsKeysMove(t *testing.T) {
	t.Parallel()
	for name, weight := range map[string]func(i int) uint16{
		"equal": func(int) uint16 { return 100 }, "unequal": func(i int) uint16 { return uint16(10 + 20*i) },
	} {
		var list []*Registration
		for i := range 10 {
			list = append(list, weighing(fmt.Sprint("i-", i), weight(i), Up))
		}
		before, after := holding(t, list...).Service("default", "payments"), holding(t, list[1:]...).Service("default", "payments")
		moved := 0
		for k := range 5000 {
			key := fmt.Sprint("key ", k)
			was, _ := before.PickFor(key)
			is, _ := after.PickFor(key)
			if was.Instance == "i-0" {
				moved++
			} else if was.Instance != is.Instance {
				t.Errorf("%s: %s moves from %s to %s although both stay", name, key, was.Instance, is.Instance)
			}
		}
		if moved == 0 {
			t.Errorf("%s: i-0 had no key", name)
		}
	}
}

// A process that is not this one must pick alike: the hash is part of what is promised.
func TestKeysBelongToTheSameInstanceInEveryProcess(t *testing.T) {
	t.Parallel()
	var list []*Registration
	for i := range 5 {
		list = append(list, weighing(fmt.Sprint("i-", i), uint16(100+i%2), Up))
	}
	s := holding(t, list...).Service("default", "payments")
	got := ""
	for k := range 20 {
		r, _ := s.PickFor(fmt.Sprint("user-", k))
		got += r.Instance[2:]
	}
	if want := "22333233133310212113"; got != want {
		t.Errorf("keys belong to %s; want %s", got, want)
	}
}

func TestAServiceSeesChangesAtOnce(t *testing.T) {
	t.Parallel()
	r := holding(t, at("a", 1))
	s := r.Service("default", "payments")
	if again := r.Service("default", "payments"); again != s {
		t.Error("the same service has two handles")
	}
	b := at("b", 2)
	r.happens(event(Registered, b), event(Unregistered, at("a", 3)))
	if got := picked(t, 10, s.Pick); got["b"] != 10 {
		t.Errorf("picked %v; want b alone", got)
	}
	r.relisted(2, at("c", 1))
	if got := picked(t, 10, s.Pick); got["c"] != 10 {
		t.Errorf("in a new epoch picked %v; want c alone", got)
	}
	if _, ok := r.Service("default", "nobody").Pick(); ok {
		t.Error("something is picked of a service that is not there")
	}
	if _, ok := r.Service("", "").Pick(); ok {
		t.Error("something is picked of no service")
	}
}

func TestALookUpInAReplicaAllocatesNothing(t *testing.T) {
	const n = 1000
	list, keys := crowd(n)
	r := holding(t, list...)
	i := 0
	if got := testing.AllocsPerRun(n, func() { _, _ = r.Lookup(keys[i%n]); i++ }); got != 0 {
		t.Errorf("%v allocations; want none", got)
	}
}

func TestPickingAllocatesNothing(t *testing.T) {
	s := holding(t, weighing("a", 1, Up), weighing("b", 3, Up)).Service("default", "payments")
	for name, pick := range map[string]func() (*Registration, bool){
		"Pick": s.Pick, "PickRandom": s.PickRandom, "PickWeighted": s.PickWeighted,
		"PickFor": func() (*Registration, bool) { return s.PickFor("key") },
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = pick() }); n != 0 {
			t.Errorf("%s makes %v allocations; want none", name, n)
		}
	}
}
