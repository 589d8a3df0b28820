package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/kvstoretest"
)

// entrance is a way to a server that can be shut for who comes.
type entrance struct {
	*natstest.Server
	shut atomic.Bool
}

func (g *entrance) InProcessConn() (net.Conn, error) {
	if g.shut.Load() {
		return nil, errors.New("shut")
	}
	return g.Server.InProcessConn()
}

// following is a mirror behind a Tail.
type following struct{ *kvstoretest.Mirror }

func (following) Advance(uint64) {}

func TestAStoreThatWasPutBackIsRecognisedAlthoughItsRevisionsHaveOutgrownWhatWasLost(t *testing.T) {
	t.Parallel()
	for _, after := range []int{0, 5, 200} { // fewer and more than were lost
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			var dir string
			srv := natstest.Start(t, func(o *server.Options) { dir = o.StoreDir })
			way := &entrance{Server: srv}
			nc := srv.Connect(t, nats.InProcessServer(way))
			s := openStore(t, nc, bucket())
			guard, err := epoch.NewGuard(s, epoch.Forgetful())
			if err != nil {
				t.Fatal(err)
			}
			tail, m := kvstore.NewTail(s), kvstoretest.NewMirror()
			tail.Subscribe(epoch.Key, guard)
			tail.Subscribe("", following{m})
			ctx, cancel := context.WithCancel(t.Context())
			var tasks sync.WaitGroup
			tasks.Go(func() { _ = tail.Run(ctx) })
			tasks.Go(func() { _ = guard.Run(ctx) })
			t.Cleanup(func() { cancel(); tasks.Wait() })
			last := fill(t, s, "kept", 5)
			m.AwaitRevision(t, last)
			natstest.Await(t, "epoch", func() bool { _, ok := guard.Current(); return ok })
			before, _ := guard.Current()

			srv.Stop()
			older := filepath.Join(t.TempDir(), "older")
			if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			srv.Restart(t)
			last = fill(t, s, "lost", 20)
			m.AwaitRevision(t, last)
			way.shut.Store(true)
			srv.Stop()
			if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(older))); err != nil {
				t.Fatal(err)
			}
			srv.Restart(t)
			others := openStore(t, srv.Connect(t), bucket())
			fill(t, others, "new", after)
			way.shut.Store(false)

			m.Await(t, "what there is", func(s kvstoretest.MirrorState) bool {
				_, lost := s.Entries["lost.7"]
				_, kept := s.Entries["kept.4"]
				return s.Live && kept && !lost
			})
			natstest.Await(t, "higher epoch", func() bool {
				now, ok := guard.Current()
				return ok && now > before
			})
		})
	}
}
