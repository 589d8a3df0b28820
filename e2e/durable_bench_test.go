package e2e_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/e2e/natstest"
)

// BenchmarkReads compares what reads cost where they come from the bucket and from a view,
// one after the other and with eight at a time for each processor.
func BenchmarkReads(b *testing.B) {
	srv := natstest.Start(b)
	for _, kind := range []struct {
		name  string
		start func(testing.TB, *nats.Conn) *bucketNode
	}{
		{"durable", func(tb testing.TB, nc *nats.Conn) *bucketNode {
			tb.Helper()
			return startDurable(tb, nc, "", backend.Nobody)
		}},
		{"hybrid", func(tb testing.TB, nc *nats.Conn) *bucketNode {
			tb.Helper()
			return startHybrid(tb, nc, "", backend.Nobody)
		}},
	} {
		n := kind.start(b, srv.Connect(b))
		for _, size := range []int{100, 5000} {
			var operations []backend.Operation
			for i := range size {
				r := backend.Registration{Key: backend.Key{Namespace: "default", Service: fmt.Sprint("s-", size), Instance: fmt.Sprintf("i-%04d", i)}, Weight: 100}
				r.Metadata = `{"version":"2.1.0","region":"eu-west"}`
				operations = append(operations, backend.Operation{Kind: backend.OpRegister, Registration: r})
			}
			for len(operations) > 0 {
				now := operations[:min(1000, len(operations))]
				operations = operations[len(now):]
				if _, _, err := backend.Batch(b.Context(), n.Backend, now, false); err != nil {
					b.Fatal(err)
				}
			}
		}
		key := backend.Key{Namespace: "default", Service: "s-100", Instance: "i-0007"}
		of := func(size int) backend.Query {
			return backend.Query{Scope: backend.Scope{Namespace: "default", Service: fmt.Sprint("s-", size)}}
		}
		linearizable := of(100)
		linearizable.Consistency = backend.Linearizable
		for what, read := range map[string]func() error{
			"lookup":                func() error { _, _, err := n.Lookup(b.Context(), key, backend.Read{}); return err },
			"lookup-linearizable":   func() error { _, _, err := n.Lookup(b.Context(), key, linearizable.Read); return err },
			"list-100":              func() error { _, _, err := n.List(b.Context(), of(100)); return err },
			"list-100-linearizable": func() error { _, _, err := n.List(b.Context(), linearizable); return err },
			"list-5000":             func() error { _, _, err := n.List(b.Context(), of(5000)); return err },
		} {
			b.Run(kind.name+"/"+what, func(b *testing.B) {
				for b.Loop() {
					if err := read(); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(kind.name+"/"+what+"-beside-each-other", func(b *testing.B) {
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := read(); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
