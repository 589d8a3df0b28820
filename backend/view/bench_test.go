package view_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// sample is registration i of n in services of 100, about 300 bytes as JSON.
func sample(i int) *backend.Registration {
	return &backend.Registration{
		Key:       backend.Key{Namespace: "default", Service: fmt.Sprintf("service-%d", i/100), Instance: fmt.Sprintf("10.0.%d.%d:8080", i/250%250, i%250)},
		Endpoints: backend.EndpointsOf(map[string]string{"http": fmt.Sprintf("http://10.0.%d.%d:8080", i/250%250, i%250)}),
		Metadata:  backend.Metadata(fmt.Sprintf(`{"version":"2.1.%d","region":"eu-west","limits":{"rps":200}}`, i%10)),
		Weight:    100, Status: backend.Up,
	}
}

func filled(n int) *view.View {
	v := view.New(1)
	for i := range n {
		v.Apply(backend.Revision(i+1), view.Change{Registration: sample(i), Kind: backend.Registered, Revision: backend.Revision(i + 1)})
	}
	return v
}

func sampleKeys(n int) []backend.Key {
	keys := make([]backend.Key, n)
	for i := range keys {
		keys[i] = sample(i).Key
	}
	rand.Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

func TestALookUpAllocatesNothing(t *testing.T) {
	const n = 1000
	v, keys := filled(n), sampleKeys(n)
	i := 0
	if got := testing.AllocsPerRun(n, func() { _, _ = v.Lookup(keys[i%n]); i++ }); got != 0 {
		t.Errorf("%v allocations; want none", got)
	}
}

func BenchmarkLookup(b *testing.B) {
	const n = 100_000
	v, keys := filled(n), sampleKeys(n)
	plain := make(map[backend.Key]*backend.Registration, n)
	for _, k := range keys {
		r, _ := v.Lookup(k)
		plain[r.Key] = r // with the memory of its own that the view gives it
	}
	b.Run("View", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if r, _ := v.Lookup(keys[i%n]); r.Weight != 100 {
				b.Fatal(r)
			}
		}
	})
	b.Run("Map", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if r := plain[keys[i%n]]; r.Weight != 100 {
				b.Fatal(r)
			}
		}
	})
	b.Run("Parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for i := rand.IntN(n); p.Next(); i++ {
				if r, _ := v.Lookup(keys[i%n]); r.Weight != 100 {
					b.Error(r)
				}
			}
		})
	})
}

func BenchmarkList(b *testing.B) {
	const n = 100_000
	v := filled(n)
	service := backend.Query{Scope: backend.Scope{Namespace: "default", Service: "service-7"}, MaxBytes: 1 << 20}
	run := func(name string, q backend.Query, each func(i int)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				each(i)
				if p, _, err := v.List(b.Context(), q, nil); err != nil || len(p.Registrations) == 0 {
					b.Fatal(p, err)
				}
			}
		})
	}
	head := backend.Revision(n)
	run("Service100", service, func(int) {})
	run("Service100AfterChange", service, func(i int) {
		head++
		r := sample(700)
		r.Weight = uint16(i)
		v.Apply(head, view.Change{Registration: r, Kind: backend.Updated, Revision: head})
	})
	where := service
	where.Where = map[string]backend.Scalar{"version": `"2.1.3"`, "limits.rps": "2e2"}
	run("Service100Where", where, func(int) {})
	everywhere := backend.Query{Where: where.Where, Limit: 10}
	run("EverywhereWhereFirst10", everywhere, func(int) {})
	run("EverythingPageOf1000", backend.Query{Limit: 1000}, func(int) {})
}

func BenchmarkApply(b *testing.B) {
	for _, of := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("Update%d", of), func(b *testing.B) {
			v := filled(of)
			head := backend.Revision(of)
			r := sample(of / 2)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				head++
				r.Weight = uint16(i)
				v.Apply(head, view.Change{Registration: r, Kind: backend.Updated, Revision: head})
			}
		})
	}
	b.Run("LargeServiceReadAfterEachTenth", func(b *testing.B) {
		v := view.New(1)
		var head backend.Revision
		apply := func(i int) {
			head++
			r := sample(i)
			r.Service = "one"
			r.Instance = fmt.Sprint(i)
			v.Apply(head, view.Change{Registration: r, Kind: backend.Updated, Revision: head})
		}
		for i := range 10_000 {
			apply(i)
		}
		q := backend.Query{Scope: backend.Scope{Namespace: "default", Service: "one"}}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			apply(i * 7919 % 10_000)
			if i%10 == 0 {
				if _, _, err := v.List(b.Context(), q, nil); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkSince(b *testing.B) {
	const n = 100_000
	v := filled(n)
	for _, changed := range []int{0, 10, 1000} {
		b.Run(fmt.Sprint(changed), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page, _, err := v.List(b.Context(), after(backend.Query{}, backend.Revision(n-changed)), nil)
				if err != nil || len(page.Registrations) != changed {
					b.Fatal(page, err)
				}
			}
		})
	}
}

// BenchmarkLoad reports what a registration weighs in the table.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				v := filled(n)
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/row")
				b.ReportMetric(float64(len(sample(1).AppendJSON(nil))), "B/JSON")
				runtime.KeepAlive(v)
			}
		})
	}
}
