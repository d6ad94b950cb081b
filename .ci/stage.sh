#!/bin/sh
# stage.sh TITLE COMMAND...: runs a command under its title, says every half minute that it still runs, and at the end how
# long it took.
title=$1
shift
start=$(date +%s)
passed() { echo "$(($(date +%s) - start)) s"; }
echo "== $title"
while sleep 30 </dev/null >/dev/null 2>&1; do echo "   ... $title: $(passed)"; done &
beat=$!
trap 'kill $beat 2>/dev/null' EXIT
trap 'exit 1' INT TERM
"$@"
code=$?
if [ $code = 0 ]; then echo "== $title: done in $(passed)"; else echo "== $title: FAILED after $(passed)"; fi
exit $code
