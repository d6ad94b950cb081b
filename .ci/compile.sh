#!/bin/sh
# compile.sh FLAG... PACKAGE... compiles packages with their tests and all that they stand on, without linking or running
# anything, and counts aloud. What is compiled already takes seconds.
go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
	$go list -export -deps -test -v -f '' "$@" 2>&1 >/dev/null || echo FAILED
} | awk -v log_file="$log" '
	/^FAILED$/ { failed = 1; next }
	{ print > log_file }
	/^[^ ]+$/ { if (++count % 50 == 0) print "   " count " packages compiled" }
	END { print "   " count + 0 " packages compiled"; exit failed }' || { cat "$log"; exit 1; }
