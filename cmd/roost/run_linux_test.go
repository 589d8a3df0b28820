package main

import (
	"syscall"
	"testing"
	"time"
)

func TestWhenRunIsKilledItsProgramEndsAndNothingIsRegistered(t *testing.T) {
	t.Parallel()
	node := serve(t)
	p := running(t, node.url, forever, "--ttl", "1h")
	pid := p.pid(t)
	p.signal(t, syscall.SIGKILL)
	killed := time.Now()
	buried(t, pid)
	poll(t, "end of the registration", func() bool {
		_, there := find(t, node.url, "payments/i-1")
		return !there
	})
	if took := time.Since(killed); took > 5*time.Second {
		t.Errorf("gone %v after it was killed; want its grace of 1s", took)
	}
}
