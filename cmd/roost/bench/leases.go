package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus"
)

// grant has n leases granted, and returns their secrets.
func (w *World) grant(ctx context.Context, n int, ttl time.Duration) ([]string, error) {
	secrets := make([]string, n)
	ms := ttl.Milliseconds()
	err := each(n, func(i int) error {
		secrets[i] = rand.Text()
		body, err := json.Marshal(bus.GrantRequest{Lease: secrets[i], TTLMs: &ms})
		if err != nil {
			return err
		}
		_, err = w.ask(i, w.subjects.LeaseGrant(), body)
		return errors.Join(err, context.Cause(ctx))
	})
	w.cleanups = append(w.cleanups, func(context.Context) error { return w.revoke(secrets) })
	if err != nil {
		return nil, fmt.Errorf("have %d leases granted: %w", n, err)
	}
	return secrets, nil
}

// revoke ends leases, some of which may have ended before.
func (w *World) revoke(secrets []string) error {
	return each(len(secrets), func(i int) error {
		_, err := w.ask(i, w.subjects.LeaseRevoke(), []byte(`{"lease":"`+secrets[i]+`"}`))
		var failure *bus.Error
		if errors.As(err, &failure) && failure.Code == bus.CodeLeaseExpired {
			return nil
		}
		return err
	})
}

// beatOne is the keepalive of one lease.
func beatOne(secret string) []byte { return []byte(`{"lease":"` + secret + `"}`) }

// beatMany is the keepalive of many.
func beatMany(secrets []string) []byte {
	return []byte(`{"leases":["` + strings.Join(secrets, `","`) + `"]}`)
}

// firstBeat sends a keepalive of ttl's leases and checks what it is answered, which all
// others must be, too.
func (w *World) firstBeat(body []byte) (answer []byte, size int, err error) {
	m, err := w.client(0).Request(w.subjects.LeaseKeepalive(), body, w.c.Timeout)
	if err != nil {
		return nil, 0, err
	}
	if answer, err = answerOf(m); err != nil {
		return nil, 0, err
	}
	var reply struct {
		Expired []string `json:"expired"`
		Term    uint64   `json:"term"`
	}
	if err := json.Unmarshal(answer, &reply); err != nil || reply.Term == 0 || len(reply.Expired) > 0 {
		return nil, 0, fmt.Errorf("a keepalive was answered with %s: %w", answer, errWrongAnswer)
	}
	return answer, sizeOf(m), nil
}

// writesNothing has the registry's bucket be looked at once the cell has been measured:
// nothing may have been written since now. The keeper's own record, which it renews
// whether or not there are leases, and the marks by which nodes measure the age of what
// they have seen are nobody's lease, and do not count. In a registry that was there
// before, only what is about these leases does.
func (w *World) writesNothing(ctx context.Context, secrets []string) error {
	kv, err := w.registryBucket(ctx)
	if err != nil {
		return err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return err
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return fmt.Errorf("the bucket's status is a %T", status)
	}
	last := bucket.StreamInfo().State.LastSeq
	var own []string
	if w.started == nil {
		for _, s := range secrets {
			own = append(own, "lease."+bus.Owner(s))
		}
		slices.Sort(own)
	}
	w.check(func(ctx context.Context) error {
		var written []string
		_, err := readAll(ctx, kv, ">", func(e jetstream.KeyValueEntry) error {
			if e.Revision() > last && leasesWrote(e.Key(), own) {
				written = append(written, fmt.Sprintf("%s at %d", e.Key(), e.Revision()))
			}
			return nil
		}, jetstream.MetaOnly(), jetstream.ResumeFromRevision(last+1))
		if len(written) > 0 {
			err = errors.Join(err, fmt.Errorf("%d keys were written since revision %d, of which %s: %w",
				len(written), last, written[0], errWritten))
		}
		return err
	})
	return nil
}

var errWritten = errors.New("keepalives must write nothing")

// leasesWrote reports whether a write of key can be one that keepalives have caused. own
// are the keys of the leases, in order; none: those of all.
func leasesWrote(key string, own []string) bool {
	if len(own) > 0 {
		_, found := slices.BinarySearch(own, key)
		return found
	}
	return key != "keeper" && !strings.HasPrefix(key, "probe.")
}

// connections makes n connections to url, which last as long as the cell.
func (w *World) connections(url string, n int) ([]*nats.Conn, error) {
	all := make([]*nats.Conn, n)
	w.afterwards(func() error {
		for _, nc := range all {
			if nc != nil {
				nc.Close()
			}
		}
		return nil
	})
	err := each(n, func(i int) (err error) {
		all[i], err = w.connectTo(url)
		return err
	})
	return all, err
}
