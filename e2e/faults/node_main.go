package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/fx"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules"
	"github.com/roostbus/roost/modules/config"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

// AsNode makes a test binary be a node, as `roost serve` runs it, with the settings that it
// holds.
const AsNode = "ROOST_TEST_NODE"

// startPatience is how long a node may take to serve.
const startPatience = time.Minute

// nodeSettings are those of a node, and of what a test does to it.
type nodeSettings struct {
	config.Server

	// Admin is where the node lets a test use JetStream as it does itself, which clients of
	// its embedded NATS may not; "" for nowhere.
	Admin string `json:",omitempty"`
}

// NodeMain is a node until in ends, where orders come from. It tells when it serves, and where.
func NodeMain(settings string, in io.Reader, out, log io.Writer) error {
	var c nodeSettings
	if err := json.Unmarshal([]byte(settings), &c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	var link *natsmodule.Link
	app := fx.New(fx.Supply(c.Server, config.Version("0.0.0"), slog.New(slog.NewTextHandler(log, nil))),
		fx.Provide(func() context.Context { return ctx }), fx.NopLogger, modules.Server, fx.Populate(&link))
	if err := app.Start(ctx); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, link.ClientURL); err != nil {
		return err
	}
	if c.Admin != "" {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Admin)
		if err != nil {
			return err
		}
		s := &http.Server{Handler: jetStreamOf(link.Writing), ReadHeaderTimeout: time.Minute}
		defer func() { _ = s.Close() }()
		go func() { _ = s.Serve(l) }()
	}
	for orders := bufio.NewScanner(in); orders.Scan(); {
		if err := natstest.Obey(orders.Text()); err != nil {
			return err
		}
	}
	ctx, cancel = context.WithTimeout(context.Background(), c.StopTimeout)
	defer cancel()
	return app.Stop(ctx)
}

// jetStreamOf has whoever names a subject as path ask there.
func jetStreamOf(nc *nats.Conn) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := nc.RequestWithContext(r.Context(), r.URL.Path[1:], nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = w.Write(reply.Data)
	})
}
