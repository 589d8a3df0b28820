package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
)

// natsContext is what we read of a context of the nats command line. What else is in one
// does not matter to a client of the registry.
type natsContext struct {
	URL         string `json:"url"`
	Token       string `json:"token"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	JWT         string `json:"user_jwt"`
	Seed        string `json:"user_seed"`
	InboxPrefix string `json:"inbox_prefix"`
	TLSFirst    bool   `json:"tls_first"`
}

// loadContext reads the context called name, where the nats command line keeps it; the
// zero context if name is "".
func loadContext(name string, environ []string) (natsContext, error) {
	var c natsContext
	if name == "" {
		return c, nil
	}
	if name != filepath.Base(name) || name == "." || name == ".." {
		return c, usagef("context %q: want the name of a context, as nats context ls shows it", name)
	}
	directory := variable(environ, "XDG_CONFIG_HOME")
	if directory == "" {
		directory = filepath.Join(variable(environ, "HOME"), ".config")
	}
	file := filepath.Join(directory, "nats", "context", name+".json")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, usagef("context %q: there is no %s; see what there is with: nats context ls", name, file)
	}
	if err != nil {
		return c, usagef("context %q: %w", name, err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, usagef("context %q: %s is not JSON as the nats command line writes it: %w", name, file, err)
	}
	return c, nil
}

// options are those that no flag of ours says.
func (c *natsContext) options() (opts []nats.Option) {
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.JWT != "" && c.Seed != "" {
		opts = append(opts, nats.UserJWTAndSeed(c.JWT, c.Seed))
	}
	if c.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(c.InboxPrefix))
	}
	if c.TLSFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	return opts
}
