package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/roostbus/roost/cmd/roost/child"
)

// probe asks a child, every interval, whether it is well. It is at most one of the two.
type probe struct {
	HTTP     string        `koanf:"health_http"`
	Cmd      string        `koanf:"health_cmd"`
	Interval time.Duration `koanf:"health_interval"`
}

func probeFlags(fs *pflag.FlagSet) {
	fs.String("health-http", "", "`URL` that answers with a status of 200 to 399 while the command is well")
	fs.String("health-cmd", "", "`CMD` for the shell that exits with 0 while the command is well")
	fs.Duration("health-interval", 10*time.Second, "how often to ask, and at most so long for an answer")
}

// asked reports whether there is anything to ask.
func (p *probe) asked() bool { return p.HTTP != "" || p.Cmd != "" }

func (p *probe) validate() error {
	switch {
	case p.HTTP != "" && p.Cmd != "":
		return usagef("--health-http and --health-cmd: give one of them")
	case p.Interval < 100*time.Millisecond:
		return usagef("--health-interval %v: must be at least 100ms", p.Interval)
	case p.HTTP == "":
		return nil
	}
	u, err := url.Parse(p.HTTP)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usagef("--health-http: want a URL like http://127.0.0.1:8080/healthz")
	}
	return nil
}

// shown is the URL without a password.
func (p *probe) shown() string {
	u, err := url.Parse(p.HTTP)
	if err != nil {
		return "the URL"
	}
	return u.Redacted()
}

// ask asks once. nil means that the child is well.
func (p *probe) ask(ctx context.Context, r *child.Runner) error {
	ctx, cancel := context.WithTimeout(ctx, p.Interval)
	defer cancel()
	if p.Cmd != "" {
		return p.askCommand(ctx, r)
	}
	return p.askHTTP(ctx)
}

func (p *probe) askHTTP(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.HTTP, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask %s: %w", p.shown(), err)
	}
	request.Header.Set("User-Agent", "roost")
	request.Close = true
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := c.Do(request)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return fmt.Errorf("ask %s: %w", p.shown(), err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(reply.Body, 64<<10)) // what it says does not matter
	if err := reply.Body.Close(); err != nil {
		return fmt.Errorf("ask %s: %w", p.shown(), err)
	}
	if reply.StatusCode < 200 || reply.StatusCode >= 400 {
		return fmt.Errorf("ask %s: status %s", p.shown(), reply.Status)
	}
	return nil
}

func (p *probe) askCommand(ctx context.Context, r *child.Runner) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", p.Cmd) //nolint:gosec // running a command is the task
	cmd.WaitDelay = time.Second
	var said strings.Builder
	cmd.Stderr = &said
	if err := r.Run(cmd); err != nil {
		if line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n"); line != "" {
			return fmt.Errorf("%s: %w: %.200s", p.Cmd, err, line)
		}
		return fmt.Errorf("%s: %w", p.Cmd, err)
	}
	return nil
}
