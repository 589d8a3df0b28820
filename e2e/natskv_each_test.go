package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
)

// numbered returns n writes to keys of their own, the one at match with a value that a
// wire can be cut at.
func numbered(n, match int) []kvstore.Write {
	writes := make([]kvstore.Write, n)
	for i := range writes {
		writes[i] = kvstore.Write{Key: fmt.Sprintf("key.%d", i), Value: fmt.Appendf(nil, "value %d;", i)}
	}
	writes[match].Value = []byte("the-match")
	return writes
}

func TestWritesSideBySideSurviveACutEachHappeningOnce(t *testing.T) {
	t.Parallel()
	for _, pass := range []bool{true, false} {
		t.Run(fmt.Sprintf("WhatWasSentArrives=%t", pass), func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			w := newWire(srv)
			s := w.open(t)
			cut := w.cutAt("the-match", pass)
			go func() {
				<-cut
				w.mend()
			}()
			const n = 700 // more than are in the air at once
			writes := numbered(n, 300)
			results := s.WriteEach(t.Context(), writes)
			for i, r := range results {
				if r.Err != nil {
					t.Fatalf("result %d = %v, want a revision", i, r.Err)
				}
				if e, err := s.Get(t.Context(), writes[i].Key); err != nil || e.Revision != r.Revision {
					t.Errorf("Get(%s) = %d, %v, want %d", writes[i].Key, e.Revision, err, r.Revision)
				}
			}
			if after, err := s.Info(t.Context()); err != nil || after.Last != n || after.Keys != n {
				t.Errorf("Info() = %+v, %v, want each write to have happened once", after, err)
			}
		})
	}
}

func TestWritesSideBySideThatRunOutOfTimeAreUnknownIfTheyWereSentAndElseUnavailable(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	w := newWire(srv)
	s := w.open(t)
	other := openStore(t, srv.Connect(t), bucket())
	w.cutAt("the-match", false)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	writes := numbered(1200, 0)
	unknown, unavailable := 0, 0
	for i, r := range s.WriteEach(ctx, writes) {
		switch {
		case errors.Is(r.Err, kvstore.ErrUnknownOutcome) && !errors.Is(r.Err, kvstore.ErrUnavailable):
			unknown++
		case errors.Is(r.Err, kvstore.ErrUnavailable) && !errors.Is(r.Err, kvstore.ErrUnknownOutcome):
			unavailable++
			if _, err := other.Get(t.Context(), writes[i].Key); !errors.Is(err, kvstore.ErrNotFound) {
				t.Errorf("Get(%s) = %v: what was unavailable must not have happened", writes[i].Key, err)
			}
		default:
			t.Errorf("result %d = %+v, want ErrUnknownOutcome or ErrUnavailable", i, r)
		}
	}
	if unknown == 0 || unavailable == 0 {
		t.Errorf("%d are unknown and %d unavailable, want some of each", unknown, unavailable)
	}
}
