package client

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAComplaintIsMadeOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var one complaint
	for range 3 {
		one.about(t.Context(), log, "not voted", slog.String("owner", "a"))
	}
	if n := strings.Count(out.String(), "not voted"); n != 1 {
		t.Errorf("it was logged %d times:\n%s", n, &out)
	}
}

func TestAFailedRunIsLoggedWithItsElectionOwnerAndTerm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		var out bytes.Buffer
		c.log = slog.New(slog.NewTextHandler(&out, nil))
		var ran *Shift
		ctx, stop := context.WithCancelCause(t.Context())
		err := c.Singleton(ctx, "default", "report", func(_ context.Context, s *Shift) error {
			if ran != nil {
				stop(errDone)
			}
			ran = s
			return errors.New("boom")
		}, SingletonOptions{})
		wantErr(t, err, errDone)
		time.Sleep(time.Minute)
		synctest.Wait()
		want := `state="run has failed" err=boom owner=` + ran.Owner() + ` term=1`
		if n := strings.Count(out.String(), want); n != 1 || !strings.Contains(out.String(), "report") {
			t.Errorf("%q is there %d times in\n%s", want, n, &out)
		}
	})
}
