package main

import (
	"context"
	"os"
)

// version is set by the linker.
var version = "devel"

func main() {
	os.Exit(run(context.Background(), program{
		args: os.Args[1:], stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), version: version,
	}))
}
