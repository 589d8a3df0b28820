package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// measuredOnce writes what a run of P1 came to into a file.
func measuredOnce(t *testing.T, more ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "run.json")
	text := benched(t, append(append(slices.Clone(short), "--only", "P1", "--json"), more...)...)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestWhatWasMeasuredIsShownDrawnPutOnAPageAndCompared(t *testing.T) {
	t.Parallel()
	picture := filepath.Join(t.TempDir(), "at-once.svg")
	run := measuredOnce(t, "--svg", picture)
	if shown := benched(t, "report", run); !strings.Contains(shown, "P1  look-up") {
		t.Errorf("the report shows\n%s", shown)
	}
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("<!-- results: written by roost bench report -->\n<!-- end of results -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(filepath.Dir(page), "again.svg")
	benched(t, "report", run, "--svg", again, "--markdown", page)
	for name, want := range map[string]string{picture: "</svg>", again: "</svg>", page: "](again.svg)"} {
		if text, err := os.ReadFile(name); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s has no %q, %v:\n%s", name, want, err, text)
		}
	}
	if table := benched(t, "compare", run, run); !strings.Contains(table, "1.00 ×") || strings.Contains(table, "FAR OFF") {
		t.Errorf("compared with itself it is\n%s", table)
	}
	slower := filepath.Join(t.TempDir(), "slower.json")
	text, err := os.ReadFile(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slower, []byte(strings.ReplaceAll(string(text), `"rate_ratio": `, `"rate_ratio": 0.001, "was": `)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := fails(t, nil, "bench", "compare", run, slower); code != 1 || !strings.Contains(said, "far off") {
		t.Errorf("compared with what was faster = %d, saying %q; want 1", code, said)
	}
}

func TestAReportOfNoRunIsRefused(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"bench", "report", name}, {"bench", "report", name + "y"}, {"bench", "compare", name, name}} {
		if code, said := fails(t, nil, args...); code == 0 || !strings.Contains(said, "x.json") {
			t.Errorf("roost %v = %d, saying %q; want a word about the file", args, code, said)
		}
	}
}
