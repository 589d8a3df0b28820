package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/e2e/faults"
	"github.com/roostbus/roost/e2e/natstest"
)

// asCandidate makes the test binary be a candidate of the name that it holds, so that
// tests can stop and wake one as a process of its own.
const asCandidate = "ROOST_TEST_CANDIDATE"

func TestMain(m *testing.M) {
	if natstest.ServerMain() {
		return
	}
	if name := os.Getenv(asCandidate); name != "" {
		if err := candidateMain(name, os.Getenv("NATS_URL"), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if url := os.Getenv(asConnected); url != "" {
		if err := connectedMain(url, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if settings := os.Getenv(faults.AsNode); settings != "" {
		if err := faults.NodeMain(settings, os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if settings := os.Getenv(asProgram); settings != "" {
		if err := programMain(settings, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if url := os.Getenv(asWorker); url != "" {
		if err := workerMain(url, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if url := os.Getenv(asMember); url != "" {
		if err := memberMain(url, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if settings := os.Getenv(asActors); settings != "" {
		if err := actorsMain(settings, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// said is what a candidate's process tells of its tenures.
type said struct {
	Node       string
	Term       uint64
	Begin, End time.Time
}

// candidateMain takes part in an election until SIGTERM, and then tells when it was
// entitled.
func candidateMain(name, url string, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	c := &candidate{name: name, nc: nc}
	var run func(context.Context)
	if c.Keeper, run, err = assemble(ctx, nc, name, "", 1); err != nil {
		return err
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { run(ctx) })
	tasks.Go(func() { c.sample(ctx) })
	tasks.Wait()
	var all []said
	for _, s := range c.spans {
		all = append(all, said{s.node, s.term, s.begin, s.end})
	}
	return json.NewEncoder(out).Encode(all)
}

// candidateProcess is a candidate in a process of its own.
type candidateProcess struct {
	name string
	cmd  *exec.Cmd
	out  bytes.Buffer
	errs bytes.Buffer
}

func candidateAt(t *testing.T, url, name string) *candidateProcess {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &candidateProcess{name: name, cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), asCandidate+"="+name, "NATS_URL="+url)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // unless it has ended
	return p
}

func (p *candidateProcess) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v to %s: %v", s, p.name, err)
	}
}

// spans ends the process and returns when it was entitled.
func (p *candidateProcess) spans(t *testing.T) []span {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", p.name, err, p.errs.String())
	}
	var all []said
	if err := json.Unmarshal(p.out.Bytes(), &all); err != nil {
		t.Fatalf("%s said %q: %v", p.name, p.out.String(), err)
	}
	var spans []span
	for _, s := range all {
		spans = append(spans, span{s.Node, s.Term, s.Begin, s.End})
	}
	return spans
}

// TestAKeeperThatWasStoppedAndWakesIsNotTheKeeper stops real processes, past their time
// and short of it. L3.
func TestAKeeperThatWasStoppedAndWakesIsNotTheKeeper(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	l := lookOut(t, srv.Connect(t))
	var all []*candidateProcess
	for i := range 3 {
		all = append(all, candidateAt(t, srv.URL(), fmt.Sprint("n", i)))
	}
	current := func() *candidateProcess {
		b := l.await(t, "anything", anyBeacon)
		return all[slices.IndexFunc(all, func(p *candidateProcess) bool { return p.name == b.Keeper.Node })]
	}
	for range 2 {
		stopped := current()
		stopped.signal(t, syscall.SIGSTOP)
		begin := time.Now()
		next := l.await(t, "another keeper", func(b bus.Beacon) bool { return b.Keeper.Node != stopped.name })
		took := time.Since(begin)
		t.Logf("beacon of the next keeper %v after the stop", took)
		if took > keeper.Validity+keeperSlack {
			t.Errorf("the take-over took %v; want at most %v", took, keeper.Validity)
		}
		stopped.signal(t, syscall.SIGCONT)
		for range 3 {
			if b := l.await(t, "anything", anyBeacon); b.Keeper != next.Keeper {
				t.Errorf("keeper after the other woke = %+v; want %+v", b.Keeper, next.Keeper)
			}
		}
	}
	// Short of its time: the same goes on.
	before := current()
	before.signal(t, syscall.SIGSTOP)
	<-time.After(time.Second)
	before.signal(t, syscall.SIGCONT)
	current()
	var spans []span
	for _, p := range all {
		spans = append(spans, p.spans(t)...)
	}
	verdictOn(t, spans)
	l.verdict(t)
	if len(spans) < 3 {
		t.Errorf("%d tenures; want the first and two more", len(spans))
	}
}

// TestASingleKeeperThatWasStoppedBeginsAnewThoughNobodyTookOver is the stall rule: R4.
func TestASingleKeeperThatWasStoppedBeginsAnewThoughNobodyTookOver(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	l := lookOut(t, srv.Connect(t))
	p := candidateAt(t, srv.URL(), "single")
	first := l.await(t, "anything", anyBeacon)
	p.signal(t, syscall.SIGSTOP)
	<-time.After(keeper.Validity + 500*time.Millisecond)
	p.signal(t, syscall.SIGCONT)
	next := l.await(t, "anything", anyBeacon)
	if next.Keeper.Term != first.Keeper.Term+1 || next.Feed == first.Feed {
		t.Errorf("beacon after the stop = %+v; want the term after that of %+v, and another feed", next, first)
	}
	verdictOn(t, p.spans(t))
	l.verdict(t)
}
