#!/bin/sh
# debian.sh FILE: makes the minimal Debian in which tests install the package, once: that of this machine's release, or 12.
set -e
file=$1
suite=$(. /etc/os-release 2>/dev/null; [ "$ID" = debian ] && echo "$VERSION_CODENAME" || true)
mkdir -p "$(dirname "$file")"
mmdebstrap --quiet --variant=minbase --mode=root \
	--include=systemd,systemd-sysv,dbus,softhsm2,opencryptoki,sudo,curl,openssl,ca-certificates,procps \
	--aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/doc/countersign*' \
	"${suite:-bookworm}" "${file%.tar}.new.tar"
mv "${file%.tar}.new.tar" "$file"
