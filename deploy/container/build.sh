#!/bin/sh
# build.sh TAG BINARY: builds the image with buildah, as root or by `buildah unshare`. BUILDAH has flags for buildah, such as
# "--storage-driver vfs --root FOLDER"; MODULES the PKCS#11 modules to put in, in place of SoftHSM2 and p11-kit's client. What
# is in the image has the time SOURCE_DATE_EPOCH (0 when it is not set), so that the same files give the same image.
set -eu
tag=$1 binary=$(realpath "$2")
here=$(dirname "$(realpath "$0")")
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
mkdir "$context/state"
# MODULES and BUILDAH are lists.
# shellcheck disable=SC2086
sh "$here/root.sh" "$context/root" "$binary" ${MODULES:-}
# shellcheck disable=SC2086
buildah ${BUILDAH:-} build --quiet --format oci --timestamp "${SOURCE_DATE_EPOCH:-0}" \
	--label "org.opencontainers.image.version=$("$binary" version --short)" --tag "$tag" --file "$here/Containerfile" "$context"
