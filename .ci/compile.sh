#!/bin/sh
# compile.sh FLAG... PACKAGE... compiles packages with their tests and all that they stand on, without linking or running
# anything, and counts aloud. What is compiled already takes seconds.
go=${GO:-go}
{
	$go list -export -deps -test -v -f '' "$@" 2>&1 >/dev/null || echo "FAILED"
} | {
	count=0 problems='' failed=0
	while IFS= read -r line; do
		case $line in
		FAILED) failed=1 ;;
		*" "*) problems="$problems$line
" ;;
		*)
			count=$((count + 1))
			[ $((count % 50)) != 0 ] || echo "   $count packages compiled"
			;;
		esac
	done
	echo "   $count packages compiled"
	printf %s "$problems"
	exit $failed
}
