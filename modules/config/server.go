package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// Server is what an operator sets of a node. Its zero value is not usable; start from
// [DefaultServer].
type Server struct {
	// Prefix is what every subject begins with; the bucket's name follows from it.
	Prefix string `koanf:"prefix"`
	// Node names this node; it is the name of its NATS connections and, if embedded, of
	// its NATS server.
	Node string `koanf:"server_name"`
	// StopTimeout bounds the whole of a stop, from the first refused request to the end
	// of NATS.
	StopTimeout time.Duration `koanf:"stop_timeout"`

	// StartTimeout bounds the start: a node waits so long for a NATS that is not ready, such
	// as a cluster without a majority.
	StartTimeout time.Duration `koanf:"start_timeout"`

	// Listen is where the embedded NATS server listens. Port 0 picks a free one.
	Listen string `koanf:"listen"`
	// Advertise is the HOST:PORT under which clients reach Listen, if that is another one.
	Advertise string `koanf:"advertise"`
	// StoreDir is where the node keeps what it remembers, and the embedded NATS server its
	// streams.
	StoreDir string `koanf:"store_dir"`
	// Sync is SyncAlways or SyncInterval: what the embedded NATS server does, or what is
	// known of the one at URL.
	Sync string `koanf:"sync"`
	// TrustedClients lifts the embedded NATS server's permissions.
	TrustedClients bool `koanf:"trusted_clients"`
	Cluster        `koanf:",squash"`

	// NATS is the NATS to use instead of the embedded one; its URL is "" for the embedded.
	NATS `koanf:",squash"`

	// Backend is one of the Backend constants.
	Backend string `koanf:"backend"`
	// NewEpoch begins a new epoch, whatever the store says of its own.
	NewEpoch bool `koanf:"new_epoch"`
	// Replicas is how many NATS servers keep the bucket; with 0 three do where there are so
	// many, and else one.
	Replicas int `koanf:"replicas"`

	Leases  `koanf:",squash"`
	History `koanf:",squash"`
	Log     `koanf:",squash"`
}

// Leases says what the keeper allows and forgives.
type Leases struct {
	// HoldShare is the share of all leases that must have fallen silent at about the same
	// time for their endings to be held back once, and HoldMinimum how many at least.
	HoldShare   float64 `koanf:"lease_hold_share"`
	HoldMinimum int     `koanf:"lease_hold_minimum"`
	// MaxLeases is how many may live at a time.
	MaxLeases int `koanf:"max_leases"`
}

// Clock returns the settings of the lease clock.
func (l *Leases) Clock() clock.Config {
	return clock.Config{HoldShare: l.HoldShare, HoldMinimum: l.HoldMinimum, MaxLeases: l.MaxLeases}
}

// NATS says how to reach a NATS server.
type NATS struct {
	URL   string `koanf:"nats_url"`
	Creds string `koanf:"creds"`
	NKey  string `koanf:"nkey"`
	// SystemCreds names a file with credentials of a user in the system account, by which
	// closed connections are noticed; "" if there are none.
	SystemCreds string `koanf:"system_creds"`
	// Domain is the JetStream domain of the bucket; "" for that of the server.
	Domain string `koanf:"js_domain"`
	// Tags are what a server must have to keep the bucket when it is made.
	Tags []string `koanf:"placement_tags"`
	TLS  `koanf:",squash"`
}

// TLS names the files of a TLS connection; each may be "".
type TLS struct {
	CA   string `koanf:"tls_ca"`
	Cert string `koanf:"tls_cert"`
	Key  string `koanf:"tls_key"`
}

// Log says how to log.
type Log struct {
	Level  string `koanf:"log_level"`
	Format string `koanf:"log_format"`
}

// The values of Server.Backend.
const (
	BackendHybrid  = "hybrid"  // the bucket, read from a view in memory
	BackendDurable = "durable" // the bucket, asked for every read
	BackendMemory  = "memory"  // nothing is kept
)

// Version is that of the program.
type Version string

// The values of Server.Sync.
const (
	SyncInterval = "interval" // written at once, synced every two minutes
	SyncAlways   = "always"   // synced before a write is acknowledged
)

// DefaultListen is where the embedded NATS server listens: where NATS clients look first.
const DefaultListen = "127.0.0.1:4222"

// DefaultServer returns the settings that the documentation describes. Node is this
// host's name and StoreDir lies in the user's data directory.
func DefaultServer() Server {
	return Server{
		Prefix:       bus.DefaultPrefix,
		Node:         hostname(),
		StopTimeout:  15 * time.Second,
		StartTimeout: 2 * time.Minute,
		Listen:       DefaultListen,
		StoreDir:     dataDir(),
		Sync:         SyncInterval,
		Cluster:      Cluster{ClusterName: DefaultClusterName, ClusterRoutes: []string{}},
		NATS:         NATS{Tags: []string{}},
		Backend:      BackendHybrid,
		Leases:       defaultLeases(),
		History:      defaultHistory(),
		Log:          Log{Level: "info", Format: "text"},
	}
}

func defaultLeases() Leases {
	c := clock.DefaultConfig()
	return Leases{HoldShare: c.HoldShare, HoldMinimum: c.HoldMinimum, MaxLeases: c.MaxLeases}
}

// ServerFlags adds the flags of Server's settings to fs, with their defaults.
func ServerFlags(fs *pflag.FlagSet) {
	d := DefaultServer()
	fs.String("prefix", d.Prefix, "`PREFIX` of every subject; the bucket's name follows from it")
	fs.String("server-name", d.Node, "`NAME` of this node")
	fs.Duration("stop-timeout", d.StopTimeout, "at most so long for a stop, in all")
	fs.Duration("start-timeout", d.StartTimeout, "at most so long for a start, such as for a NATS cluster that has no majority yet")
	fs.String("listen", d.Listen, "`HOST:PORT` where the embedded NATS listens; port 0 picks one")
	fs.String("advertise", "", "`HOST:PORT` under which clients reach --listen, if that differs")
	fs.String("store-dir", d.StoreDir, "`DIR` for this node's memory and the embedded NATS's streams")
	fs.String("sync", d.Sync, "when NATS syncs to disk: always|interval (2 minutes); of --nats-url, what it is set to")
	fs.Bool("trusted-clients", false, "for development: every client of the embedded NATS may do everything")
	clusterFlags(fs)
	fs.String("nats-url", "", "`URL,…` of the servers of a NATS to use instead of the embedded one")
	fs.String("creds", "", "`FILE` of credentials for --nats-url")
	fs.String("nkey", "", "`FILE` of an NKey seed for --nats-url")
	fs.String("system-creds", "", "`FILE` of credentials in the system account of --nats-url, to notice closed connections")
	fs.String("js-domain", "", "`DOMAIN` of JetStream at --nats-url that keeps the bucket")
	fs.StringSlice("placement-tags", nil, "`TAG,…` that a server of --nats-url must have to keep the bucket")
	fs.String("tls-ca", "", "`FILE` of the certificate authority for --nats-url")
	fs.String("tls-cert", "", "`FILE` of the client certificate for --nats-url")
	fs.String("tls-key", "", "`FILE` of the client certificate's key for --nats-url")
	fs.String("backend", d.Backend, "hybrid (kept, read from memory)|durable (kept, read from the store)|memory (not kept)")
	fs.Bool("new-epoch", false, "once, after a store directory was restored from a copy")
	fs.Int("replicas", d.Replicas, "how many servers keep the bucket: 1|3|5; 0: 3 where there are so many, else 1")
	fs.Float64("lease-hold-share", d.HoldShare, "hold endings back once where more than this share of all leases is silent; 1 never does")
	fs.Int("lease-hold-minimum", d.HoldMinimum, "and at least so many are")
	fs.Int("max-leases", d.MaxLeases, "so many leases may live at a time")
	historyFlags(fs)
	fs.String("log-level", d.Level, "debug|info|warn|error")
	fs.String("log-format", d.Format, "text|json, on standard error")
}

// serverName is what NATS takes as the name of a server, and a readable one.
var serverName = regexp.MustCompile(`^[^\s\pC]{1,128}$`)

// domainName is what NATS takes as a JetStream domain, without what means more in a subject.
var domainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Embedded reports whether the NATS server runs in this process.
func (s *Server) Embedded() bool { return s.URL == "" }

// Kept reports whether registrations outlive the process.
func (s *Server) Kept() bool { return s.Backend != BackendMemory }

// Validate reports every setting that is wrong, joined, each as a [ProblemError].
func (s *Server) Validate() error {
	_, prefixErr := bus.NewSubjects(s.Prefix)
	return errors.Join(
		problemOf("prefix", prefixErr),
		oneOf("sync", s.Sync, SyncInterval, SyncAlways),
		oneOf("backend", s.Backend, BackendHybrid, BackendDurable, BackendMemory),
		oneOf("log_level", s.Level, "debug", "info", "warn", "error"),
		oneOf("log_format", s.Format, "text", "json"),
		oneOf("replicas", strconv.Itoa(s.Replicas), "0", "1", "3", "5"),
		validateAddress("listen", s.Listen),
		check("advertise", s.Advertise == "" || isAddress(s.Advertise), "is not HOST:PORT"),
		s.Cluster.validate(s.Embedded(), s.Kept()),
		check("replicas", s.Replicas <= 1 || !s.Embedded() || s.Clustered(), "the embedded NATS is one server; more than 1 needs cluster_listen or nats_url"),
		check("server_name", serverName.MatchString(s.Node), "must be 1 to 128 characters without spaces"),
		check("lease_hold_share", s.HoldShare >= 0 && s.HoldShare <= 1, "must be 0 to 1"),
		check("lease_hold_minimum", s.HoldMinimum >= 1, "must be at least 1"),
		check("max_leases", s.MaxLeases >= 1, "must be at least 1"),
		s.History.validate(),
		check("stop_timeout", s.StopTimeout >= time.Second, "must be at least 1s"),
		check("start_timeout", s.StartTimeout >= time.Second, "must be at least 1s"),
		check("store_dir", s.StoreDir != "" || !s.Kept(), "must be given"),
		check("tls_cert", (s.Cert == "") == (s.Key == ""), "belongs together with tls_key"),
		check("system_creds", s.SystemCreds == "" || !s.Embedded(), "is about the NATS of nats_url; the embedded one needs none"),
		check("js_domain", s.Domain == "" || !s.Embedded() && domainName.MatchString(s.Domain), "must be letters, digits, - or _, and is about the NATS of nats_url"),
		check("placement_tags", len(s.Tags) == 0 || !s.Embedded(), "are about the NATS of nats_url"),
		check("nats_url", !s.TrustedClients || s.Embedded(), "trusted_clients is about the embedded NATS and cannot be given with nats_url"),
	)
}

func validateAddress(key, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return Problem(key, "%q is not HOST:PORT", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Problem(key, "port %q is not a number from 0 to 65535", port)
	}
	return nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "roost"
	}
	return name
}

// dataDir follows the XDG base directory rules.
func dataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "roost")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "roost")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("roost-%d", os.Getuid()))
}
