package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// moving matches what differs from run to run: instants, revisions (a node that probes
// its store makes some by itself), owners, tokens, and the widths of columns that depend on
// them.
var moving = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{16}|\b[a-z2-7]{26}\b|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z|\b\d+\b| +`)

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

// jobs are commands of the tour that run in the background, and what they say together.
type jobs struct {
	running []*process
	said    lockedBuffer
	read    int // how much of said was compared
}

// start runs args in the background.
func (j *jobs) start(t *testing.T, url string, args []string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe, args...), exited: make(chan struct{})}
	p.cmd.Env = []string{asRoost + "=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "NATS_URL=" + url}
	p.cmd.Stdout, p.cmd.Stderr = &j.said, &j.said
	p.cmd.WaitDelay = time.Second // a killed one may leave a child behind for a moment
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.reap()
	t.Cleanup(func() {
		p.signal(t, syscall.SIGKILL)
		<-p.exited
	})
	j.running = append(j.running, p)
}

// kill is the shell's, of one job: -9 %N.
func (j *jobs) kill(t *testing.T, args []string) {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(args[2], "%"))
	if err != nil || n < 1 || n > len(j.running) || args[1] != "-9" {
		t.Fatalf("kill %v: want -9 %%N", args)
	}
	j.running[n-1].signal(t, syscall.SIGKILL)
}

// say waits until the jobs have said as many lines as want has, and returns them.
func (j *jobs) say(t *testing.T, want string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		text := j.said.String()[j.read:]
		if n := strings.Count(want, "\n"); strings.Count(text, "\n") >= n || time.Now().After(deadline) {
			lines := strings.SplitAfterN(text, "\n", n+1)
			said := strings.Join(lines[:min(n, len(lines))], "")
			j.read += len(said)
			return said
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestTheTourOfTheREADMEWorksAsPrinted runs it on a registry of its own.
func TestTheTourOfTheREADMEWorksAsPrinted(t *testing.T) {
	t.Parallel()
	p := serve(t, "--store-dir", t.TempDir())
	ran := 0
	var background jobs
	for _, s := range tour(t) {
		args := words(s.command)
		said := ""
		switch last := len(args) - 1; {
		case args[0] == "kill":
			background.kill(t, args)
			said = background.say(t, s.output)
		case args[0] == "roost" && args[last] == "&":
			background.start(t, p.url, args[1:last])
			said = background.say(t, s.output)
		case args[0] == "roost":
			_, stdout, stderr := roost(t, p.url, args[1:]...)
			said = stdout + stderr
		default:
			continue
		}
		ran++
		if diff := cmp.Diff(still(s.output), still(said)); diff != "" {
			t.Errorf("$ %s\n(-README +now):\n%s", s.command, diff)
		}
	}
	if ran < 15 {
		t.Errorf("the tour has %d commands that can be run here; want at least 15", ran)
	}
}
