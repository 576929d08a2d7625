#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Installs what `make`, its tests and its demo need, and only what is missing: with everything there
# it neither needs root nor touches the network. Debian and what descends from it.
set -eu

# clang llvm bpftool         BPF objects (llvm-strip) and the skeleton
# lib*-dev uthash-dev        fastlod, fastloctl, their tests; libelf and zlib are libbpf's
# libclang-rt-14-dev          the fuzzers' runtime, of the same version as clang
# gcc g++ pkg-config libc6-dev linux-libc-dev
# iproute2                   network namespaces in tests, a free port in the demo
# nftables iptables tcpdump  tests: the filters that opted-in traffic yields to
# procps python3             tests and examples
# redis-tools                the demo: benchmark, client, and the server (redis-check-rdb is the same
#                            binary); redis-server would start a service
packages='
	clang llvm bpftool libclang-rt-14-dev
	libbpf-dev libelf-dev zlib1g-dev
	libsystemd-dev libinih-dev libsmartcols-dev libjson-c-dev libcmocka-dev uthash-dev
	gcc g++ pkg-config libc6-dev linux-libc-dev
	iproute2 procps python3 redis-tools nftables iptables tcpdump
'

fail() {
	echo "deps: $*" >&2
	exit 1
}

is_installed() {
	status=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) && [ "$status" = installed ]
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	fail "no apt-get and dpkg-query here; install the equivalents by hand of:$packages"
fi

missing=
for package in $packages; do
	is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || fail "must be root to install$missing"

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q || fail "apt-get update failed (see above)"
# shellcheck disable=SC2086 # one word each
apt-get install -q -y --no-install-recommends $missing || fail "cannot install$missing (see above)"
