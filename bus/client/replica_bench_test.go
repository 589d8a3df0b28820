package client

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// crowd is n registrations in services of 100, and their keys in an order of chance.
func crowd(n int) (list []*Registration, keys []Key) {
	for i := range n {
		r := &Registration{
			Key:       Key{Namespace: "default", Service: "service-" + strconv.Itoa(i/100), Instance: fmt.Sprintf("10.0.%d.%d:8080", i/250, i%250)},
			Endpoints: EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080"}),
			Metadata:  `{"version":"2.1.0","region":"eu-west"}`, Weight: DefaultWeight, Status: Up, Revision: Revision(i + 1),
		}
		list = append(list, r)
		keys = append(keys, Key{Namespace: string([]byte("default")), Service: string([]byte(r.Service)), Instance: string([]byte(r.Instance))})
	}
	rand.Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return list, keys
}

// BenchmarkReplicaLookup compares a look-up with a read of a plain map of the same keys,
// in short rounds in turn, because only ratios of one run mean anything on a shared
// machine. It reports the medians over the rounds.
func BenchmarkReplicaLookup(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		list, keys := crowd(n)
		r := holding(b, list...)
		plain := make(map[Key]*Registration, n)
		for _, found := range r.All() { // in the memory that the replica gives it
			plain[found.Key] = found
		}
		// What is found is looked at, as it would be.
		mapped := func(key Key) bool { return plain[key].Weight == DefaultWeight }
		looked := func(key Key) bool {
			found, ok := r.Lookup(key)
			return ok && found.Weight == DefaultWeight
		}
		for _, cores := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("%d/cores-%d", n, cores), func(b *testing.B) {
				b.ReportAllocs()
				var ours, theirs, ratios []float64
				for b.Loop() {
					ours, theirs = append(ours, looking(cores, keys, looked)), append(theirs, looking(cores, keys, mapped))
					ratios = append(ratios, ours[len(ours)-1]/theirs[len(theirs)-1])
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(median(ours), "replica-ns")
				b.ReportMetric(median(theirs), "map-ns")
				b.ReportMetric(median(ratios), "ratio")
			})
		}
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// looking returns the nanoseconds that find takes where so many cores look at a time.
func looking(cores int, keys []Key, find func(Key) bool) float64 {
	const each = 20_000
	begun := time.Now()
	var all sync.WaitGroup
	for range cores {
		all.Go(func() {
			from := rand.N(len(keys))
			for i := range each {
				if !find(keys[(from+i)%len(keys)]) {
					panic("not found")
				}
			}
		})
	}
	all.Wait()
	return float64(time.Since(begun)) / each
}

// BenchmarkPick is what picking costs where the service is held.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{3, 100, 10_000} {
		var list []*Registration
		for i := range n {
			list = append(list, weighing(fmt.Sprint("i-", i), uint16(1+i%7), Up))
		}
		s := holding(b, list...).Service("default", "payments")
		ways := []struct {
			name string
			pick func() (*Registration, bool)
		}{{"turn", s.Pick}, {"random", s.PickRandom}, {"weighted", s.PickWeighted}}
		if n <= 100 {
			ways = append(ways, struct {
				name string
				pick func() (*Registration, bool)
			}{"key", func() (*Registration, bool) { return s.PickFor("user-17") }})
		}
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s-%d", way.name, n), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, ok := way.pick(); !ok {
							b.Error("nothing picked")
							return
						}
					}
				})
			})
		}
	}
}
