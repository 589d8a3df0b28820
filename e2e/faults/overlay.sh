#!/bin/sh
# Writes what `go test -overlay` needs into a directory, so that the clock on the wall of a
# process can be moved, and of no other: what the runtime says of it is changed by an offset.
#
#   sh overlay.sh DIRECTORY && go test -overlay DIRECTORY/overlay.json -tags wallclock ...
set -eu
root=$(go env GOROOT)
mkdir -p "$1"
to=$(cd "$1" && pwd)
awk '
	/^\treturn time_now\(\)$/ {
		print "\tsec, nsec, mono = time_now()"
		print "\treturn sec + atomic.Loadint64(&wallOffset), nsec, mono"
		found = 1
		next
	}
	{ print }
	END {
		print "\n// wallOffset is how many seconds the clock on the wall is moved by."
		print "//\n//go:linkname wallOffset\nvar wallOffset int64"
		if (!found) {
			print "this Go says in another place what time it is: " FILENAME > "/dev/stderr"
			exit 1
		}
	}' "$root/src/runtime/time.go" >"$to/time.txt"
printf '{"Replace": {"%s": "%s"}}\n' "$root/src/runtime/time.go" "$to/time.txt" >"$to/overlay.json"
