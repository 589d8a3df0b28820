package engine_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore/memkv"
)

// logged is what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// about returns the lines that contain text.
func (l *logged) about(text string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// A keeper that cannot reach the store tries again four times a second, and says so once.
func TestThatARecordCannotBeGoneOnWithIsLoggedOnceWithObjectOwnerAndTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, out := memkv.New(), &logged{}
		n := start(t, store, "one", engine.WithLogger(slog.New(slog.NewTextHandler(out, nil)))).keep(7)
		grant(t, store, "a")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			n.store.cut.Store(true)
			end(t, store, "a")
			time.Sleep(time.Minute)
			n.store.cut.Store(false)
			time.Sleep(time.Minute)
			if l := stored(t, store); len(l.Holders) != 0 {
				t.Fatalf("%+v is left", l)
			}
			grant(t, store, "a")
			if _, err := n.try("a"); err != nil {
				t.Fatal(err)
			}
		}
		lines := out.about("record not gone on with")
		if len(lines) != 2 {
			t.Fatalf("it was logged %d times in two outages:\n%s", len(lines), strings.Join(lines, ""))
		}
		for _, what := range []string{"object=announce.lock.default.x", "ended=[a]", "term=7", "cut off"} {
			if !strings.Contains(lines[0], what) {
				t.Errorf("no %s in %s", what, lines[0])
			}
		}
		if again := out.about("record gone on with again"); len(again) != 2 {
			t.Errorf("that it went on was logged %d times", len(again))
		}
	})
}
