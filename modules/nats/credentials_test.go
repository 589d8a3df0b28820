package nats_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

// refuses fails unless the settings lead to an error that contains want.
func refuses(t *testing.T, c config.Server, want ...string) {
	t.Helper()
	_, err := open(t, c, slog.DiscardHandler)
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("Open() = %v; want an error with %q in it", err, w)
		}
	}
}

func TestCredentialsOpenANATSOfAnOperator(t *testing.T) {
	t.Parallel()
	o := natstest.NewOperator(t)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, o.Configure)
	c := elsewhere(s.URL())
	refuses(t, c, "Authorization Violation", "--creds")
	c.Creds = filepath.Join(t.TempDir(), "absent.creds")
	refuses(t, c, c.Creds, "no such file")
	c.Creds = natstest.NewOperator(t).Application.User(t)
	refuses(t, c, "Authorization Violation", "--creds")
	c.Creds = o.Application.User(t)
	link := mustOpen(t, c)
	if link.HasEvents() {
		t.Error("HasEvents() = true without system credentials")
	}
}

// nkeyUser makes a user and returns the file with its seed.
func nkeyUser(t *testing.T, account *server.Account) (user *server.NkeyUser, file string) {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "user.nk")
	write(t, file, seed)
	return &server.NkeyUser{Nkey: public, Account: account}, file
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNKeysOpenANATSWithUsersInItsConfiguration(t *testing.T) {
	t.Parallel()
	application, system := server.NewAccount("APPLICATION"), server.NewAccount("SYSTEM")
	user, seed := nkeyUser(t, application)
	observer, systemSeed := nkeyUser(t, system)
	_, stranger := nkeyUser(t, application)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, func(o *server.Options) {
		o.Accounts, o.SystemAccount = []*server.Account{application, system}, "SYSTEM"
		o.Nkeys = []*server.NkeyUser{user, observer}
	})
	c := elsewhere(s.URL())
	refuses(t, c, "Authorization Violation", "--nkey")
	c.NKey = filepath.Join(t.TempDir(), "absent.nk")
	refuses(t, c, c.NKey, "no such file")
	c.NKey = stranger
	refuses(t, c, "Authorization Violation", "--nkey")

	c.NKey, c.SystemCreds = seed, seed
	refuses(t, c, "nobody there tells of connections", "--system-creds")
	c.SystemCreds = systemSeed
	heard := listen(t, mustOpen(t, c))
	own, err := natsgo.NkeyOptionFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	closes(t, connect(t, s.URL(), own), heard)
}

// The global account is left out when the server is asked for a connection's account.
func TestClosedConnectionsOfTheGlobalAccountAreHeard(t *testing.T) {
	t.Parallel()
	system := server.NewAccount("SYSTEM")
	observer, seed := nkeyUser(t, system)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, func(o *server.Options) {
		o.Accounts, o.SystemAccount, o.Nkeys = []*server.Account{system}, "SYSTEM", []*server.NkeyUser{observer}
	})
	c := elsewhere(s.URL())
	c.SystemCreds = seed
	heard := listen(t, mustOpen(t, c))
	closes(t, connect(t, s.URL()), heard)
}

func TestCertificatesOpenANATSWithTLSForTheSystemAccountToo(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	serverCert, serverKey := authority.issue(t, "server")
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority.cert)
	o := natstest.NewOperator(t)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, o.Configure, func(o *server.Options) {
		o.TLS, o.TLSVerify, o.TLSTimeout = true, true, patience.Seconds()
		o.TLSConfig = &tls.Config{
			Certificates: []tls.Certificate{pair}, ClientCAs: pool,
			ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
		}
	})
	c := elsewhere(s.URL())
	c.Creds, c.SystemCreds = o.Application.User(t), o.System.User(t)
	c.Cert, c.Key = authority.issue(t, "roost")
	refuses(t, c, "certificate signed by unknown authority")
	c.CA = filepath.Join(t.TempDir(), "absent.pem")
	refuses(t, c, c.CA)
	c.CA = newAuthority(t).file
	refuses(t, c, "certificate signed by unknown authority")
	c.CA = authority.file
	without := c
	without.Cert, without.Key = "", ""
	refuses(t, without, "connect to NATS")

	heard := listen(t, mustOpen(t, c))
	closes(t, connect(t, s.URL(), natsgo.UserCredentials(c.Creds), natsgo.RootCAs(c.CA), natsgo.ClientCert(c.Cert, c.Key)), heard)
	abrupt := connect(t, s.URL(), natsgo.UserCredentials(c.Creds), natsgo.RootCAs(c.CA), natsgo.ClientCert(c.Cert, c.Key))
	want := abrupt.end(t, "Client Closed")
	if err := abrupt.net.Close(); err != nil { // without TLS's own goodbye, as when a process is killed
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, next(t, heard)); diff != "" {
		t.Errorf("heard of an abrupt end (-want +got):\n%s", diff)
	}
}

// A certificate that ends is replaced by another in its place, and nothing is restarted.
func TestACertificateForANATSElsewhereIsReadAnewForEachConnection(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	serverCert, serverKey := authority.issue(t, "server")
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority.cert)
	s := natstest.Start(t, natstest.Listen, natstest.NoJetStream, func(o *server.Options) {
		o.TLS, o.TLSVerify, o.TLSTimeout = true, true, patience.Seconds()
		o.TLSConfig = &tls.Config{
			Certificates: []tls.Certificate{pair}, ClientCAs: pool,
			ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
		}
	})
	c := elsewhere(s.URL())
	c.CA = authority.file
	c.Cert, c.Key = authority.issue(t, "first")
	mustOpen(t, c)
	shown := func(name string) (n int) {
		conns, err := s.Running().Connz(&server.ConnzOptions{Username: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, conn := range conns.Conns {
			if len(conn.TLSPeerCerts) > 0 && strings.Contains(conn.TLSPeerCerts[0].Subject, name) {
				n++
			}
		}
		return n
	}
	natstest.Await(t, "connections", func() bool { return shown("first") == 2 })
	cert, key := authority.issue(t, "second")
	for from, to := range map[string]string{cert: c.Cert, key: c.Key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	conns, err := s.Running().Connz(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns.Conns {
		if err := s.Running().DisconnectClientByID(conn.Cid); err != nil {
			t.Fatal(err)
		}
	}
	natstest.Await(t, "the other certificate", func() bool { return shown("second") == 2 })
}

// authority issues certificates for this host.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := a.sign(t, a.cert, a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	write(t, a.file, encode("CERTIFICATE", der))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, of *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, of.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// issue returns the files of a certificate and of its key.
func (a *authority) issue(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private := newKey(t)
	der := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, private)
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, encode("CERTIFICATE", der))
	write(t, key, encode("EC PRIVATE KEY", secret))
	return cert, key
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
