package nats

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/roostbus/roost/modules/config"
)

// connectExternal makes the registry's connections to a NATS elsewhere, whose operator has
// given the credentials their permissions.
func connectExternal(c config.NATS, opts []natsgo.Option) (answering, writing *natsgo.Conn, err error) {
	own, err := credentials(c)
	if err != nil {
		return nil, nil, err
	}
	answering, writing, err = connectBoth(c.URL, own, own, opts)
	switch {
	case err == nil:
		return answering, writing, nil
	case errors.Is(err, natsgo.ErrAuthorization), errors.Is(err, natsgo.ErrAuthExpired):
		return nil, nil, fmt.Errorf("connect to NATS at %s: %w; check --creds, --nkey or the user in --nats-url", redacted(c.URL), err)
	default:
		return nil, nil, fmt.Errorf("connect to NATS at %s: %w; check that it runs and that --nats-url is right", redacted(c.URL), err)
	}
}

// credentials turns the settings into options.
func credentials(c config.NATS) ([]natsgo.Option, error) {
	var opts []natsgo.Option
	if c.Creds != "" {
		opts = append(opts, natsgo.UserCredentials(c.Creds))
	}
	if c.NKey != "" {
		nkey, err := natsgo.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return nil, fmt.Errorf("read the NKey seed in %s: %w", c.NKey, err)
		}
		opts = append(opts, nkey)
	}
	return append(opts, tlsOptions(c.TLS)...), nil
}

func tlsOptions(c config.TLS) (opts []natsgo.Option) {
	if c.CA != "" {
		opts = append(opts, natsgo.RootCAs(c.CA))
	}
	if c.Cert != "" {
		opts = append(opts, natsgo.ClientCert(c.Cert, c.Key))
	}
	return opts
}

// redacted is raw, one URL or several, without passwords.
func redacted(raw string) string {
	all := strings.Split(raw, ",")
	for i, one := range all {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return "the given URL"
		}
		all[i] = u.Redacted()
	}
	return strings.Join(all, ",")
}
