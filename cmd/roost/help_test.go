package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands yields every command there is.
func commands() []*cobra.Command {
	p := &program{stdout: io.Discard, stderr: io.Discard}
	return below(newRoot(p))
}

func below(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			all = append(all, below(sub)...)
		}
	}
	return all
}

func TestTheHelpOfEveryCommandShowsAnExampleOfIt(t *testing.T) {
	t.Parallel()
	for _, c := range commands() {
		if !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("the example of %q does not show it", c.CommandPath())
		}
		var out strings.Builder
		code := run(t.Context(), program{args: append(strings.Fields(c.CommandPath())[1:], "--help"), stdout: &out, stderr: io.Discard})
		if code != 0 || !strings.Contains(out.String(), "Examples:") {
			t.Errorf("%s --help = %d, %q", c.CommandPath(), code, out.String())
		}
	}
}

func TestTheCommandsAreThose(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range commands()[1:] {
		names = append(names, strings.TrimPrefix(c.CommandPath(), "roost "))
	}
	want := "backend backend status backend switch barrier bench bench compare bench report cluster cluster remove completion count counter elect export health history import leader lease lease get lease grant lease keep lease list " +
		"lease revoke list lock lookup propose register run semaphore serve services unregister update version vote watch"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("commands are %s; want %s", got, want)
	}
}

// A flag of a type that cannot come from the environment would be one silently.
func TestEveryFlagCanComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"string": true, "bool": true, "int": true, "float64": true, "duration": true, "stringArray": true, "stringSlice": true}
	for _, c := range commands() {
		settable(c.Flags()).VisitAll(func(f *pflag.Flag) {
			if !known[f.Value.Type()] {
				t.Errorf("%s --%s is a %s, which no variable can set", c.Name(), f.Name, f.Value.Type())
			}
			if f.Usage == "" {
				t.Errorf("%s --%s says nothing", c.Name(), f.Name)
			}
		})
	}
}

func TestClientSettingsComeFromFileEnvironmentAndFlags(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory", "--prefix", "mine.v1")
	must(t, node.url, "register", "orders/i-1", "--permanent", "--prefix", "mine.v1")
	var out, said strings.Builder
	code := run(t.Context(), program{
		args: []string{"count"}, stdout: &out, stderr: &said,
		environ: []string{"ROOST_SERVER=" + node.url, "ROOST_PREFIX=mine.v1"},
	})
	if code != 0 || out.String() != "1\n" {
		t.Errorf("count = %d, %q, %q; want 1", code, out.String(), said.String())
	}
}

func TestVersionAndCompletion(t *testing.T) {
	t.Parallel()
	if got := must(t, "", "version"); !strings.HasPrefix(got, "roost 1.2.3 (go1.") {
		t.Errorf("version = %q", got)
	}
	if got := must(t, "", "version", "--json"); !strings.Contains(got, `"version":"1.2.3"`) {
		t.Errorf("version --json = %q", got)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if !strings.Contains(must(t, "", "completion", shell), "roost") {
			t.Errorf("completion %s does not complete roost", shell)
		}
	}
}

func TestAnyVersionBecomesASemanticOne(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3-rc.1": "1.2.3-rc.1", "devel": "0.0.0+devel", "4a6789a": "0.0.0+4a6789a",
		"v0.1.0-3-g4a6789a-dirty": "0.1.0-3-g4a6789a-dirty", "": "0.0.0", "what ever!": "0.0.0+what-ever",
	} {
		if got := string(semantic(in)); got != want {
			t.Errorf("semantic(%q) = %q; want %q", in, got, want)
		}
	}
}
