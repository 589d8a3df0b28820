package main

import (
	"os"
	"testing"
)

// asRoost makes the test binary be roost, so that tests can run it as a process of its own.
const asRoost = "ROOST_TEST_AS_ROOST"

func TestMain(m *testing.M) {
	if os.Getenv(asRoost) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}
