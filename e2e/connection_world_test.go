package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/modules/config"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

// linkedTo opens the Link of a node that keeps nothing, with an embedded server unless
// change says otherwise, and returns what its Events calls with until the test ends.
func linkedTo(t *testing.T, change func(*config.Server)) (*natsmodule.Link, <-chan natsmodule.Closed) {
	t.Helper()
	c := config.DefaultServer()
	c.Node, c.Listen, c.Backend = "linked", "127.0.0.1:0", config.BackendMemory
	change(&c)
	link, err := natsmodule.Open(c, subjects(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := link.Close(ctx); err != nil {
			t.Errorf("close the link: %v", err)
		}
	})
	closed := make(chan natsmodule.Closed, 1024)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := link.Events(ctx, func(c natsmodule.Closed) { closed <- c }); err != nil {
			t.Errorf("Events() = %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return link, closed
}

// asEmbedded leaves the settings of linkedTo as they are.
func asEmbedded(*config.Server) {}

// arrives returns the next of from, or fails.
func arrives[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s after 20s", what)
		panic("unreachable")
	}
}

// closedOf is how the end of nc is told, if its peer closed it.
func closedOf(t *testing.T, nc *nats.Conn) natsmodule.Closed {
	t.Helper()
	id, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	return natsmodule.Closed{Server: nc.ConnectedServerId(), Client: id, Reason: "Client Closed"}
}

// closesNext closes nc and fails unless that is the next that is told.
func closesNext(t *testing.T, nc *nats.Conn, closed <-chan natsmodule.Closed) {
	t.Helper()
	want := closedOf(t, nc)
	nc.Close()
	if diff := cmp.Diff(want, arrives(t, "closed connection", closed)); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
}

// asConnected makes the test binary be a process that is connected to the NATS server at
// the URL that it holds.
const asConnected = "ROOST_TEST_CONNECTED"

// connectedMain connects, says by which connection, and stays until in ends.
func connectedMain(url string, in io.Reader, out io.Writer) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	id, err := nc.GetClientID()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(natsmodule.Closed{Server: nc.ConnectedServerId(), Client: id}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// startConnected starts such a process and returns how it is connected.
func startConnected(t *testing.T, url string) (*os.Process, natsmodule.Closed) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asConnected+"="+url)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // open until this process ends
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var is natsmodule.Closed
	if err := json.NewDecoder(out).Decode(&is); err != nil {
		t.Fatalf("the process did not connect: %v", err)
	}
	return cmd.Process, is
}
