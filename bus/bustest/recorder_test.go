package bustest_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// recorder is a testing.TB of no test, which tells how one would have ended.
type recorder struct {
	testing.TB // nil: nothing else is asked of it

	failure string
	ended   bool // the test came to its end
	cleanup []func()
}

// record runs test, and then its clean-up, as package testing does.
func record(test func(*recorder)) *recorder {
	r := &recorder{}
	var running sync.WaitGroup
	running.Go(func() { // one that Fatalf can end
		defer r.clean()
		test(r)
		r.ended = true
	})
	running.Wait()
	return r
}

func (r *recorder) clean() {
	for _, f := range slices.Backward(r.cleanup) {
		f()
	}
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return context.Background() }
func (r *recorder) Cleanup(f func())         { r.cleanup = append(r.cleanup, f) }

func (r *recorder) TempDir() string {
	dir, err := os.MkdirTemp("", "bustest")
	if err != nil {
		r.Fatalf("%v", err)
	}
	r.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (r *recorder) Errorf(format string, args ...any) { r.failure = fmt.Sprintf(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
