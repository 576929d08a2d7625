# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=sh
#
# The suite "systemd": a Debian of the host's own release with systemd as PID 1, in memory, where four builds of the
# package are put through systemd_test. Read by run.sh, whose variables and functions it uses.

# Whatever the package depends on is in it, since the machine has no network.
fetch_root() {
	if ! command -v mmdebstrap >/dev/null; then
		echo "systemd: no mmdebstrap (apt-get install mmdebstrap), the suite will be skipped"
		return 0
	fi
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mkdir -p "$VM_DIR/systemd"
	mmdebstrap --quiet --variant=minbase --format=tar --customize-hook='rm -rf "$1/usr/share/locale" "$1/usr/share/man"' \
		--include="systemd,systemd-sysv,procps,redis-server,bpftool,libbpf1,libjson-c5,libsmartcols1,libinih1" \
		"$codename" "$VM_DIR/systemd/root.tar.new" || return 1
	gzip -1 <"$VM_DIR/systemd/root.tar.new" >"$VM_DIR/systemd/root.tar.gz" && rm "$VM_DIR/systemd/root.tar.new" || return 1
	echo "systemd: Debian $codename"
}

# Builds that differ in their version, and in what NEXT in the Makefile says; once for all kernels.
build_packages() {
	[ ! -e "$work/abi.deb" ] || return 0
	build_package first 1.0 && build_package second 1.1 &&
		build_package code 1.2 -DFL_RCVBUF_SHARE=0xffffffffU && build_package abi 1.3 -DFL_ABI_VERSION=1000000
}

build_package() { # NAME VERSION [FLAG]
	deb=$(O=$work/deb VERSION=$2 DEB_CFLAGS_APPEND=${3:-} BPF_CFLAGS="-O2 -g ${3:-}" DEB_BUILD_OPTIONS=nocheck \
		"$root/dist/deb.sh") && mv "$deb" "$work/$1.deb"
}

build_systemd_image() { # KERNEL
	image=$work/$1-systemd
	mkdir -p "$image/bin" "$image/root" "$image/fl"
	cp "$BUSYBOX" "$image/bin/busybox"
	cp "$here/init-systemd" "$image/init"
	cp "$here/fastlo-test.service" "$here/systemd_test" "$work"/*.deb "$image/fl"
	"${CC:-cc}" -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -static "$here/redis_traffic.c" -o "$image/fl/redis_traffic" || return 1
	ln "$VM_DIR/systemd/root.tar.gz" "$image/root.tar.gz" 2>/dev/null ||
		cp "$VM_DIR/systemd/root.tar.gz" "$image/root.tar.gz"
	(cd "$image" && find . | cpio -o -H newc --quiet) >"$work/$1-systemd.gz"
}

boot_systemd() { # KERNEL
	if [ ! -e "$VM_DIR/systemd/root.tar.gz" ]; then
		row "$1" systemd "skipped: no root (run 'tests/vm/run.sh fetch')"
		skipped=$((skipped + 1))
	elif ! command -v dh >/dev/null || ! command -v dpkg-buildpackage >/dev/null; then
		row "$1" systemd "skipped: no debhelper (apt-get install dpkg-dev debhelper)"
		skipped=$((skipped + 1))
	elif build_packages && build_systemd_image "$1"; then
		run_machine "$1" "$VM_DIR/$1-systemd.log" "$work/$1-systemd.gz" 2G \
			"systemd.show_status=0 systemd.mask=serial-getty@ttyS0.service"
		figures="$figures$(console | sed -n "s/^@@ figures /${release%% *}: /p")
"
	else
		row "$1" systemd "cannot be built"
		failed=$((failed + 1))
	fi
}
