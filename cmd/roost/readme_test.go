package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// moving matches what differs from run to run: instants, revisions (a node that probes
// its store makes some by itself), and the widths of columns that depend on them.
var moving = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z|\b\d+\b| +`)

func still(s string) string {
	return moving.ReplaceAllStringFunc(s, func(m string) string {
		if m[0] == ' ' {
			return " "
		}
		return "#"
	})
}

// step is a command of the tour and what it prints.
type step struct{ command, output string }

// tour returns the roost commands of the README's console blocks.
func tour(t *testing.T) []step {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	for _, block := range strings.Split(string(text), "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				steps = append(steps, step{command: strings.TrimSpace(command)})
			} else {
				steps[len(steps)-1].output += line
			}
		}
	}
	return steps
}

// words splits a command line as a shell does, as far as the README needs it.
func words(command string) []string {
	var all []string
	var word strings.Builder
	quoted, begun := false, false
	for _, c := range command {
		switch {
		case c == '\'':
			quoted, begun = !quoted, true
		case c == ' ' && !quoted:
			if begun {
				all = append(all, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if begun {
		all = append(all, word.String())
	}
	return all
}

// TestTheTourOfTheREADMEWorksAsPrinted runs it on a registry of its own.
func TestTheTourOfTheREADMEWorksAsPrinted(t *testing.T) {
	t.Parallel()
	p := serve(t, "--store-dir", t.TempDir())
	ran := 0
	for _, s := range tour(t) {
		args := words(s.command)
		if args[0] != "roost" {
			continue
		}
		ran++
		_, stdout, stderr := roost(t, p.url, args[1:]...)
		if diff := cmp.Diff(still(s.output), still(stdout+stderr)); diff != "" {
			t.Errorf("$ %s\n(-README +now):\n%s", s.command, diff)
		}
	}
	if ran < 8 {
		t.Errorf("the tour has %d commands of ours; want at least 8", ran)
	}
}
