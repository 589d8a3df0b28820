package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

const globalDisconnects = "$SYS.ACCOUNT." + server.DEFAULT_GLOBAL_ACCOUNT + ".DISCONNECT"

// L6 for connection events: no client takes the registry's place in the system account, by
// whatever password, and from outside it nobody says or hears anything there. Even trusted
// clients are outside.
func TestAClientIsNotInTheSystemAccount(t *testing.T) {
	t.Parallel()
	for name, trusted := range map[string]bool{"Client": false, "TrustedClient": true} {
		for as, user := range map[string]nats.Option{
			"Anonymous": nats.Name("system"), "WithoutPassword": nats.UserInfo("system", ""),
			"WithAPassword": nats.UserInfo("system", "guess"), "AsAnotherRole": nats.UserInfo("answering", "guess"),
			"WithAToken": nats.Token("system"), "AsTheAccount": nats.UserInfo("$SYS", "system"),
		} {
			t.Run(name+as, func(t *testing.T) {
				t.Parallel()
				link, closed := linkedTo(t, func(c *config.Server) { c.TrustedClients = trusted })
				victim := connect(t, link.ClientURL)
				attacker := connect(t, link.ClientURL, user)

				var heard []*nats.Subscription
				for _, subject := range []string{">", "$SYS.>", "$SYS.ACCOUNT.*.*", globalDisconnects} {
					sub, err := attacker.SubscribeSync(subject)
					if err != nil {
						t.Fatal(err)
					}
					heard = append(heard, sub)
				}
				flush(t, attacker)
				is := closedOf(t, victim)
				publish(t, attacker, &nats.Msg{Subject: globalDisconnects, Data: forgery(t, is)})
				publish(t, attacker, &nats.Msg{Subject: "$SYS.ACCOUNT.$SYS.DISCONNECT", Data: forgery(t, is)})
				kick := fmt.Appendf(nil, `{"cid":%d}`, is.Client)
				if _, err := attacker.Request("$SYS.REQ.SERVER."+is.Server+".KICK", kick, 200*time.Millisecond); err == nil {
					t.Error("the server took a request of a client")
				}
				flush(t, attacker, victim)
				closesNext(t, connect(t, link.ClientURL), closed) // and not the victim's before it
				flush(t, attacker)
				for _, sub := range heard {
					for {
						m, err := sub.NextMsg(time.Millisecond)
						if err != nil {
							break
						}
						// With trusted clients it hears itself.
						if strings.Contains(string(m.Data), "io.nats.server.advisory") {
							t.Errorf("the client heard %s: %s", m.Subject, m.Data)
						}
					}
				}
			})
		}
	}
}

// Without this test the one above could pass with a forgery that forges nothing.
func TestTheSameForgeryAndKickWorkInTheSystemAccount(t *testing.T) {
	t.Parallel()
	o := natstest.NewOperator(t)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, o.Configure)
	_, closed := linkedTo(t, func(c *config.Server) {
		c.URL, c.Creds, c.SystemCreds = s.URL(), o.Application.User(t), o.System.User(t)
	})
	victim := connect(t, s.URL(), nats.UserCredentials(o.Application.User(t)), nats.NoReconnect())
	attacker := connect(t, s.URL(), nats.UserCredentials(o.System.User(t)))
	is := closedOf(t, victim)
	publish(t, attacker, &nats.Msg{Subject: "$SYS.ACCOUNT." + o.Application.Name + ".DISCONNECT", Data: forgery(t, is)})
	if got := arrives(t, "forged end", closed); got != is {
		t.Errorf("closed %v; want %v", got, is)
	}
	ended := victim.StatusChanged(nats.CLOSED)
	kick := fmt.Appendf(nil, `{"cid":%d}`, is.Client)
	if _, err := attacker.Request("$SYS.REQ.SERVER."+is.Server+".KICK", kick, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	arrives(t, "end of the victim's connection", ended)
}
