package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/cmd/roost/child"
)

func TestAProbeOverHTTPBelievesTheStatus(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(srv.Close)
	p := probe{HTTP: srv.URL, Interval: 10 * time.Second}
	for code, well := range map[int]bool{200: true, 204: true, 302: true, 404: false, 503: false} {
		status = code
		if err := p.ask(t.Context(), &child.Runner{}); (err == nil) != well {
			t.Errorf("status %d: %v; want well = %v", code, err, well)
		}
	}
	srv.Close()
	if err := p.ask(t.Context(), &child.Runner{}); err == nil {
		t.Error("nobody answers, and that is well")
	}
}

func TestAProbeByCommandBelievesTheExitCodeAndRepeatsTheComplaint(t *testing.T) {
	t.Parallel()
	var r child.Runner
	well := probe{Cmd: "exit 0", Interval: 10 * time.Second}
	if err := well.ask(t.Context(), &r); err != nil {
		t.Error(err)
	}
	ill := probe{Cmd: "echo no database >&2; exit 3", Interval: 10 * time.Second}
	if err := ill.ask(t.Context(), &r); err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("err = %v; want the complaint", err)
	}
}

func TestAProbeThatIsNotAnsweredInTimeSaysNo(t *testing.T) {
	t.Parallel()
	release, asked := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	p := probe{HTTP: srv.URL, Interval: time.Minute}
	if err := p.ask(ctx, &child.Runner{}); err == nil {
		t.Error("no answer is well")
	}
	hung := probe{Cmd: "exec sleep 600", Interval: 100 * time.Millisecond}
	if err := hung.ask(t.Context(), &child.Runner{}); err == nil {
		t.Error("a command that does not end is well")
	}
}

func TestAProbeMustMakeSense(t *testing.T) {
	t.Parallel()
	for _, p := range []probe{
		{HTTP: "http://127.0.0.1:1/", Cmd: "true", Interval: time.Second},
		{HTTP: "127.0.0.1:80", Interval: time.Second},
		{HTTP: "ftp://x/", Interval: time.Second},
		{Cmd: "true", Interval: time.Millisecond},
	} {
		if p.validate() == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
}
