package e2e

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors says what a package must not reach, and why. "MODULE" stands for our own path; a
// ban without it is on other people's code. A package that ends in "/..." stands for
// everything below it, too.
var floors = []struct{ pkg, banned, why string }{
	{"backend", "", "the ground floor is standard library only"},
	{"backend", "MODULE/", "the ground floor stands on nothing"},
	{"backend/rules", "", "rules are pure"},
	{"backend/view", "", "a view is in every client"},
	{"backend/view", "MODULE/kvstore", "a view does not know what feeds it"},
	{"backend/memory", "MODULE/kvstore", "memory keeps nothing"},
	{"backend/...", "MODULE/bus", "backends do not know the bus"},
	{"backend/...", "MODULE/modules", "nothing below modules is wired"},
	{"backup", "", "a backup is of whatever is a backend"},
	{"backup", "MODULE/kvstore", "a backup goes through the backend, never around it"},
	{"bus", "", "the wire vocabulary is standard library only"},
	{"bus", "MODULE/kvstore", "the wire vocabulary knows no storage"},
	{"bus/client", "github.com/nats-io/nats-server", "a client must not carry a server"},
	{"bus/client", "go.uber.org/fx", "a client must not carry a framework"},
	{"bus/client", "github.com/expr-lang", "a client gets nats.go and its modules only"},
	{"bus/client", "github.com/go-json-experiment", "a client gets nats.go and its modules only"},
	{"bus/client", "MODULE/kvstore", "a client talks to the bus, never to storage"},
	{"bus/client", "MODULE/bus/server", "a client must not carry a server"},
	{"bus/server", "github.com/nats-io/nats-server", "the server of requests is a client of NATS"},
	{"bus/server", "go.uber.org/fx", "only modules and cmd know fx"},
	{"bus/server", "MODULE/bus/client", "a server does not ask itself"},
	{"bus/bustest", "go.uber.org/fx", "users' tests must not carry a framework"},
	{"bus/bustest", "MODULE/modules", "users' tests need no wiring"},
	{"coordination/...", "", "coordination is standard library only"},
	{"coordination/...", "MODULE/bus", "coordination does not know the bus"},
	{"coordination/...", "MODULE/modules", "nothing below modules is wired"},
	{"kvstore", "", "the store port is standard library only"},
	{"kvstore/epoch", "", "epochs are the port's business"},
	{"kvstore/memkv", "", "a store in memory needs nobody"},
	{"kvstore/...", "MODULE/backend", "a store does not know what is in it"},
	{"kvstore/...", "MODULE/bus", "a store does not know the bus"},
	{"kvstore/...", "github.com/nats-io/nats-server", "live tests are in e2e"},
	{"kvstore/...", "go.uber.org/fx", "only modules and cmd know fx"},
	{"...", "MODULE/e2e", "test machinery stays in tests"},
}

// reachesNATS are the only packages that import nats.go themselves, holdsNATS the only
// ones that import its server, tests included.
var (
	reachesNATS = []string{"kvstore/natskv", "bus/server", "bus/client", "bus/bustest", "modules", "cmd", "e2e"}
	holdsServer = []string{"modules/nats", "bus/bustest", "e2e"}
	knowsFx     = []string{"modules", "cmd", "e2e"}
)

// rooms are the only top-level folders with Go code.
var rooms = []string{"backend", "backup", "bus", "cmd", "coordination", "e2e", "kvstore", "modules"}

func TestFloors(t *testing.T) {
	t.Parallel()
	module := strings.TrimSpace(goList(t, "-m"))
	for line := range strings.Lines(goList(t, "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"/...")) {
		pkg, deps, _ := strings.Cut(strings.TrimSpace(line), " ")
		rel := strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/")
		if room, _, _ := strings.Cut(rel, "/"); !slices.Contains(rooms, room) {
			t.Errorf("%s stands outside the rooms %v", pkg, rooms)
		}
		for _, f := range floors {
			if !standsIn(rel, f.pkg) {
				continue
			}
			banned, ours := strings.CutPrefix(f.banned, "MODULE")
			for dep := range strings.FieldsSeq(deps) {
				own, isOwn := strings.CutPrefix(dep, module)
				if ours && isOwn && strings.HasPrefix(own, banned) ||
					!ours && !isOwn && strings.Contains(strings.Split(dep, "/")[0], ".") && strings.HasPrefix(dep, banned) {
					t.Errorf("%s reaches %s: %s", rel, dep, f.why)
				}
			}
		}
	}
}

func standsIn(rel, pkg string) bool {
	if prefix, below := strings.CutSuffix(pkg, "..."); below {
		return rel != "e2e" && !strings.HasPrefix(rel, "e2e/") && strings.HasPrefix(rel+"/", prefix)
	}
	return rel == pkg
}

// TestFloorsOfTests covers what only tests import, which a user's module graph sees too.
func TestFloorsOfTests(t *testing.T) {
	t.Parallel()
	module := strings.TrimSpace(goList(t, "-m"))
	const form = `{{.ImportPath}} {{join .Imports " "}} {{join .TestImports " "}} {{join .XTestImports " "}}`
	for line := range strings.Lines(goList(t, "-f", form, module+"/...")) {
		fields := strings.Fields(line)
		rel := strings.TrimPrefix(strings.TrimPrefix(fields[0], module), "/")
		for _, dep := range fields[1:] {
			for banned, allowed := range map[string][]string{
				"github.com/nats-io/nats.go":     reachesNATS,
				"github.com/nats-io/nats-server": holdsServer,
				"go.uber.org/fx":                 knowsFx,
			} {
				within := func(room string) bool { return rel == room || strings.HasPrefix(rel, room+"/") }
				if strings.HasPrefix(dep, banned) && !slices.ContainsFunc(allowed, within) {
					t.Errorf("%s imports %s, which is for %v only", rel, dep, allowed)
				}
			}
		}
	}
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return string(out)
}

// TestPackageComments wants exactly one package comment in every package that is no test.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(goList(t, "-f", `{{.Dir}} {{join .GoFiles " "}}`, "../...")) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		var commented []string
		for _, name := range fields[1:] {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(fields[0], name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				commented = append(commented, name)
			}
		}
		if len(commented) != 1 {
			t.Errorf("%s has package comments in %v; want one", fields[0], commented)
		}
	}
}
