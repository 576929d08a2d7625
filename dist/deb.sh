#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The Debian package: a copy of the tree with debian/ at its root, built outside of it; the .deb goes to $O.
# VERSION is the package's too. Needs dpkg-dev and debhelper, beside what `make` needs.
set -eu

O=${O:-build}
VERSION=${VERSION:?}
root=$(cd "$(dirname "$0")/.." && pwd)

command -v dh >/dev/null && command -v dpkg-buildpackage >/dev/null || {
	echo "deb: no dpkg-buildpackage or dh (try 'apt-get install dpkg-dev debhelper')" >&2
	exit 1
}
mkdir -p "$O"
out=$(cd "$O" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 130' INT TERM

tree=$stage/fastlo-$VERSION
mkdir "$tree"
(cd "$root" && cp -R LICENSES Makefile README.md bpf dist docs include tests user vmlinux "$tree")
cp -R "$root/dist/debian" "$tree/debian"
sed -i "1s/([^)]*)/($VERSION)/" "$tree/debian/changelog"
cd "$tree"
# not what the calling make was told: the package has its own way
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL O VERSION DESTDIR PREFIX CFLAGS LDFLAGS
DEB_BUILD_OPTIONS="noautodbgsym ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -us -uc -b >"$out/deb.log" 2>&1 || {
	tail -n 30 "$out/deb.log" >&2
	echo "deb: dpkg-buildpackage failed (all it said is in '$out/deb.log')" >&2
	exit 1
}
for deb in "$stage"/*.deb; do
	mv "$deb" "$out"
	echo "$out/${deb##*/}"
done
