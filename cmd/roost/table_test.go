package main

import (
	"strings"
	"testing"

	"github.com/clipperhouse/displaywidth"
	"github.com/google/go-cmp/cmp"
)

func TestColumnsAlignByWhatATerminalDraws(t *testing.T) {
	t.Parallel()
	table := table{headings: []string{"SERVICE", "N"}, flexible: []int{0}}
	table.add("支付サービス", "1")
	table.add("👩‍👩‍👧 famille", "2")
	table.add("e\u0301clair", "3")
	table.add("plain", "4")
	var out strings.Builder
	if err := table.write(&out, 0); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimRight(line, "\n")
		if got := displaywidth.String(line); got != 15 {
			t.Errorf("line %q is %d columns wide; want 15", line, got)
		}
	}
}

func TestATableFitsItsTerminalByCuttingFlexibleColumns(t *testing.T) {
	t.Parallel()
	table := table{headings: []string{"NAME", "REVISION", "METADATA"}, flexible: []int{0, 2}}
	table.add("short", "12345678901234567890", strings.Repeat("長い", 40))
	var out strings.Builder
	if err := table.write(&out, 60); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if got := displaywidth.String(strings.TrimRight(line, "\n")); got > 60 {
			t.Errorf("line %q is %d columns wide; want at most 60", line, got)
		}
	}
	if !strings.Contains(out.String(), "12345678901234567890") || !strings.Contains(out.String(), "…") {
		t.Errorf("want the revision whole and the metadata cut:\n%s", out.String())
	}
}

func TestWhatWouldMoveATerminalIsMadeVisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain Ωμέγα 🚀":        "plain Ωμέγα 🚀",
		"\x1b[2Jgone":          `\u001b[2Jgone`,
		"a\nb\tc":              `a\u000ab\u0009c`,
		"user\u202egnp.exe":    `user\u202egnp.exe`,
		"\u009b31mred":         `\u009b31mred`,
		"👩\u200d👩 stays whole": "👩\u200d👩 stays whole",
	} {
		if diff := cmp.Diff(want, visible(in)); diff != "" {
			t.Errorf("visible(%q) (-want +got):\n%s", in, diff)
		}
	}
}
