package nats

import (
	"crypto/rand"
	"crypto/subtle"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
)

// role is a kind of connection that the registry itself makes.
type role struct {
	name        string // of the role, the user and the inbox
	password    string // drawn anew at each start
	permissions *server.Permissions
	account     func() *server.Account
}

func newRole(name string, permissions *server.Permissions, account func() *server.Account) role {
	return role{name: name, password: rand.Text() + rand.Text(), permissions: permissions, account: account}
}

// options are how a connection takes on the role.
func (r *role) options() []natsgo.Option {
	return []natsgo.Option{
		natsgo.UserInfo(r.name, r.password),
		natsgo.CustomInboxPrefix(ownInboxes + "." + r.name),
	}
}

// gate decides who a connection is. It lets everybody in.
type gate struct {
	roles   []role
	client  *server.Permissions    // of whoever is none of roles; nil allows everything
	account func() *server.Account // where whoever is none of roles is
}

var _ server.Authentication = (*gate)(nil)

// Check implements server.Authentication.
func (g *gate) Check(c server.ClientAuthentication) bool {
	user := &server.User{Permissions: g.client, Account: g.account()}
	opts := c.GetOpts()
	for i := range g.roles {
		r := &g.roles[i]
		if opts.Username == r.name && subtle.ConstantTimeCompare([]byte(opts.Password), []byte(r.password)) == 1 {
			user.Username, user.Permissions, user.Account = r.name, r.permissions, r.account()
		}
	}
	c.RegisterUser(user)
	return true
}
