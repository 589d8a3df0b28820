//go:build drill && linux

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/roostbus/roost/bus/client"
)

// These drills need root and loop devices; `make drill-power` runs them.

// disk is a file system of its own, which can lose what was not synced, as when the machine
// loses power.
type disk struct{ image, dir string }

func newDisk(t *testing.T) *disk {
	t.Helper()
	at := t.TempDir()
	d := &disk{image: filepath.Join(at, "image"), dir: filepath.Join(at, "mounted")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", "--bind", at, at)
	t.Cleanup(func() { command(t, "umount", "-R", at) })
	command(t, "mount", "--make-shared", at) // so that nodes hear of what is unmounted
	command(t, "truncate", "-s", "4G", d.image)
	command(t, "mkfs.ext4", "-q", d.image)
	d.mount(t)
	return d
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

func (d *disk) mount(t *testing.T) {
	t.Helper()
	command(t, "mount", "-o", "loop", d.image, d.dir)
}

// The request of ext4 to stop at once, and its flag to write nothing more, not even the log.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

// cut has the file system write nothing more.
func (d *disk) cut(t *testing.T) {
	t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	how := uint32(noLogFlush)
	if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&how))); no != 0 {
		t.Fatalf("shut the file system down: %v", no)
	}
}

// back mounts the file system with what had come to the disk.
func (d *disk) back(t *testing.T) {
	t.Helper()
	command(t, "umount", d.dir)
	d.mount(t)
}

// powered are nodes of which each has a disk of its own.
type powered struct {
	*fleet
	disks []*disk
}

func newPowered(t *testing.T, n int, args ...string) *powered {
	t.Helper()
	p := &powered{fleet: newFleet(t, n, args...)}
	for _, m := range p.nodes {
		d := newDisk(t)
		p.disks = append(p.disks, d)
		m.dir = filepath.Join(d.dir, "store")
		m.alone = n == 1
	}
	return p
}

// lose has the machines of the nodes lose power at the same moment, and returns when.
func (p *powered) lose(t *testing.T, which ...int) time.Time {
	t.Helper()
	for _, i := range which {
		p.nodes[i].signal(t, syscall.SIGSTOP)
	}
	at := time.Now()
	for _, i := range which {
		p.disks[i].cut(t)
	}
	for _, i := range which {
		p.nodes[i].kill(t)
		p.disks[i].back(t)
	}
	return at
}

// boot starts nodes as on a machine that was started again: they see another boot id.
func (p *powered) boot(t *testing.T, which ...int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	id, exe := filepath.Join(at, "boot_id"), filepath.Join(at, "roost")
	script := "#!/bin/sh\nexec unshare -m --propagation slave sh -c 'mount --bind " + id + " /proc/sys/kernel/random/boot_id && exec " + self + " \"$@\"' roost \"$@\"\n"
	for name, text := range map[string]string{id: rand.Text() + "\n", exe: script} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	for _, i := range which {
		p.nodes[i].exe = exe
		p.nodes[i].begin(t)
	}
	for _, i := range which {
		p.nodes[i].awaitReady(t)
	}
}

// ledger is what clients were told, until they are halted.
type ledger struct {
	wg   sync.WaitGroup
	stop context.CancelFunc

	mu      sync.Mutex
	written map[string]time.Time // when it was acknowledged
	token   client.Token         // the highest
	tokens  int
}

func keepLedger(t *testing.T, url string, clients int) *ledger {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &ledger{stop: stop, written: map[string]time.Time{}}
	for i := range clients {
		c, err := client.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		l.wg.Go(func() {
			defer func() { _ = c.Close() }()
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprintf("w%d-%06d", i, n)
				if _, _, err := c.Register(ctx, client.Registration{Key: loadKey(name)}, client.Write{}); err == nil {
					l.mu.Lock()
					l.written[name] = time.Now()
					l.mu.Unlock()
				}
			}
		})
	}
	c, err := client.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	lease, err := c.Grant(ctx, client.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.wg.Go(func() {
		defer func() { _ = c.Close() }()
		for ctx.Err() == nil {
			h, err := c.Lock("default", "drill").Lock(ctx, lease, client.LockOptions{})
			if err != nil {
				continue
			}
			l.mu.Lock()
			l.token, l.tokens = h.Token(), l.tokens+1
			l.mu.Unlock()
			_ = h.Release(ctx)
		}
	})
	t.Cleanup(l.halt)
	return l
}

// halt ends the clients at once, so that they write nothing again.
func (l *ledger) halt() {
	l.stop()
	l.wg.Wait()
}

// settle compares what was acknowledged with what is there, and returns how much is lost.
func (l *ledger) settle(t *testing.T, url string, at time.Time) (lost int) {
	t.Helper()
	c, err := client.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	there := map[string]bool{}
	query := client.Query{Scope: client.Scope{Namespace: "default", Service: "load"}, Read: client.Read{Consistency: client.Linearizable}}
	for r, err := range c.All(t.Context(), query) {
		if err != nil {
			t.Fatal(err)
		}
		there[r.Key.Instance] = true
	}
	var oldest time.Duration
	for name, when := range l.written {
		if !there[name] {
			lost, oldest = lost+1, max(oldest, at.Sub(when))
		}
	}
	t.Logf("of %d acknowledged writes %d are lost, the oldest was acknowledged %v before", len(l.written), lost, oldest.Round(time.Millisecond))
	lease, err := c.Grant(t.Context(), client.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Lock("default", "drill").Lock(t.Context(), lease, client.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the last of %d tokens was %v, the next one is %v", l.tokens, l.token, h.Token())
	if !l.token.Before(h.Token()) {
		t.Errorf("a token came again: %v was given, and now %v", l.token, h.Token())
	}
	return lost
}

// "The machine loses power": what each choice can lose, and that owners register again.
func TestDrillPowerIsLost(t *testing.T) {
	lasts := 12 * time.Second
	if text := os.Getenv("DRILL_TIME"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name  string
		nodes int
		sync  string
		which []int
		keeps bool
	}{
		{"one node, interval", 1, "interval", []int{0}, false},
		{"one node, always", 1, "always", []int{0}, true},
		{"three nodes, interval, all", 3, "interval", []int{0, 1, 2}, false},
		{"three nodes, always, all", 3, "always", []int{0, 1, 2}, true},
		{"three nodes, interval, one", 3, "interval", []int{0}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPowered(t, row.nodes, "--sync", row.sync, "--history-bytes", "268435456")
			p.boot(t, all(row.nodes)...)
			if row.nodes > 1 {
				p.awaitWhole(t)
			}
			owner := live(t, p.url())
			l := keepLedger(t, p.url(), 4)
			time.Sleep(lasts) // of load; a drill is no short test
			owner.register(t, "living")
			at := p.lose(t, row.which...)
			if len(row.which) < row.nodes {
				time.Sleep(5 * time.Second) // of load on those that are left
			}
			l.halt()
			p.boot(t, row.which...)
			if row.nodes > 1 {
				p.awaitWhole(t)
			}
			if lost := l.settle(t, p.url(), at); lost > 0 && row.keeps {
				t.Errorf("%d acknowledged writes are lost", lost)
			}
			owner.comesBack(t)
		})
	}
}

func all(n int) (which []int) {
	for i := range n {
		which = append(which, i)
	}
	return which
}

// What was written in the last moment before power is lost may be gone without anybody
// remembering that it was there; no token of it may be given again all the same.
func TestDrillNoTokenComesAgainAfterALossOfWhatNobodyRemembers(t *testing.T) {
	for round := range 5 {
		p := newPowered(t, 1, "--history-bytes", "268435456")
		p.boot(t, 0)
		l := keepLedger(t, p.url(), 0)
		await(t, "tokens", func() (bool, string) { l.mu.Lock(); defer l.mu.Unlock(); return l.tokens > 10, "" })
		l.halt()
		syscall.Sync() // as the kernel does now and then
		l2 := keepLedger(t, p.url(), 1)
		await(t, "tokens", func() (bool, string) { l2.mu.Lock(); defer l2.mu.Unlock(); return l2.tokens > 10+round*5, "" })
		at := p.lose(t, 0)
		l2.halt()
		p.boot(t, 0)
		l2.settle(t, p.url(), at)
	}
}
