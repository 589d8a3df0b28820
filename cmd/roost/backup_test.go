package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
)

// filled is a registry with something of everything.
func filled(t *testing.T) *process {
	t.Helper()
	node := serve(t, "--backend", "memory")
	must(t, node.url, "register", "payments/a", "--permanent", "--endpoint", "http=http://10.0.0.7:8080", "--meta", "n=1.50", "--weight", "0")
	must(t, node.url, "register", "payments/b", "--permanent", "--status", "draining")
	must(t, node.url, "register", "boss", "--unique", "--permanent", "--namespace", "other")
	must(t, node.url, "counter", "invoices", "add", "41")
	must(t, node.url, "lock", "nightly", "--", "true")
	return node
}

// listed is what a registry holds without revisions and times.
func listed(t *testing.T, url string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(must(t, url, "list", "--all-namespaces")) {
		fields := strings.Fields(line)
		lines = append(lines, strings.Join(append(fields[:5:5], fields[6:]...), " ")) // without the revision
	}
	return strings.Join(lines, "\n")
}

func TestABackupIsSavedAndBroughtBack(t *testing.T) {
	t.Parallel()
	from, to := filled(t), serve(t, "--backend", "memory")
	file := filepath.Join(t.TempDir(), "backup.jsonl")
	if said := must(t, from.url, "export", file); !strings.Contains(said, "3 registrations, 3 of them permanent, lock marks 1, counter marks 1") {
		t.Errorf("export said %q", said)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v; want the one file", left, err)
	}
	dry := must(t, to.url, "import", file, "--dry-run")
	if !strings.Contains(dry, "would register 3") || must(t, to.url, "count", "--all-namespaces") != "0\n" {
		t.Errorf("a dry run said %q, and must change nothing", dry)
	}
	if said := must(t, to.url, "import", file); !strings.Contains(said, "registered 3;") || !strings.Contains(said, "marks of 2 objects") {
		t.Errorf("import said %q", said)
	}
	if diff := cmp.Diff(listed(t, from.url), listed(t, to.url)); diff != "" {
		t.Errorf("(-saved +restored):\n%s", diff)
	}
	if got := must(t, to.url, "counter", "invoices"); got != "41\n" {
		t.Errorf("the counter is at %q; want 41", got)
	}
	if said := must(t, to.url, "import", file); !strings.Contains(said, "registered 0; 3 were there already") {
		t.Errorf("the same import again said %q; want nothing done", said)
	}
}

func TestAnImportRaisesTheEpochAboveThatOfTheFile(t *testing.T) {
	t.Parallel()
	from := filled(t)
	file := filepath.Join(t.TempDir(), "backup.jsonl")
	var header struct{ Epoch backend.Epoch }
	if err := json.Unmarshal([]byte(must(t, from.url, "export", file, "--json")), &header); err != nil {
		t.Fatal(err)
	}
	must(t, from.url, "unregister", "payments/a")
	// It is an older backup now, of this very epoch.
	if said := must(t, from.url, "import", file, "--dry-run"); !strings.Contains(said, "would begin a new epoch") {
		t.Errorf("a dry run said %q; want a new epoch", said)
	}
	must(t, from.url, "import", file)
	var health struct{ Epoch backend.Epoch }
	if err := json.Unmarshal([]byte(must(t, from.url, "health", "--json")), &health); err != nil || health.Epoch <= header.Epoch {
		t.Errorf("the epoch is %d, %v; want one above %d", health.Epoch, err, header.Epoch)
	}
	if got := must(t, from.url, "count", "payments"); got != "2\n" {
		t.Errorf("%q payments; want 2 again", got)
	}
}

func TestARegistryThatHoldsSomethingElseIsNotImportedInto(t *testing.T) {
	t.Parallel()
	from, to := filled(t), serve(t, "--backend", "memory")
	file := filepath.Join(t.TempDir(), "backup.jsonl")
	must(t, from.url, "export", file, "--quiet")
	must(t, to.url, "register", "payments/a", "--permanent", "--meta", "n=2")
	code, _, said := roost(t, to.url, "import", file)
	if code != exitConflict || !strings.Contains(said, "--merge") || must(t, to.url, "count", "--all-namespaces") != "1\n" {
		t.Errorf("import = %d, %q; want %d, the way out, and nothing changed", code, said, exitConflict)
	}
	if said := must(t, to.url, "import", file, "--merge"); !strings.Contains(said, "registered 2; 0 were there already; 1 differ") {
		t.Errorf("merging said %q", said)
	}
	if got := must(t, to.url, "lookup", "payments/a"); !strings.Contains(got, `{"n":2}`) {
		t.Errorf("what was there is %q; want it as it was", got)
	}
}

func TestAFileThatIsNotWholeIsRefusedBeforeAnythingIsChanged(t *testing.T) {
	t.Parallel()
	from, to := filled(t), serve(t, "--backend", "memory")
	text := must(t, from.url, "export", "-")
	for name, broken := range map[string]string{
		"damaged": strings.Replace(text, "1.50", "1.51", 1),
		"cut off": text[:len(text)-10],
		"newer":   strings.Replace(text, `"format":1`, `"format":9`, 1),
	} {
		file := filepath.Join(t.TempDir(), "backup.jsonl")
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, said := roost(t, to.url, "import", file, "--merge")
		if code != exitUsage || !strings.Contains(said, "nothing was changed") {
			t.Errorf("%s: import = %d, %q; want it refused", name, code, said)
		}
	}
	if got := must(t, to.url, "count", "--all-namespaces"); got != "0\n" {
		t.Errorf("%q registrations; want none", got)
	}
}

func TestAnExportThatFailsLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.jsonl")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := roost(t, "nats://127.0.0.1:1", "export", file, "--timeout", "1s"); code != exitUnavailable {
		t.Errorf("export = %d; want %d", code, exitUnavailable)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if text, _ := os.ReadFile(file); string(text) != "old" || err != nil || len(left) != 1 {
		t.Errorf("the file is %q beside %v, %v; want the old one alone", text, left, err)
	}
}

func TestABarFitsItsTerminal(t *testing.T) {
	t.Parallel()
	for width, want := range map[int]string{
		80: "export  50% 5/10 [####################....................]",
		30: "export  50% 5/10 [#####.....]",
		12: "export  50%",
		1:  "",
	} {
		if got := barOf("export", 5, 10, width); got != want {
			t.Errorf("barOf(%d) = %q; want %q", width, got, want)
		}
	}
}
