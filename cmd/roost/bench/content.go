package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// content is what is registered: with names, times and revisions about 300 bytes.
const content = `"endpoints":{"http":"http://10.20.30.40:8080"},"metadata":{"version":"2.1.0","region":"eu-west","zone":"b"}`

// serviceSize is how many instances a service has.
const serviceSize = 100

// key returns the n-th key of the run.
func (w *World) key(n int) backend.Key {
	return backend.Key{
		Namespace: w.scratch,
		Service:   "service-" + strconv.Itoa(n/serviceSize),
		Instance:  "i-" + strconv.Itoa(n%serviceSize),
	}
}

// populate registers the keys below n, in batches.
func (w *World) populate(ctx context.Context, n int) error { return w.populateAs(ctx, w.scratch, n) }

// populateAs is populate in another namespace of the run.
func (w *World) populateAs(ctx context.Context, namespace string, n int) error {
	return w.populateFrom(ctx, namespace, 0, n)
}

// populateFrom registers the keys from the one on that are below n, where those before it
// are there.
func (w *World) populateFrom(ctx context.Context, namespace string, from, n int) error {
	w.cleanups = append(w.cleanups, func(ctx context.Context) error { return w.removeAllOf(ctx, namespace) })
	const size = 500
	err := each((n-from+size-1)/size, func(batch int) error {
		first := from + batch*size
		return w.prepareBatch(ctx, batch, namespace, first, min(size, n-first))
	})
	if err != nil {
		return fmt.Errorf("register %d instances: %w", n, err)
	}
	return untilSeen(ctx, func() error {
		there, err := w.count(namespace)
		if err == nil && there != n {
			err = fmt.Errorf("%d instances were registered and there are %d", n, there)
		}
		return err
	})
}

// How long a batch that is measured by nobody may take, and how often it is sent: what is
// registered already as it is to be is not registered again.
const (
	prepareTime  = 25 * time.Second
	prepareTries = 5
)

// prepareBatch registers count keys from the first on, however busy the machine is.
func (w *World) prepareBatch(ctx context.Context, worker int, namespace string, first, count int) (err error) {
	m := nats.NewMsg(w.batchSubject(namespace))
	m.Data = w.batchBody(nil, first, count)
	m.Header.Set(bus.HeaderTimeout, strconv.FormatInt(prepareTime.Milliseconds(), 10))
	for range prepareTries {
		var reply *nats.Msg
		if reply, err = w.client(worker).RequestMsg(m, prepareTime+time.Second); err == nil {
			var answer []byte
			if answer, err = answerOf(reply); err == nil {
				err = checkBatch(answer, count)
			}
		}
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	return err
}

func (w *World) batchSubject(namespace string) string {
	return w.subjects.OfScope(bus.VerbBatch, backend.Scope{Namespace: namespace})
}

// batchBody appends a batch that registers count keys from the first on.
func (w *World) batchBody(b []byte, first, count int) []byte {
	b = append(b, `{"operations":[`...)
	for n := first; n < first+count; n++ {
		if n > first {
			b = append(b, ',')
		}
		b = append(b, `{"op":"register","service":"service-`...)
		b = strconv.AppendInt(b, int64(n/serviceSize), 10)
		b = append(b, `","instance":"i-`...)
		b = strconv.AppendInt(b, int64(n%serviceSize), 10)
		b = append(append(append(b, `",`...), content...), '}')
	}
	return append(b, `]}`...)
}

// checkBatch checks that count operations were done, one revision each.
func checkBatch(answer []byte, count int) error {
	var reply bus.BatchReply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return fmt.Errorf("reply to a batch: %w", err)
	}
	if len(reply.Results) != count {
		return fmt.Errorf("reply to a batch of %d: %d results", count, len(reply.Results))
	}
	for _, r := range reply.Results {
		if r.Error != nil {
			return r.Error
		}
		if r.Revision == 0 {
			return errors.New("reply to a batch: a result without a revision")
		}
	}
	return nil
}

// count asks how many registrations of a namespace there are.
func (w *World) count(namespace string) (int, error) {
	answer, err := w.ask(0, w.subjects.OfScope(bus.VerbCount, backend.Scope{Namespace: namespace}), nil)
	if err != nil {
		return 0, err
	}
	var reply bus.CountReply
	err = json.Unmarshal(answer, &reply)
	return reply.Count, err
}

// removeAll unregisters everything of the run's first namespace.
func (w *World) removeAll(ctx context.Context) error { return w.removeAllOf(ctx, w.scratch) }

// removeAllOf is removeAll of a namespace.
func (w *World) removeAllOf(ctx context.Context, namespace string) error {
	scope := backend.Scope{Namespace: namespace}
	for ctx.Err() == nil {
		answer, err := w.ask(0, w.subjects.OfScope(bus.VerbList, scope), []byte(`{"limit":1000}`))
		if err != nil {
			return err
		}
		var page bus.ListReply
		if err := json.Unmarshal(answer, &page); err != nil {
			return err
		}
		if len(page.Registrations) == 0 {
			return nil
		}
		var batch bus.BatchRequest
		for _, r := range page.Registrations {
			batch.Operations = append(batch.Operations, bus.BatchOperation{
				Op: "unregister", Identity: bus.Identity{Service: &r.Service, Instance: &r.Instance},
			})
		}
		body, err := json.Marshal(batch)
		if err != nil {
			return err
		}
		if _, err := w.ask(0, w.batchSubject(namespace), body); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// each calls f for 0 to n-1, a few at once, and returns the errors.
func each(n int, f func(i int) error) error {
	next := make(chan int)
	errs := make([]error, 16)
	var workers sync.WaitGroup
	for worker := range errs {
		workers.Go(func() {
			for i := range next {
				if errs[worker] == nil {
					errs[worker] = f(i)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	return errors.Join(errs...)
}
