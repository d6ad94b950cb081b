#!/bin/sh
# fetch.sh go1.27.3 FOLDER [DIGESTS] puts that Go into FOLDER: as the module golang.org/toolchain, from where the go command
# gets all modules (GOPROXY), with any Go that knows modules; those before 1.21 cannot fetch their successor by themselves.
# What comes must have the digest that toolchain.sum has for it, besides that of the checksum database.
set -eu
go=${GO:-go}
version=$1 folder=$2 digests=${3:-$(dirname "$0")/toolchain.sum}
export GOTOOLCHAIN=local # what is asked here needs no other Go
system=$(cd / && $go env GOHOSTOS)-$(cd / && $go env GOHOSTARCH)
wanted=$(awk -v name="$version.$system" '$1 == name { print $2 }' "$digests")
if [ -z "$wanted" ]; then
	echo "$digests has no digest of $version for $system: install $version or later yourself"
	exit 1
fi
mkdir -p "$(dirname "$folder")"
temporary=$(mktemp -d "$folder.XXXXXX")
trap 'chmod -R u+w "$temporary"; rm -rf "$temporary"' EXIT
trap 'exit 1' INT TERM
echo "fetching $version (76 MB) into $folder"
release=v0.0.1-$version.$system
(
	cd "$temporary" # where no go.mod asks for a newer Go
	GOMODCACHE=$temporary/modules GOFLAGS=-modcacherw GO111MODULE=on GOWORK=off \
		$go mod download "golang.org/toolchain@$release"
)
came=$(cat "$temporary/modules/cache/download/golang.org/toolchain/@v/$release.ziphash")
if [ "$came" != "$wanted" ]; then
	echo "$version for $system came with the digest $came, and $digests has $wanted: not taken"
	exit 1
fi
unpacked=$temporary/modules/golang.org/toolchain@$release
# A module has no executable files, and no other module in it.
find "$unpacked" -name _go.mod | while read -r file; do cp "$file" "${file%_go.mod}go.mod"; done
chmod +x "$unpacked"/bin/* "$unpacked"/pkg/tool/*/*
rm -rf "$folder"
mv "$unpacked" "$folder"
