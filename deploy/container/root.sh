#!/bin/sh
# root.sh FOLDER BINARY [MODULE...]: lays out the root of the image in FOLDER, which must not exist: BINARY, the PKCS#11 modules in
# /usr/lib/pkcs11, all libraries that they are linked with, as Debian has installed them here, certificate authorities, a user,
# and for each package that something came from its entry in /var/lib/dpkg/status.d, which scanners read, and its copyright.
# Without MODULE: SoftHSM2, and p11-kit's client for an HSM in a sidecar or on another machine.
set -eu
folder=$1 binary=$2
shift 2
[ ! -e "$folder" ] || { echo "root.sh: $folder is there already" >&2; exit 1; }
triplet=$(gcc -print-multiarch 2>/dev/null || dpkg-architecture -qDEB_HOST_MULTIARCH)
[ $# -gt 0 ] || set -- /usr/lib/softhsm/libsofthsm2.so "/usr/lib/$triplet/pkcs11/p11-kit-client.so"
umask 022
mkdir -p "$folder/usr/bin" "$folder/usr/lib/pkcs11" "$folder/usr/lib/$triplet" "$folder/usr/lib64" "$folder/etc/ssl/certs" \
	"$folder/etc/countersign" "$folder/var/lib/dpkg/status.d" "$folder/run" "$folder/proc" "$folder/sys" "$folder/dev" "$folder/tmp"
chmod 1777 "$folder/tmp"
ln -s usr/lib "$folder/lib"
ln -s usr/lib64 "$folder/lib64"

# package FILE: the entry and the copyright of the package that a file came from.
package() {
	name=$(dpkg -S "*/$(basename "$1")" 2>/dev/null | sed -n 's/^\([^:,]*\).*: .*/\1/p' | head -n 1)
	[ -n "$name" ] || { echo "root.sh: no package of Debian has $1" >&2; exit 1; }
	[ ! -e "$folder/var/lib/dpkg/status.d/$name" ] || return 0
	dpkg-query -s "$name" | sed '/^Conffiles:/,/^[^ ]/{/^Conffiles:/d;/^ /d;}' >"$folder/var/lib/dpkg/status.d/$name"
	mkdir -p "$folder/usr/share/doc/$name"
	cp -L "/usr/share/doc/$name/copyright" "$folder/usr/share/doc/$name/copyright"
}

# library NAME: a library under the name by which it is asked for. The loader's name is a path of its own.
library() {
	real=$(realpath "$1")
	target="$folder/usr/lib/$triplet/$(basename "$1")"
	case $1 in
	/lib64/* | /lib/ld-*) target="$folder/usr$1" ;;
	esac
	[ ! -e "$target" ] || return 0
	install -D -m 0755 "$real" "$target"
	package "$real"
}

install -m 0755 "$binary" "$folder/usr/bin/countersign"
for module in "$@"; do
	install -m 0755 "$(realpath "$module")" "$folder/usr/lib/pkcs11/$(basename "$module")"
	package "$module"
done
for file in "$binary" "$@"; do
	ldd "$file" | grep -q 'not found' && { echo "root.sh: $file lacks a library: $(ldd "$file" | grep 'not found')" >&2; exit 1; }
	for needed in $(ldd "$file" | awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^\//) print $i }'); do
		library "$needed"
	done
done
cp -L /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt"
package /usr/sbin/update-ca-certificates
echo 'countersign:x:65532:65532:Countersign:/var/lib/countersign:/nonexistent' >"$folder/etc/passwd"
echo 'countersign:x:65532:' >"$folder/etc/group"
echo 'hosts: files dns' >"$folder/etc/nsswitch.conf"
: >"$folder/etc/hosts"
: >"$folder/etc/resolv.conf"
. /etc/os-release
cat >"$folder/etc/os-release" <<EOF
PRETTY_NAME="$PRETTY_NAME, the libraries of Countersign"
NAME="$NAME"
ID=$ID
VERSION_ID="${VERSION_ID:-}"
VERSION_CODENAME="${VERSION_CODENAME:-}"
EOF
