package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// connection are the settings that every client command has.
type connection struct {
	Server  string        `koanf:"server"`
	Context string        `koanf:"context"`
	Creds   string        `koanf:"creds"`
	NKey    string        `koanf:"nkey"`
	TLSCA   string        `koanf:"tls_ca"`
	TLSCert string        `koanf:"tls_cert"`
	TLSKey  string        `koanf:"tls_key"`
	Prefix  string        `koanf:"prefix"`
	Timeout time.Duration `koanf:"timeout"`
	JSON    bool          `koanf:"json"`
	Quiet   bool          `koanf:"quiet"`
}

func connectionFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.String("server", "", "`URL` of NATS (default $NATS_URL, else "+nats.DefaultURL+")")
	fs.String("context", "", "`NAME` of a context of the nats command line")
	fs.String("creds", "", "`FILE` of credentials")
	fs.String("nkey", "", "`FILE` of an NKey seed")
	fs.String("tls-ca", "", "`FILE` of the certificate authority")
	fs.String("tls-cert", "", "`FILE` of the client certificate")
	fs.String("tls-key", "", "`FILE` of the client certificate's key")
	fs.String("prefix", bus.DefaultPrefix, "`PREFIX` of the registry's subjects")
	fs.Duration("timeout", 5*time.Second, "at most so long for the whole command")
	fs.Bool("json", false, "print the registry's replies unchanged, one a line")
	fs.Bool("quiet", false, "print nothing but errors")
}

// session is a connected client and where its answers go.
type session struct {
	*client.Client
	*connection
	out io.Writer
}

// show prints what people read, unless the raw replies were asked for, or nothing.
func (s *session) show(write func(io.Writer) error) error {
	if s.JSON || s.Quiet {
		return nil
	}
	return write(s.out)
}

// with connects and runs f within the timeout. In JSON mode every reply that f brings
// about is printed as it came, the failed one included.
func (p *program) with(cmd *cobra.Command, c *connection, f func(ctx context.Context, s *session) error, opts ...client.Option) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Timeout)
	defer cancel()
	var unwritten error
	if c.JSON && !c.Quiet {
		opts = append(opts, client.WithReplies(func(_ string, body []byte) {
			_, err := fmt.Fprintf(p.stdout, "%s\n", body)
			unwritten = errors.Join(unwritten, err)
		}))
	}
	connected, err := p.connect(ctx, cmd, c, opts...)
	if err != nil {
		return err
	}
	err = f(ctx, &session{Client: connected, connection: c, out: p.stdout})
	if failure, ok := errors.AsType[*bus.Error](err); ok && c.JSON && !c.Quiet {
		if body, bad := json.Marshal(failure); bad == nil {
			_, bad = fmt.Fprintf(p.stdout, "%s\n", body)
			unwritten = errors.Join(unwritten, bad)
		}
	}
	return errors.Join(err, unwritten, connected.Close())
}

// connect connects as the settings say. No call takes longer than the timeout.
func (p *program) connect(ctx context.Context, cmd *cobra.Command, c *connection, opts ...client.Option) (*client.Client, error) {
	if c.Timeout <= 0 {
		return nil, usagef("--timeout %v: must be positive", c.Timeout)
	}
	server, auth, err := c.resolve(p.environ)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return client.Connect(ctx, server, append([]client.Option{
		client.WithName("roost " + cmd.Name()), client.WithPrefix(c.Prefix), client.WithNATS(auth...),
		client.WithReadTimeout(c.Timeout), client.WithWriteTimeout(c.Timeout),
	}, opts...)...)
}

// resolve returns the URL and the options that the settings, a context and the
// environment of the nats command line say, in this order.
func (c *connection) resolve(environ []string) (server string, opts []nats.Option, err error) {
	saved, err := loadContext(c.Context, environ)
	if err != nil {
		return "", nil, err
	}
	server = first(c.Server, saved.URL, variable(environ, "NATS_URL"), nats.DefaultURL)
	if creds := first(c.Creds, saved.Creds); creds != "" {
		opts = append(opts, nats.UserCredentials(creds))
	}
	if file := first(c.NKey, saved.NKey); file != "" {
		nkey, err := nats.NkeyOptionFromSeed(file)
		if err != nil {
			return "", nil, usagef("read the NKey seed in %s: %w", file, err)
		}
		opts = append(opts, nkey)
	}
	if ca := first(c.TLSCA, saved.CA); ca != "" {
		opts = append(opts, nats.RootCAs(ca))
	}
	cert, key := first(c.TLSCert, saved.Cert), first(c.TLSKey, saved.Key)
	if (cert == "") != (key == "") {
		return "", nil, usagef("--tls-cert and --tls-key belong together")
	}
	if cert != "" {
		opts = append(opts, nats.ClientCert(cert, key))
	}
	return server, append(opts, saved.options()...), nil
}

// first returns the first of values that says something, with a leading ~ resolved.
func first(values ...string) string {
	for _, v := range values {
		if v == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(v, "~/"); ok {
			if home, err := os.UserHomeDir(); err == nil {
				return home + "/" + rest
			}
		}
		return v
	}
	return ""
}

// variable returns a variable of the environment.
func variable(environ []string, name string) (value string) {
	for _, pair := range environ {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value = v
		}
	}
	return value
}
