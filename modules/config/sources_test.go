package config_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/roostbus/roost/modules/config"
)

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "roost.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.ServerFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestWithoutAnySourceTheDefaultsHold(t *testing.T) {
	t.Parallel()
	var got config.Server
	if err := (config.Sources{Flags: flags(t)}).Load(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.DefaultServer(), got); diff != "" {
		t.Errorf("Load differs from DefaultServer (-want +got):\n%s", diff)
	}
}

func TestAFlagCountsBeforeTheEnvironmentThatBeforeTheFile(t *testing.T) {
	t.Parallel()
	name := file(t, "prefix: file\nserver_name: file\nlog_level: debug\nstop_timeout: 3s\ntrusted_clients: true\nreplicas: 1\n")
	var got config.Server
	err := config.Sources{
		Flags:   flags(t, "--prefix", "flag"),
		File:    name,
		Environ: []string{"ROOST_PREFIX=env", "ROOST_SERVER_NAME=env", "ROOST_TOKEN=00000001-1", "HOME=/root"},
	}.Load(&got)
	if err != nil {
		t.Fatal(err)
	}
	want := config.DefaultServer()
	want.Prefix, want.Node, want.Level, want.StopTimeout, want.TrustedClients = "flag", "env", "debug", 3*time.Second, true
	want.Replicas = 1
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load differs (-want +got):\n%s", diff)
	}
}

func TestNumbersComeFromEverySource(t *testing.T) {
	t.Parallel()
	var got config.Server
	err := config.Sources{
		Flags: flags(t, "--max-leases", "7"), File: file(t, "lease_hold_share: 0.5\n"), Environ: []string{"ROOST_LEASE_HOLD_MINIMUM=3"},
	}.Load(&got)
	if err != nil {
		t.Fatal(err)
	}
	if want := (config.Leases{HoldShare: 0.5, HoldMinimum: 3, MaxLeases: 7}); got.Leases != want {
		t.Errorf("leases = %+v; want %+v", got.Leases, want)
	}
	if err := (config.Sources{Flags: flags(t), Environ: []string{"ROOST_LEASE_HOLD_SHARE=much"}}).Load(&got); err == nil {
		t.Error("a share that is no number is accepted")
	}
	got.HoldShare = math.NaN()
	if got.Validate() == nil {
		t.Error("a share that is none is accepted")
	}
}

func TestEverythingWrongIsReportedAtOnceWithItsOrigin(t *testing.T) {
	t.Parallel()
	name := file(t, strings.Join([]string{
		"# a bad one",
		"lisen: 127.0.0.1:0",
		"replicas: many",
		"backend: oracle",
		"backend: memory",
		"prefix:",
		"stop_timeout: [1s]",
		"nonsense: 1",
	}, "\n"))
	var got config.Server
	err := config.Sources{
		Flags:   flags(t, "--log-level", "loud"),
		File:    name,
		Environ: []string{"ROOST_TRUSTED_CLIENTS=perhaps", "ROOST_LOG_FORMAT=xml"},
	}.Load(&got)
	if err == nil {
		t.Fatal("Load() = nil; want errors")
	}
	want := []string{
		name + `:2: lisen: there is no such setting; did you mean listen?`,
		name + `:3: replicas: "many" is not a whole number`,
		name + `:5: backend: is given twice, first on line 4`,
		name + `:6: prefix: has no value`,
		name + `:7: stop_timeout: want one plain value`,
		name + `:8: nonsense: there is no such setting`,
		`ROOST_TRUSTED_CLIENTS: "perhaps" is neither true nor false`,
		name + `:4: backend: "oracle" is none of hybrid, durable, memory`,
		`--log-level: "loud" is none of debug, info, warn, error`,
		`ROOST_LOG_FORMAT: "xml" is none of text, json`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("errors differ (-want +got):\n%s", diff)
	}
}

func TestAFileThatIsNotYAMLOrNotThereIsSaidSo(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"absent":  filepath.Join(t.TempDir(), "absent.yaml"),
		"broken":  file(t, "prefix: roost\n\tlisten: x\n"),
		"a list":  file(t, "- prefix\n- listen\n"),
		"a value": file(t, "just words\n"),
	} {
		var got config.Server
		err := config.Sources{Flags: flags(t), File: path}.Load(&got)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: Load() = %v; want an error that names %s", name, err, path)
		}
	}
}

func TestAnEmptyFileSetsNothing(t *testing.T) {
	t.Parallel()
	var got config.Server
	if err := (config.Sources{Flags: flags(t), File: file(t, "# nothing yet\n")}).Load(&got); err != nil {
		t.Fatal(err)
	}
}

func TestTheFileMayHoldSettingsOfOtherCommands(t *testing.T) {
	t.Parallel()
	other := pflag.NewFlagSet("lookup", pflag.ContinueOnError)
	other.String("server", "", "")
	var got config.Server
	err := config.Sources{Flags: flags(t), Others: []*pflag.FlagSet{other}, File: file(t, "server: nats://elsewhere\n")}.Load(&got)
	if err != nil {
		t.Errorf("Load() = %v", err)
	}
}

func TestListsComeFromTheFileAndAreReplacedByFlags(t *testing.T) {
	t.Parallel()
	set := func(args ...string) *pflag.FlagSet {
		fs := pflag.NewFlagSet("list", pflag.ContinueOnError)
		fs.StringArray("where", nil, "")
		fs.StringSlice("only", nil, "")
		if err := fs.Parse(args); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	name := file(t, "where: [a=1, 'b=x,y']\n")
	for _, row := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"a=1", "b=x,y"}},
		{[]string{"--where", "c=3"}, []string{"c=3"}},
	} {
		var got struct {
			Where []string `koanf:"where"`
			Only  []string `koanf:"only"`
		}
		err := config.Sources{Flags: set(row.args...), File: name, Environ: []string{"ROOST_ONLY=p1,p2"}}.Load(&got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"p1", "p2"}, got.Only); diff != "" {
			t.Errorf("a list joined by commas (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(row.want, got.Where); diff != "" {
			t.Errorf("with %v (-want +got):\n%s", row.args, diff)
		}
	}
}

func TestSystemCredentialsHaveThreeSpellings(t *testing.T) {
	t.Parallel()
	for where, s := range map[string]config.Sources{
		"the flag":        {Flags: flags(t, "--nats-url", "nats://elsewhere", "--system-creds", "system.creds")},
		"the environment": {Flags: flags(t, "--nats-url", "nats://elsewhere"), Environ: []string{"ROOST_SYSTEM_CREDS=system.creds"}},
		"the file":        {Flags: flags(t), File: file(t, "nats_url: nats://elsewhere\nsystem_creds: system.creds\n")},
	} {
		var got config.Server
		if err := s.Load(&got); err != nil || got.SystemCreds != "system.creds" {
			t.Errorf("from %s: SystemCreds = %q, %v; want system.creds", where, got.SystemCreds, err)
		}
	}
}

func TestSystemCredentialsAreOfANATSElsewhere(t *testing.T) {
	t.Parallel()
	var got config.Server
	err := (config.Sources{Flags: flags(t, "--system-creds", "system.creds")}).Load(&got)
	if err == nil || !strings.HasPrefix(err.Error(), "--system-creds: ") || !strings.Contains(err.Error(), "nats_url") {
		t.Errorf("Load() = %v; want an error about --system-creds that names nats_url", err)
	}
}

func TestValidateReportsEveryProblem(t *testing.T) {
	t.Parallel()
	s := config.DefaultServer()
	s.Listen, s.Prefix, s.Replicas, s.StopTimeout, s.StoreDir, s.Node = "nowhere", "a..b", 3, 0, "", ""
	err := s.Validate()
	if err == nil {
		t.Fatal("Validate() = nil")
	}
	for _, key := range []string{"listen", "prefix", "replicas", "stop_timeout", "store_dir", "server_name"} {
		if !strings.Contains(err.Error(), key+": ") {
			t.Errorf("Validate() says nothing about %s:\n%v", key, err)
		}
	}
}
