package nats

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/roostbus/roost/modules/config"
)

// askTimeout bounds a question to a server at the start.
const askTimeout = 5 * time.Second

// listenEmbedded listens in the system account of the embedded server.
func listenEmbedded(s *Embedded, opts []natsgo.Option, log *slog.Logger) (e *ear, err error) {
	e = newEar(log)
	if e.nc, err = s.ConnectSystem(slices.Concat(opts, e.options())...); err != nil {
		return nil, err
	}
	if err := e.listen(s.server.GlobalAccount().Name); err != nil {
		e.nc.Close()
		return nil, err
	}
	return e, nil
}

// listenExternal listens in the system account of a NATS elsewhere, to what concerns the
// account of answering.
func listenExternal(c config.NATS, answering *natsgo.Conn, opts []natsgo.Option, log *slog.Logger) (*ear, error) {
	own, err := systemCredentials(c)
	if err != nil {
		return nil, err
	}
	e := newEar(log)
	if e.nc, err = natsgo.Connect(c.URL, slices.Concat(own, opts, e.options())...); err != nil {
		return nil, fmt.Errorf("connect to NATS at %s with %s: %w; check --system-creds", redacted(c.URL), c.SystemCreds, err)
	}
	account, err := e.accountOf(answering)
	if err == nil {
		err = e.listen(account)
	}
	if err != nil {
		e.nc.Close()
		return nil, fmt.Errorf("notice closed connections with %s: %w; check that --system-creds is of a user in the system account, "+
			"who may do what the documentation says", c.SystemCreds, err)
	}
	return e, nil
}

// systemCredentials turns the settings into options.
func systemCredentials(c config.NATS) ([]natsgo.Option, error) {
	text, err := os.ReadFile(c.SystemCreds)
	if err != nil {
		return nil, fmt.Errorf("read --system-creds: %w", err)
	}
	own := natsgo.UserCredentials(c.SystemCreds)
	if !bytes.Contains(text, []byte("BEGIN NATS USER JWT")) {
		if own, err = natsgo.NkeyOptionFromSeed(c.SystemCreds); err != nil {
			return nil, fmt.Errorf("read --system-creds: %s holds neither credentials nor the seed of an NKey: %w", c.SystemCreds, err)
		}
	}
	return append(tlsOptions(c.TLS), own), nil
}

// accountOf asks for the account of another connection. Only in the system account is
// there somebody who answers, so an answer also shows that e is there.
func (e *ear) accountOf(other *natsgo.Conn) (string, error) {
	id, err := other.GetClientID()
	if err != nil {
		return "", err
	}
	question, err := json.Marshal(server.ConnzOptions{CID: id, Username: true})
	if err != nil {
		return "", err
	}
	reply, err := e.nc.Request("$SYS.REQ.SERVER."+other.ConnectedServerId()+".CONNZ", question, askTimeout)
	switch {
	case errors.Is(err, natsgo.ErrNoResponders):
		return "", errors.New("nobody there tells of connections")
	case err != nil && refused(e.nc.LastError()):
		return "", e.nc.LastError()
	case err != nil:
		return "", fmt.Errorf("ask for the registry's account: %w", err)
	}
	var answer struct {
		Data struct {
			Connections []struct {
				Account string `json:"account"`
			} `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return "", fmt.Errorf("ask for the registry's account: %w", err)
	}
	if len(answer.Data.Connections) != 1 {
		return "", errors.New("ask for the registry's account: NATS does not know its connection")
	}
	// The global account is left out of the answer.
	return cmp.Or(answer.Data.Connections[0].Account, server.DEFAULT_GLOBAL_ACCOUNT), nil
}
