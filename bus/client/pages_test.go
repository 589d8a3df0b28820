package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// paged is a registry with a list of so many pages of one registration, each of which takes
// a while; how they are written is up to form.
func paged(t *testing.T, pages int, form string) (*Client, *script) {
	t.Helper()
	return scripted(t, func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
		var q bus.ListRequest
		_ = json.Unmarshal(m.Data, &q) // there may be no body
		at, _ := strconv.Atoi(strings.TrimPrefix(q.After, "at-"))
		next := ""
		if at+1 < pages {
			next = fmt.Sprintf(form, at+1)
		}
		time.Sleep(time.Millisecond)
		return reply("7", "1", fmt.Sprintf(`{"registrations":[{"namespace":"n","service":"s","instance":"i-%d","revision":7}]%s}`, at, next))(ctx, m)
	})
}

func TestAllPagesOfAListAreAskedForOnceAndInOrder(t *testing.T) {
	t.Parallel()
	for _, form := range []string{`,"next":"at-%d"`, `,"next": "at-%d"`} { // ours, and what must be read first
		synctest.Test(t, func(t *testing.T) {
			const pages = 5
			c, s := paged(t, pages, form)
			all, err := c.pages(t.Context(), Query{})
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, r := range all.Registrations {
				got = append(got, r.Instance)
			}
			for i := range pages {
				want = append(want, fmt.Sprint("i-", i))
			}
			if diff := cmp.Diff(want, got); diff != "" || all.Stamp.Revision != 7 {
				t.Errorf("of revision %d (-want +got):\n%s", all.Stamp.Revision, diff)
			}
			if n := len(s.requests()); n != pages {
				t.Errorf("asked %d times; want %d", n, pages)
			}
		})
	}
}

func TestAPageThatCannotBeReadEndsWhatWasAskedForMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, reply("7", "1", `{"registrations":[7],"next":"at-1"}`), silence)
		begun := time.Now()
		_, err := c.pages(t.Context(), Query{})
		wantErr(t, err, bus.ErrInternal)
		if took := time.Since(begun); took != 0 {
			t.Errorf("took %v", took)
		}
		if n := len(s.requests()); n > 2 {
			t.Errorf("asked %d times; want no more than twice", n)
		}
	})
}
