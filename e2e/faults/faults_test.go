package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/faults"
	"github.com/roostbus/roost/e2e/natstest"
)

func TestMain(m *testing.M) {
	if natstest.ServerMain() {
		return
	}
	if settings := os.Getenv(faults.AsNode); settings != "" {
		if err := faults.NodeMain(settings, os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestWhateverGoesWrongTheRegistryKeepsItsPromises has everything go wrong that there is, and
// then one thing or two at random. FAULTS_TIME is for how long, SEED decides what,
// DEPLOYMENT where, and FAULTS leaves only some classes.
func TestWhateverGoesWrongTheRegistryKeepsItsPromises(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes; `make faults` runs it")
	}
	seed, lasts, classes := rand.Uint64(), 2*time.Minute, faults.All()
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("FAULTS_TIME"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	only := os.Getenv("FAULTS")
	if only != "" {
		classes = faults.Named(append(classes, faults.Moves()...), strings.Split(only, ",")...)
	}
	where := os.Getenv("DEPLOYMENT")
	if where == "" {
		where = []string{"external", "embedded"}[seed%2]
	}
	t.Logf("to repeat this: make faults SEED=%d DEPLOYMENT=%s FAULTS_TIME=%v FAULTS=%s", seed, where, lasts, only)
	switch where {
	case "external":
		faults.Run(t, faults.External(t, 3, 3), faults.Make(seed, lasts, classes))
	case "embedded":
		faults.Run(t, faults.Embedded(t, 3), faults.Make(seed, lasts, faults.Merged(classes)))
	default:
		t.Fatalf("DEPLOYMENT is %q; want external or embedded", where)
	}
}

// TestAFewFaultsInAShortRun is the same on one NATS server, for a moment, with one seed.
func TestAFewFaultsInAShortRun(t *testing.T) {
	t.Parallel()
	p := faults.Make(1, 0, faults.Named(faults.All(), "kill-keeper", "lose-replies", "stop-server", "delete-bucket"))
	for i := range p.Steps {
		p.Steps[i].Lasts, p.Steps[i].Quiet, p.Steps[i].Probes = min(p.Steps[i].Lasts, time.Second), 0, false
	}
	p.Least = 2 // a busy machine has its reasons
	faults.Run(t, faults.External(t, 1, 3), p)
}
