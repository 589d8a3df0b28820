package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/modules/config"
)

const clusterSecret = "correct horse battery staple"

// load reads the settings of a node of a cluster on this machine, and args.
func load(t *testing.T, environ []string, args ...string) (config.Server, error) {
	t.Helper()
	var got config.Server
	err := config.Sources{
		Flags:   flags(t, append([]string{"--cluster-listen", "127.0.0.1:6222", "--cluster-routes", "127.0.0.1:6222"}, args...)...),
		Environ: environ,
	}.Load(&got)
	return got, err
}

func TestANodeOfAClusterIsSetFromEverySource(t *testing.T) {
	t.Parallel()
	text := "cluster_listen: 0.0.0.0:6222\ncluster_routes: [a:6222, \"nats-route://b:6222\"]\ncluster_secret: " + clusterSecret + "\n"
	var got config.Server
	err := config.Sources{
		Flags: flags(t, "--cluster-name", "flag"), File: file(t, text), Environ: []string{"ROOST_CLUSTER_ADVERTISE=c:6222"},
	}.Load(&got)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Cluster{
		ClusterName: "flag", ClusterListen: "0.0.0.0:6222", ClusterRoutes: []string{"a:6222", "nats-route://b:6222"},
		ClusterAdvertise: "c:6222", ClusterSecret: clusterSecret,
	}
	if diff := cmp.Diff(want, got.Cluster); diff != "" {
		t.Errorf("Load differs (-want +got):\n%s", diff)
	}
	routes, err := got.RouteURLs()
	if err != nil || fmt.Sprint(routes) != "[nats-route://a:6222 nats-route://b:6222]" {
		t.Errorf("RouteURLs() = %v, %v", routes, err)
	}
}

func TestASecretComesFromAFileOrTheEnvironmentAndIsNeverShown(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(clusterSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	byFile, err := load(t, nil, "--cluster-secret-file", name)
	if err != nil {
		t.Fatal(err)
	}
	byEnvironment, err := load(t, []string{"ROOST_CLUSTER_SECRET=" + clusterSecret})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []config.Server{byFile, byEnvironment} {
		if got, err := c.Secret(); got != clusterSecret || err != nil {
			t.Errorf("Secret() = %q, %v", got, err)
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("settings", slog.Any("secret", c.ClusterSecret), slog.Any("all", c))
		for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.ClusterSecret, c.ClusterSecret), string(text), logged.String()} {
			if strings.Contains(shown, clusterSecret) {
				t.Errorf("the secret is shown: %s", shown)
			}
		}
	}
	if _, err := load(t, nil, "--cluster-secret", clusterSecret); err == nil ||
		!strings.Contains(err.Error(), "--cluster-secret-file") || strings.Contains(err.Error(), clusterSecret) {
		t.Errorf("a secret among the arguments: %v", err)
	}
}

func TestASecretFileThatDoesNotServeIsAnError(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "secret")
	c, err := load(t, nil, "--cluster-secret-file", name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Secret(); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("Secret() of no file: %v", err)
	}
	if err := os.WriteFile(name, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Secret(); err == nil || !strings.Contains(err.Error(), "16") || strings.Contains(err.Error(), "short") {
		t.Errorf("Secret() of a short one: %v", err)
	}
}

func TestWhatMakesNoClusterIsRefusedInWords(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"memory is of one node alone":                              {"--backend", "memory"},
		"cannot be given with nats_url":                            {"--nats-url", "nats://a:4222"},
		"must name where":                                          {"--cluster-routes", ""},
		`"a" is not HOST:PORT`:                                     {"--cluster-routes", "a"},
		"whoever reaches it could join":                            {"--cluster-listen", "0.0.0.0:6222"},
		"belongs together with cluster_tls_key and cluster_tls_ca": {"--cluster-tls-cert", "c.pem"},
		"--cluster-advertise: is not HOST:PORT":                    {"--cluster-advertise", "c"},
		"port \"x\" is not a number":                               {"--cluster-listen", "127.0.0.1:x"},
	} {
		c, err := load(t, nil, args...)
		if args[0] == "--cluster-routes" && args[1] == "" {
			c.ClusterRoutes = nil
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want %q in it", args, err, want)
		}
	}
	if _, err := load(t, []string{"ROOST_CLUSTER_SECRET=short"}); err == nil || !strings.Contains(err.Error(), "ROOST_CLUSTER_SECRET: has less than 16") {
		t.Errorf("a short secret: %v", err)
	}
	single := config.DefaultServer()
	single.ClusterRoutes, single.ClusterAdvertise, single.Replicas = []string{"a:1"}, "a:1", 3
	for _, want := range []string{"cluster_routes: needs cluster_listen", "cluster_advertise: needs", "replicas: the embedded NATS is one server"} {
		if err := single.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v; want %q in it", err, want)
		}
	}
}
