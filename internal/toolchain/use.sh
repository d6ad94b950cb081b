#!/bin/sh
# use.sh go1.27.3 [DIGESTS] makes sure that the go command is that Go, or becomes it by itself (GOTOOLCHAIN): then the module
# golang.org/toolchain that it took must have the digest that toolchain.sum has for it. It fails where the go command cannot,
# as those before 1.21, which do not know GOTOOLCHAIN: fetch.sh is for these.
set -eu
go=${GO:-go}
version=$1 digests=${2:-$(dirname "$0")/toolchain.sum}
case $digests in /*) ;; *) digests=$PWD/$digests ;; esac
cd / # where no go.mod asks for another Go
[ "$(GOTOOLCHAIN=local $go env GOVERSION 2>/dev/null)" != "$version" ] || exit 0
system=$(GOTOOLCHAIN=local $go env GOHOSTOS)-$(GOTOOLCHAIN=local $go env GOHOSTARCH)
release=v0.0.1-$version.$system
kept=$(GOTOOLCHAIN=local $go env GOMODCACHE)/cache/download/golang.org/toolchain/@v/$release.ziphash
[ -e "$kept" ] || echo "== fetch $version, with which everything is built, once (76 MB)"
[ "$(GOTOOLCHAIN=$version $go env GOVERSION)" = "$version" ] || exit 1
wanted=$(awk -v name="$version.$system" '$1 == name { print $2 }' "$digests")
came=$(cat "$kept")
if [ "$came" != "$wanted" ]; then
	echo "$version for $system came with the digest $came, and $digests has '$wanted': not taken" >&2
	exit 2
fi
