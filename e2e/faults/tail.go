package faults

import (
	"bufio"
	"bytes"
	"regexp"
	"strings"
	"sync"
	"time"
)

// tail keeps the end of what a process says, and for how long its lease clock stood still.
type tail struct {
	mu    sync.Mutex
	b     bytes.Buffer
	line  []byte // that is not whole yet
	still time.Duration
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line = append(t.line, p...)
	for {
		line, rest, whole := bytes.Cut(t.line, []byte{'\n'})
		if !whole {
			break
		}
		t.still += stillFor(string(line))
		t.line = bytes.Clone(rest)
	}
	if t.b.Len() > 2*tailBytes {
		t.b.Next(t.b.Len() - tailBytes)
	}
	return t.b.Write(p)
}

var stoodFor = regexp.MustCompile(`lease clock.* stood still" .*took=(\S+)`)

// stillFor is for how long a line of a log says that a lease clock stood still.
func stillFor(line string) time.Duration {
	found := stoodFor.FindStringSubmatch(line)
	if found == nil {
		return 0
	}
	took, err := time.ParseDuration(found[1])
	if err != nil || strings.Contains(line, "afresh=true") {
		return time.Hour // which excuses everything
	}
	return took
}

func (t *tail) stoodStill() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.still
}

// String returns the last lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(t.b.Bytes())); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
