package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// Cluster says how the embedded NATS servers of several nodes form one.
type Cluster struct {
	// ClusterName is the same on every node.
	ClusterName string `koanf:"cluster_name"`
	// ClusterListen is where the other nodes' servers connect to; "" if there are none.
	ClusterListen string `koanf:"cluster_listen"`
	// ClusterRoutes are the ClusterListen of the nodes, as HOST:PORT; a node's own may be
	// among them.
	ClusterRoutes []string `koanf:"cluster_routes"`
	// ClusterAdvertise is the HOST:PORT under which others reach ClusterListen, if that is
	// another one.
	ClusterAdvertise string `koanf:"cluster_advertise"`
	// ClusterSecret is what a node shows to be let in, and ClusterSecretFile names a file
	// with it.
	ClusterSecret     Secret `koanf:"cluster_secret"`
	ClusterSecretFile string `koanf:"cluster_secret_file"`
	// ClusterCA, ClusterCert and ClusterKey name the files of the routes' TLS, all or none.
	ClusterCA   string `koanf:"cluster_tls_ca"`
	ClusterCert string `koanf:"cluster_tls_cert"`
	ClusterKey  string `koanf:"cluster_tls_key"`
}

// Secret is a string that no log and no error shows.
type Secret string

// hidden is what is shown of a Secret.
const hidden = "(hidden)"

// String returns that there is one, or "".
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// DefaultClusterName is that of the clusters of nodes that are not told another.
const DefaultClusterName = "roost"

func clusterFlags(fs *pflag.FlagSet) {
	fs.String("cluster-listen", "", "`HOST:PORT` for the embedded NATS of other nodes; makes this one a node of a cluster")
	fs.StringSlice("cluster-routes", nil, "`HOST:PORT,…` where the nodes of the cluster listen for each other")
	fs.String("cluster-name", DefaultClusterName, "`NAME` of the cluster, the same on all nodes")
	fs.String("cluster-advertise", "", "`HOST:PORT` under which other nodes reach --cluster-listen, if that differs")
	fs.String("cluster-secret-file", "", "`FILE` with the secret that lets a node into the cluster (or $ROOST_CLUSTER_SECRET)")
	secret(fs, "cluster-secret")
	fs.String("cluster-tls-ca", "", "`FILE` of the authority that the nodes' certificates are of")
	fs.String("cluster-tls-cert", "", "`FILE` of this node's certificate, for both ends of a route")
	fs.String("cluster-tls-key", "", "`FILE` of that certificate's key")
}

// secretFlag marks a flag whose value other users of the machine must not see.
const secretFlag = "roost_secret"

// secret adds a setting that may come from the environment and the file alone: everybody
// on a machine sees its processes' arguments.
func secret(fs *pflag.FlagSet, name string) {
	fs.String(name, "", "the secret itself, from $"+Variable(name)+" or the settings file alone")
	f := fs.Lookup(name)
	f.Hidden, f.Annotations = true, map[string][]string{secretFlag: {"true"}}
}

// checkSecrets reports the secrets that were given as flags.
func (s Sources) checkSecrets() error {
	var problems []error
	s.Flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed && f.Annotations[secretFlag] != nil {
			problems = append(problems, &ProblemError{Where: "--" + f.Name, Key: Key(f.Name), Text: fmt.Sprintf(
				"everybody on this machine sees the arguments of a process; use --%s-file, or $%s", f.Name, Variable(f.Name))})
		}
	})
	return errors.Join(problems...)
}

// Clustered reports whether the embedded NATS server is one of several.
func (c *Cluster) Clustered() bool { return c.ClusterListen != "" }

// Secret returns what a node shows to be let in; "" if nothing is asked for.
func (c *Cluster) Secret() (string, error) {
	if c.ClusterSecretFile == "" {
		return string(c.ClusterSecret), nil
	}
	text, err := os.ReadFile(c.ClusterSecretFile)
	if err != nil {
		return "", fmt.Errorf("read --cluster-secret-file: %w", err)
	}
	found := strings.TrimSpace(string(text))
	if len(found) < minSecret {
		return "", fmt.Errorf("read --cluster-secret-file: %s holds %s", c.ClusterSecretFile, tooShort)
	}
	return found, nil
}

const (
	minSecret = 16
	tooShort  = "less than 16 characters; `openssl rand -hex 32` makes a good one"
)

// RouteURLs returns where the nodes of the cluster listen for each other.
func (c *Cluster) RouteURLs() ([]*url.URL, error) {
	var routes []*url.URL
	for _, text := range c.ClusterRoutes {
		address := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(text), "nats-route://"), "nats://")
		if !isAddress(address) {
			return nil, fmt.Errorf("%q is not HOST:PORT", text)
		}
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: address})
	}
	return routes, nil
}

func isAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	return err == nil && host != "" && !strings.ContainsAny(host, "@/") && port != "" && port != "0"
}

// validate reports what is wrong; embedded and kept say what else the node is.
func (c *Cluster) validate(embedded, kept bool) error {
	if !c.Clustered() {
		return errors.Join(
			check("cluster_routes", len(c.ClusterRoutes) == 0, "needs cluster_listen, where this node listens for the others"),
			check("cluster_advertise", c.ClusterAdvertise == "", "needs cluster_listen"),
		)
	}
	_, wrong := c.RouteURLs()
	tls := c.ClusterCert != ""
	return errors.Join(
		check("cluster_listen", embedded, "is about the embedded NATS and cannot be given with nats_url"),
		check("backend", kept, "memory is of one node alone, and cluster_listen makes this one of several; use hybrid or durable"),
		validateAddress("cluster_listen", c.ClusterListen),
		check("cluster_name", serverName.MatchString(c.ClusterName), "must be 1 to 128 characters without spaces"),
		check("cluster_routes", len(c.ClusterRoutes) > 0, "must name where the nodes of the cluster listen for each other"),
		problemOf("cluster_routes", wrong),
		check("cluster_advertise", c.ClusterAdvertise == "" || isAddress(c.ClusterAdvertise), "is not HOST:PORT"),
		check("cluster_secret", c.ClusterSecret == "" || c.ClusterSecretFile == "", "and cluster_secret_file say the same; give one"),
		check("cluster_secret", c.ClusterSecret == "" || len(c.ClusterSecret) >= minSecret, "has "+tooShort),
		check("cluster_tls_cert", (c.ClusterCert == "") == (c.ClusterKey == "") && (c.ClusterCert == "") == (c.ClusterCA == ""),
			"belongs together with cluster_tls_key and cluster_tls_ca"),
		check("cluster_listen", tls || c.ClusterSecret != "" || c.ClusterSecretFile != "" || loopback(c.ClusterListen),
			"whoever reaches it could join the cluster: give cluster_secret_file, or cluster_tls_ca, _cert and _key"),
	)
}

// loopback reports whether only this machine reaches address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
