package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// recorded returns the lines of a history, without times, when there are as many as want.
func recorded(t *testing.T, url string, want int, args ...string) []string {
	t.Helper()
	revision := regexp.MustCompile(`^\S+ \S+  (\d+  )?`)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var lines []string
		for line := range strings.Lines(must(t, url, append([]string{"history"}, args...)...)) {
			lines = append(lines, revision.ReplaceAllString(strings.TrimSpace(line), ""))
		}
		if len(lines) >= want || time.Now().After(deadline) {
			return lines
		}
	}
}

func TestTheHistoryShowsWhatHappenedAndWhoWasThere(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"memory", "hybrid", "durable"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			node := serve(t, "--backend", kind, "--store-dir", t.TempDir())
			recorded(t, node.url, 1) // it has begun
			must(t, node.url, "register", "payments/a", "--permanent", "--meta", "n=1")
			one := recorded(t, node.url, 2, "payments")
			must(t, node.url, "update", "payments/a", "--meta", "n=2")
			recorded(t, node.url, 3, "payments")
			then := time.Now().UTC()
			must(t, node.url, "register", "payments/b", "--permanent")
			recorded(t, node.url, 4, "payments")
			must(t, node.url, "unregister", "payments/a")
			must(t, node.url, "register", "orders/x", "--permanent")
			got := recorded(t, node.url, 5, "payments")
			want := []string{"registered  default.payments/a", "updated  default.payments/a", "registered  default.payments/b", "unregistered  default.payments/a"}
			if len(got) != 5 || fmt.Sprint(got[1:]) != fmt.Sprint(want) || !strings.HasPrefix(got[0], "-- the history begins") || len(one) != 2 {
				t.Fatalf("history is %q; want its beginning and then %q", got, want)
			}
			text := must(t, node.url, "list", "payments", "--at", then.Format(time.RFC3339Nano))
			if strings.Contains(text, "b  ") || !strings.Contains(text, `{"n":2}`) {
				t.Errorf("at that time there was\n%s\nwant a with n=2 alone", text)
			}
			if now := must(t, node.url, "list", "payments", "--at", "0s"); !strings.Contains(now, "b ") || strings.Contains(now, `"n"`) {
				t.Errorf("now there is\n%s\nwant b alone", now)
			}
			if code, _, said := roost(t, node.url, "list", "--at", "2020-01-01T00:00:00Z"); code != exitNotFound || !strings.Contains(said, "the history begins at") {
				t.Errorf("long ago = %d, %q; want it refused, with where the history begins", code, said)
			}
			if got := recorded(t, node.url, 1, "--since", "1h", "--json"); !strings.Contains(strings.Join(got, ""), `"body":{"namespace":"default"`) {
				t.Errorf("as JSON: %q; want the bodies", got)
			}
		})
	}
}

func TestWithoutAHistoryThereIsNone(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory", "--history-age", "0")
	if code, _, _ := roost(t, node.url, "history", "--timeout", "1s"); code != exitUnavailable {
		t.Errorf("history = %d; want %d", code, exitUnavailable)
	}
}
