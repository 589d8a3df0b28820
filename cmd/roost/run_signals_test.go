//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"
)

func TestAHangupIsPassedOnAndEndsNothing(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	p := startRole(t, node.url, "run", "web/i-1", "--", "sh", "-c",
		`trap 'echo reloaded' HUP; trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done`)
	p.prints(t, "ready")
	p.signal(t, syscall.SIGHUP)
	p.prints(t, "reloaded")
	if got := must(t, node.url, "list", "web", "--status", "up"); !strings.Contains(got, "i-1") {
		t.Errorf("after a hangup the list is %q; want the instance up", got)
	}
	if code := p.terminate(t); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

func TestAPasswordInTheURLOfAProbeIsNotSaid(t *testing.T) {
	t.Parallel()
	p := probe{HTTP: "http://user:hunter2@127.0.0.1:1/healthz", Interval: patience}
	if err := p.ask(t.Context(), nil); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("err = %v; want one without the password", err)
	}
	wrong := probe{HTTP: "user:hunter2@host", Interval: patience}
	if err := wrong.validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("err = %v; want one without the password", err)
	}
}
