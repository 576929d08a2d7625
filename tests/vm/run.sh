#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Other kernels: boots Debian's in qemu (emulated: no KVM, no root, no network) and runs fastlod and the
# tests in them.
#
#   tests/vm/run.sh fetch [KERNEL...]   downloads and unpacks the newest package of each, by apt-get, and a Debian root
#   tests/vm/run.sh [KERNEL...]         boots each; KERNEL is 6.1 or 6.12 (default: both)
#
# Suites: splice_check with each observer (splice/auto, splice/tracepoint, splice/none), then the unit and
# integration programs that `make tests` has built, the clock set under traffic (torture/clock), then the conformance suite
# over IPv4; in a boot of its own "systemd", the Debian package's life (systemd.sh).
# At the end a table, kernel x suite x result; of the unit and integration programs those that failed have a line of
# their own. The last line is `N passed, N failed, N skipped`; a kernel that can't be run (no qemu, no image) counts as
# one skip. The console of each boot stays in
# $VM_DIR/KERNEL.log. A warning of the test machine's own kernel, or its death, is a failure.
#
#   O=build           what to test
#   VM_DIR=$O/vm      images and logs; outside git
#   VM_APPEND=        further kernel parameters, as preempt=full
#   VM_MEM=1G         memory of the machine
#   VM_TIMEOUT=3600   seconds per boot; TIMEOUT=900 per program in it: emulated, a stream under load
#                     takes ten times as long
#   ONLY=             a suite's name (or a pattern), as 'splice/*'
#   STRICT=1          a skip is a failure
#
# Needs: qemu-system-x86 cpio busybox-static xz-utils, and a static libc for splice_check; for "systemd" root,
# mmdebstrap, dpkg-dev and debhelper.
set -u

O=${O:-build}
VM_DIR=${VM_DIR:-$O/vm}
VM_MEM=${VM_MEM:-1G}
VM_TIMEOUT=${VM_TIMEOUT:-3600}
VM_APPEND=${VM_APPEND:-}
TIMEOUT=${TIMEOUT:-900}
ONLY=${ONLY:-*}
STRICT=${STRICT:-0}
QEMU=${QEMU:-qemu-system-x86_64}
BUSYBOX=${BUSYBOX:-$(command -v busybox || echo /bin/busybox)}
# what the tests want and Debian builds as a module, with what those need; and tools, where they are installed
MODULES="veth tls libcrc32c crc32c_generic nfnetlink nf_defrag_ipv4 nf_defrag_ipv6 nf_conntrack nf_nat nf_tables nft_ct
	nft_chain_nat nft_redir nft_compat x_tables xt_tcpudp ip_tables iptable_filter iptable_mangle sch_ingress cls_bpf
	xfrm_algo xfrm_user"
TOOLS="dash nft iptables-nft iptables-legacy tc ip tcpdump"
here=$(dirname "$0")
root=$here/../..
# shellcheck source=tests/vm/systemd.sh
. "$here/systemd.sh"
passed=0
failed=0
skipped=0
table=
figures=

row() { # KERNEL SUITE RESULT
	table="$table$(printf '%-28s %-30s %s' "$1" "$2" "$3")
"
}

# The cloud flavour: a third of the size, the same config where it matters, and a serial console.
package_of() {
	apt-cache search --names-only "^linux-image-$(echo "$1" | sed 's/\./\\./g')\.[0-9][^ ]*-cloud-amd64\$" |
		cut -d' ' -f1 | sort -V | tail -1
}

fetch() {
	package=$(package_of "$1")
	if [ -z "$package" ]; then
		echo "run.sh: apt knows no kernel image of Linux $1 (try 'apt-get update')" >&2
		return 1
	fi
	dir=$VM_DIR/$1
	rm -rf "$dir" && mkdir -p "$dir/deb" "$dir/modules" || return 1
	(cd "$dir/deb" && apt-get download "$package" >/dev/null) && dpkg -x "$dir"/deb/*.deb "$dir/deb" || return 1
	cp "$dir"/deb/boot/vmlinuz-* "$dir/vmlinuz" || return 1
	for m in $MODULES; do
		find "$dir/deb" -name "$m.ko*" -exec cp '{}' "$dir/modules" ';'
	done
	for m in "$dir"/modules/*.xz; do
		[ ! -e "$m" ] || xz -d "$m" || return 1
	done
	echo "$package" >"$dir/package"
	rm -rf "$dir/deb"
	echo "$1: $package"
}

# Why nothing can be run at all; empty: it can.
missing() {
	for tool in "$QEMU" cpio; do
		command -v "$tool" >/dev/null || echo "no $tool (apt-get install qemu-system-x86 cpio)"
	done
	if ! "$BUSYBOX" --list 2>/dev/null | grep -qx insmod || ldd "$BUSYBOX" >/dev/null 2>&1; then
		echo "no static busybox (apt-get install busybox-static)"
	fi
	[ "$(uname -m)" = x86_64 ] || echo "for x86-64 only"
}

# PROGRAM NAME: into the image, with the shared libraries it needs
install_program() {
	mkdir -p "$(dirname "$fl/$2")"
	cp "$1" "$fl/$2"
	ldd "$1" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | while read -r lib; do
		[ -e "$image$lib" ] || { mkdir -p "$image$(dirname "$lib")" && cp -L "$lib" "$image$lib"; }
	done
}

suite() { # NAME COMMAND
	# shellcheck disable=SC2254
	case $1 in $ONLY) echo "$*" >>"$fl/suites" ;; esac
}

# The same image serves every kernel but for its modules.
build_image() { # KERNEL
	image=$work/$1
	fl=$image/fl
	mkdir -p "$fl/modules" "$image/bin" "$image/sbin" "$image/proc" "$image/sys" "$image/dev" "$image/tmp" \
		"$image/run" "$image/etc"
	cp "$BUSYBOX" "$image/bin/busybox"
	cp "$here/init" "$image/init"
	chmod 755 "$image/init"
	printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$image/etc/passwd"
	cp /etc/protocols "$image/etc/" 2>/dev/null
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$image/etc/group"
	cp "$VM_DIR/$1"/modules/*.ko "$fl/modules" 2>/dev/null
	echo "$TIMEOUT" >"$fl/timeout"
	: >"$fl/suites"
	install_program "$O/fastlod" fastlod
	install_program "$O/fastloctl" fastloctl
	install_program "$work/splice_check" splice_check
	# what test_upgrade upgrades to
	for build in "$O"/next/*; do
		[ ! -x "$build/fastlod" ] || install_program "$build/fastlod" "next/${build##*/}/fastlod"
	done
	for tool in $TOOLS; do
		[ ! -x "$(command -v "$tool")" ] || install_program "$(command -v "$tool")" "tools/$tool"
	done
	mkdir -p "$image/usr/lib/x86_64-linux-gnu"
	cp -r /usr/lib/x86_64-linux-gnu/xtables "$image/usr/lib/x86_64-linux-gnu/" 2>/dev/null
	for observer in auto tracepoint none; do
		suite "splice/$observer" ./splice_check "$observer"
	done
	for program in "$O"/tests/unit/test_* "$O"/tests/integration/test_*; do
		case $program in *.o | *.d) continue ;; esac
		[ -x "$program" ] || continue
		name=${program#"$O"/tests/}
		install_program "$program" "tests/$name"
		suite "$name" "./tests/$name"
	done
	# the one disturbance that is nobody else's business here
	install_program "$O/tests/torture/torture" tests/torture/torture
	suite torture/clock ./tests/torture/torture --scenario clock --seconds 20
	install_program "$O/tests/conformance/conformance" tests/conformance/conformance
	mkdir -p "$fl/docs"
	cp "$root/docs/DEVIATIONS.md" "$fl/docs"
	# one kind: the kinds are no different here, and emulated it takes its time
	suite conformance "env CASE_SECONDS=200 ./tests/conformance/conformance -k v4"
	(cd "$image" && find . | cpio -o -H newc --quiet) | gzip -1 >"$work/$1.gz"
}

console() {
	tr -d '\r' <"$log"
}

# The console's log -> lines "SUITE PASSED FAILED SKIPPED EXIT SECONDS", and how the machine ended
digest() {
	console | awk '
	/^@@ begin / { name = $3; p = f = s = ok = 0 }
	/^\[       OK \] / { ok++ }
	/^\[  PASSED  \] [0-9]+ test/ { p += $4; ok = 0 }
	/^\[  FAILED  \] [0-9]+ test/ { f += $4 }
	/^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
	/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
	# cut short: what had passed until then, and one failure
	/^@@ end / { if ($4 != 0 && !f) f = 1; print $3, p + ok, f, s, $4, $5; name = "" }
	/^@@ splat / { print "kernel-warning", 0, 1, 0, 0, 0 }
	/^@@ done/ { done = 1 }
	END { if (!done) print name ? name : "boot", 0, 1, 0, "died", 0 }'
}

run_machine() { # KERNEL LOG INITRD MEMORY [PARAMETERS]
	log=$2
	nice -n 10 timeout --foreground -k 10 "$VM_TIMEOUT" "$QEMU" -accel tcg,thread=single -smp 2 -m "$4" -cpu max \
		-nographic -no-reboot -nodefaults -serial stdio -kernel "$VM_DIR/$1/vmlinuz" -initrd "$3" \
		-append "console=ttyS0 panic=-1 quiet loglevel=4 watchdog_thresh=60 no_timer_check ${5:-} $VM_APPEND" </dev/null >"$log" 2>&1
	release=$(console | sed -n 's/-cloud-amd64//; s/ *$//; s/.*@@ kernel //p') # the BIOS's escapes before it
	digest >"$work/digest"
	release=${release:-$1}
	while read -r name p f s rc seconds; do
		passed=$((passed + p))
		failed=$((failed + f))
		skipped=$((skipped + s))
		case $name in
		unit/* | integration/*) [ "$f" -gt 0 ] || continue ;;
		esac
		observer=$(console | sed -n "\|^@@ begin $name\$|,\|^@@ end|s/.*ready: observer \([a-z]*\),.*/ (\1)/p" |
			head -1)
		case $rc in
		0 | 1) how= ;;
		137) how=", still running after $TIMEOUT s" ;;
		*) how=", exit $rc" ;;
		esac
		row "$release" "$name$observer" "$p passed, $f failed, $s skipped$how ($seconds s)"
	done <"$work/digest"
	for many in unit integration; do
		sum=$(awk -v m="$many" 'index($1, m "/") == 1 { n++; p += $2; f += $3; s += $4; t += $6 }
			END { if (n) printf "%d passed, %d failed, %d skipped (%d s)", p, f, s, t; exit !n }' "$work/digest") &&
			row "$release" "$many" "$sum"
	done
	console | grep -aE '^(not ok|skipped -|\[  FAILED  \] [^0-9]|@@ splat)' | sort -u | sed "s/^/$1: /"
}

boot() { # KERNEL
	build_image "$1"
	[ ! -s "$fl/suites" ] || run_machine "$1" "$VM_DIR/$1.log" "$work/$1.gz" "$VM_MEM"
	# shellcheck disable=SC2254
	case systemd in $ONLY) boot_systemd "$1" ;; esac
}

[ "${1:-}" = fetch ] && fetching=1 && shift || fetching=
[ $# -gt 0 ] || set -- 6.1 6.12
for kernel; do
	case $kernel in
	[0-9]*.[0-9]*) ;;
	*)
		echo "run.sh: '$kernel' is not a kernel version like 6.12" >&2
		exit 1
		;;
	esac
done
if [ -n "$fetching" ]; then
	for kernel; do
		fetch "$kernel" || exit 1
	done
	fetch_root || exit 1
	exit 0
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
reason=$(missing | head -1)
[ -n "$reason" ] || [ -x "$O/fastlod" ] || { echo "run.sh: no '$O/fastlod' (run 'make' first)" >&2; exit 1; }
[ -n "$reason" ] || "${CC:-cc}" -O2 -g -Wall -Wextra -D_GNU_SOURCE -I"$root/include" -static \
	"$here/splice_check.c" "$here/stream.c" -o "$work/splice_check" -lpthread || exit 1
for kernel; do
	if [ -n "$reason" ]; then
		row "$kernel" all "skipped: $reason"
		skipped=$((skipped + 1))
	elif [ ! -e "$VM_DIR/$kernel/vmlinuz" ]; then
		row "$kernel" all "skipped: no image (run 'tests/vm/run.sh fetch $kernel')"
		skipped=$((skipped + 1))
	else
		boot "$kernel"
	fi
done
printf '%s%-28s %-30s %s\n%s' "$figures" kernel suite result "$table"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$STRICT" = 1 ] && [ "$skipped" -gt 0 ] && exit 1
exit 0
