package backendtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
)

var pageClauses = []clause{
	{name: "PagesOfALimitMakeUpTheWhole", check: pagesByLimit},
	{name: "PagesOfASizeMakeUpTheWhole", check: pagesBySize},
	{name: "LaterPagesBearTheRevisionOfTheFirst", check: pagesBearOneRevision},
	{name: "APageOfAnotherEpochIsErrCompacted", check: pageOfAnotherEpoch},
	{name: "PagesSkipAndRepeatNothingWhileOthersWrite", check: pagesWhileOthersWrite},
	{name: "APageGoesOnThoughItsLastEntryIsGone", check: pageAfterRemoval},
}

// fill registers n instances of payments and returns their names, in order.
func (s subject) fill(t *testing.T, n int) (names []string, stamp backend.Stamp) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("i-%03d", i)
		names = append(names, name)
		_, stamp = s.register(t, described("payments", name, `{"odd":`+backend.Metadata(fmt.Sprint(i%2 == 1))+`}`), backend.Write{})
	}
	return names, stamp
}

// pages walks all pages of q and returns them.
func (s subject) pages(t *testing.T, q backend.Query) (pages []*backend.Page) {
	t.Helper()
	for len(pages) < 1000 {
		page, _, err := s.List(patient(t), q)
		if err != nil {
			t.Fatalf("page %d: %v", len(pages), err)
		}
		pages = append(pages, page)
		if page.Next == "" {
			return pages
		}
		q.After = page.Next
	}
	t.Fatal("the pages have no end")
	return nil
}

func joined(pages []*backend.Page) (names []string) {
	for _, p := range pages {
		names = append(names, instances(p.Registrations)...)
	}
	return names
}

func pagesByLimit(t *testing.T, s subject) {
	all, stamp := s.fill(t, 12)
	var odd []string
	for i := 1; i < len(all); i += 2 {
		odd = append(odd, all[i])
	}
	for _, limit := range []int{1, 5, 6, 11, 12, 13, backend.DefaultListLimit, 0} {
		for want, where := range map[*[]string]map[string]backend.Scalar{&all: nil, &odd: {"odd": "true"}} {
			pages := s.pages(t, backend.Query{Scope: scope("payments"), Where: where, Limit: limit, Read: seen(stamp)})
			if got := joined(pages); !slices.Equal(got, *want) {
				t.Errorf("pages of %d: %q; want %q", limit, got, *want)
			}
			for i, p := range pages {
				if n := len(p.Registrations); limit > 0 && n > limit || n == 0 {
					t.Errorf("page %d of %d has %d entries", i, limit, n)
				} else if limit > 0 && n < limit && i < len(pages)-1 {
					t.Errorf("page %d of %d has %d entries, though there are more", i, limit, n)
				}
			}
		}
	}
}

func pagesBySize(t *testing.T, s subject) {
	all, stamp := s.fill(t, 9)
	list := s.list(t, backend.Query{Scope: scope("payments"), Read: seen(stamp)})
	largest := 0
	for _, r := range list {
		largest = max(largest, len(r.AppendJSON(nil)))
	}
	for _, size := range []int{1, largest, 3 * largest, 100 * largest} {
		pages := s.pages(t, backend.Query{Scope: scope("payments"), MaxBytes: size, Read: seen(stamp)})
		if got := joined(pages); !slices.Equal(got, all) {
			t.Errorf("pages of %d bytes: %q; want %q", size, got, all)
		}
		for i, p := range pages {
			bytes := 0
			for _, r := range p.Registrations {
				bytes += len(r.AppendJSON(nil))
			}
			if n := len(p.Registrations); n == 0 || n > 1 && bytes > size {
				t.Errorf("page %d of %d bytes has %d entries of %d bytes", i, size, n, bytes)
			}
		}
	}
	if n := len(s.pages(t, backend.Query{Scope: scope("payments"), MaxBytes: 100 * largest, Read: seen(stamp)})); n != 1 {
		t.Errorf("what fits into one page came in %d", n)
	}
}

func pagesBearOneRevision(t *testing.T, s subject) {
	_, stamp := s.fill(t, 5)
	q := backend.Query{Scope: scope("payments"), Limit: 2, Read: seen(stamp)}
	page, first, err := s.List(patient(t), q)
	if err != nil {
		t.Fatal(err)
	}
	for page.Next != "" {
		s.register(t, instance("orders", page.Registrations[0].Instance), backend.Write{})
		q.After, q.Read = page.Next, backend.Read{}
		var next backend.Stamp
		if page, next, err = s.List(patient(t), q); err != nil {
			t.Fatal(err)
		}
		if next.Revision != first.Revision || next.Epoch != first.Epoch {
			t.Errorf("a later page is stamped %+v; want the first one's %+v", next, first)
		}
	}
}

func pageOfAnotherEpoch(t *testing.T, s subject) {
	_, stamp := s.fill(t, 2)
	q := backend.Query{Scope: scope("payments"), After: backend.Cursor{
		Epoch: stamp.Epoch + 1, Revision: stamp.Revision, Key: instance("payments", "i-000").Key.String(),
	}.String()}
	_, _, err := s.List(patient(t), q)
	fails(t, "List", err, backend.ErrCompacted)
}

func pagesWhileOthersWrite(t *testing.T, s subject) {
	all, stamp := s.fill(t, 20)
	ctx, stop := context.WithCancel(patient(t))
	var writers sync.WaitGroup
	defer func() {
		stop()
		writers.Wait()
	}()
	writers.Go(func() { // comes and goes between the entries, and changes one that stays
		for i := 0; ctx.Err() == nil; i++ {
			r := instance("payments", fmt.Sprintf("i-%03d-x", i%20))
			_, _, _ = s.Register(ctx, r, backend.Write{})
			_, _, _ = s.Update(ctx, instance("payments", all[i%20]).Key, backend.Change{Weight: address(uint16(i))}, backend.Write{})
			_, _, _ = s.Unregister(ctx, r.Key, backend.Write{})
		}
	})
	for range 20 {
		got := joined(s.pages(t, backend.Query{Scope: scope("payments"), Limit: 3, Read: seen(stamp)}))
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("pages repeat or go back: %q", got)
		}
		stayed := slices.DeleteFunc(got, func(name string) bool { return !slices.Contains(all, name) })
		if !slices.Equal(stayed, all) {
			t.Fatalf("of those that were there throughout the pages have %q; want %q", stayed, all)
		}
	}
}

func pageAfterRemoval(t *testing.T, s subject) {
	all, stamp := s.fill(t, 4)
	page, _, err := s.List(patient(t), backend.Query{Scope: scope("payments"), Limit: 2, Read: seen(stamp)})
	if err != nil {
		t.Fatal(err)
	}
	_, stamp = s.unregister(t, instance("payments", all[1]).Key, backend.Write{})
	rest := s.list(t, backend.Query{Scope: scope("payments"), After: page.Next, Read: seen(stamp)})
	if got := instances(rest); !slices.Equal(got, all[2:]) {
		t.Errorf("behind the page: %q; want %q", got, all[2:])
	}
}
