package nats

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/roostbus/roost/modules/config"
)

// ClusterConfig says how an embedded server finds the others of its cluster, and who may
// be one.
type ClusterConfig struct {
	Name      string     // of the cluster
	Listen    string     // HOST:PORT for the other servers; port 0 picks one
	Advertise string     // HOST:PORT that they are told instead; "" for Listen
	Routes    []*url.URL // to the servers of the cluster, this one included or not
	Secret    string     // that lets a server in; "" asks for none
	TLS       *tls.Config
}

// A route that is cut without a word takes its share of the requests until it is found
// dead: NATS gives those of a queue group to its members by turns, wherever they are. So a
// route is asked often whether it lives.
const (
	routePing  = 2 * time.Second
	routePings = 3
)

// routeReports is how many tries in vain to reach a server, one a second, are worth a word.
const routeReports = 60

// routeUser is the name that servers give each other.
const routeUser = "roost"

// clusterOf reads what c names.
func clusterOf(c *config.Cluster) (*ClusterConfig, error) {
	routes, err := c.RouteURLs()
	if err != nil {
		return nil, fmt.Errorf("read --cluster-routes: %w", err)
	}
	secret, err := c.Secret()
	if err != nil {
		return nil, err
	}
	k := &ClusterConfig{Name: c.ClusterName, Listen: c.ClusterListen, Advertise: c.ClusterAdvertise, Routes: routes, Secret: secret}
	if c.ClusterCert != "" {
		k.TLS, err = routeTLS(c.ClusterCA, c.ClusterCert, c.ClusterKey)
	}
	return k, err
}

// routeTLS returns the TLS of both ends of a route: each shows a certificate of the
// authority. The certificate is read anew for each route, so one that ends can be replaced.
func routeTLS(caFile, certFile, keyFile string) (*tls.Config, error) {
	text, err := os.ReadFile(caFile) //nolint:gosec // the operator's file
	if err != nil {
		return nil, fmt.Errorf("read --cluster-tls-ca: %w", err)
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read --cluster-tls-ca: %s holds no certificate", caFile)
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("read --cluster-tls-cert and --cluster-tls-key: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: authority, ClientCAs: authority, ClientAuth: tls.RequireAndVerifyClientCert,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() },
	}, nil
}

// apply puts c into the options of a server that takes at most leave to be left.
func (c *ClusterConfig) apply(o *server.Options, leave time.Duration) error {
	host, port, err := splitListen(c.Listen)
	if err != nil {
		return err
	}
	o.Cluster = server.ClusterOpts{
		Name: c.Name, Host: host, Port: port, Advertise: c.Advertise, TLSConfig: c.TLS,
		PingInterval: routePing, MaxPingsOut: routePings,
	}
	o.Routes = c.Routes
	if c.Secret != "" {
		// NATS takes some passwords for bcrypt hashes, and its routes' URLs hold it.
		sum := sha256.Sum256([]byte("roost cluster " + c.Secret))
		o.Cluster.Username, o.Cluster.Password = routeUser, hex.EncodeToString(sum[:])
		o.Routes = nil
		for _, route := range c.Routes {
			o.Routes = append(o.Routes, &url.URL{Scheme: route.Scheme, Host: route.Host, User: url.UserPassword(routeUser, o.Cluster.Password)})
		}
	}
	o.ReconnectErrorReports = routeReports
	o.LameDuckGracePeriod, o.LameDuckDuration = time.Millisecond, max(leave, time.Second)
	return nil
}

// Where an embedded server keeps the streams of its clients, and what its cluster has
// agreed upon.
const (
	streamsDir = "jetstream/$G/streams"
	metaDir    = "jetstream/$SYS/_js_/_meta_"
)

// sameKind reports a store directory that is not to be used as asked for. A server of a
// cluster deletes the streams that its cluster does not know, and one alone takes its copy
// of a cluster's streams for the whole.
func sameKind(dir string, clustered bool) error {
	if dir == "" {
		return nil
	}
	hasMeta, err := exists(filepath.Join(dir, filepath.FromSlash(metaDir)))
	if err != nil {
		return unusable(dir, err)
	}
	streams, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(streamsDir)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return unusable(dir, err)
	}
	switch {
	case clustered && !hasMeta && len(streams) > 0:
		return fmt.Errorf("use store directory %s: it is of a node without a cluster, and the cluster would delete what it holds; "+
			"start without --cluster-listen and export it, then import that into the cluster, or choose another directory with --store-dir", dir)
	case !clustered && hasMeta:
		return fmt.Errorf("use store directory %s: it is of a node of a cluster; give --cluster-listen and --cluster-routes again, "+
			"or choose another directory with --store-dir", dir)
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
