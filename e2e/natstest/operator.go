package natstest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// Operator gives out the accounts and users of servers in operator mode, the way an
// operator of NATS does with nsc.
//
//	o := natstest.NewOperator(t)
//	srv := natstest.Start(t, natstest.Listen, o.Configure)
//	nc := srv.Connect(t, nats.UserCredentials(o.Application.User(t)))
type Operator struct {
	// Application is where clients are; it may use JetStream.
	Application *Account
	// System is the system account.
	System *Account

	key      nkeys.KeyPair
	claims   *jwt.OperatorClaims
	accounts *server.MemAccResolver
}

// Account is one that an Operator has given out.
type Account struct {
	Name string // its public key
	key  nkeys.KeyPair
}

// NewOperator returns an Operator with its two accounts.
func NewOperator(tb testing.TB) *Operator {
	tb.Helper()
	key, err := nkeys.CreateOperator()
	if err != nil {
		tb.Fatal(err)
	}
	o := &Operator{key: key, claims: jwt.NewOperatorClaims(public(tb, key)), accounts: &server.MemAccResolver{}}
	o.Application = o.account(tb, func(c *jwt.AccountClaims) {
		c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	})
	o.System = o.account(tb, func(*jwt.AccountClaims) {})
	o.claims.SystemAccount = o.System.Name
	return o
}

// Configure has a server trust the Operator.
func (o *Operator) Configure(options *server.Options) {
	options.TrustedOperators = []*jwt.OperatorClaims{o.claims}
	options.AccountResolver = o.accounts
	options.SystemAccount = o.System.Name
}

func (o *Operator) account(tb testing.TB, change func(*jwt.AccountClaims)) *Account {
	tb.Helper()
	key, err := nkeys.CreateAccount()
	if err != nil {
		tb.Fatal(err)
	}
	a := &Account{Name: public(tb, key), key: key}
	claims := jwt.NewAccountClaims(a.Name)
	change(claims)
	token, err := claims.Encode(o.key)
	if err != nil {
		tb.Fatal(err)
	}
	if err := o.accounts.Store(a.Name, token); err != nil {
		tb.Fatal(err)
	}
	return a
}

// User makes a user and returns the file with its credentials.
func (a *Account) User(tb testing.TB, change ...func(*jwt.UserClaims)) (file string) {
	tb.Helper()
	file = filepath.Join(tb.TempDir(), "user.creds")
	a.Renew(tb, file, change...)
	return file
}

// Renew writes the credentials of another user into file.
func (a *Account) Renew(tb testing.TB, file string, change ...func(*jwt.UserClaims)) {
	tb.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		tb.Fatal(err)
	}
	claims := jwt.NewUserClaims(public(tb, key))
	for _, c := range change {
		c(claims)
	}
	token, err := claims.Encode(a.key)
	if err != nil {
		tb.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		tb.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func public(tb testing.TB, key nkeys.KeyPair) string {
	tb.Helper()
	name, err := key.PublicKey()
	if err != nil {
		tb.Fatal(err)
	}
	return name
}
