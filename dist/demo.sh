#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `make demo`: redis-benchmark against redis-server, plain and under `fastloctl run`, alternating in one
# sitting; medians, their ratio, the list of pairs while they were spliced. Runs a fastlod of its own,
# beside a system one if there is one, and fails if anything of it is left in the end.
set -euo pipefail
cd "$(dirname "$0")/.."

O=${O:-build}
ROUNDS=${ROUNDS:-3}
REQUESTS=${REQUESTS:-200000}
CLIENTS=${CLIENTS:-50}
PATH=$PATH:/usr/sbin:/sbin

tmp=
daemon=
declare -A server_pid=() server_port=()
run_dir_made=

say() { printf '%s\n' "$@"; }
fail() {
	echo "demo: $*" >&2
	exit 1
}

preflight() {
	[ "$(id -u)" = 0 ] || fail "must be root: fastlod loads BPF programs"
	local tool
	for tool in redis-benchmark redis-cli redis-check-rdb bpftool ss; do
		command -v "$tool" >/dev/null || fail "'$tool' is not here (try 'make deps')"
	done
	for tool in fastlod fastloctl; do
		[ -x "$O/$tool" ] || fail "'$O/$tool' is not built (try 'make')"
	done
}

# What a fastlod holds of the host, one thing a line, so that states can be compared.
own_cgroup() {
	local root
	root=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
	[ -z "$root" ] || printf '%s%s\n' "$root" "$(sed -n 's/^0:://p' /proc/self/cgroup)"
}
traces() {
	local dir
	bpftool prog show | sed -n 's/^\([0-9]*\): .* name \(fl_[^ ]*\|fastlo[^ ]*\).*/BPF program \1 \2/p'
	bpftool map show | sed -n 's/^\([0-9]*\): .* name \(fl_[^ ]*\|fastlo[^ ]*\).*/BPF map \1 \2/p'
	findmnt -n -o TARGET -t bpf | while read -r dir; do
		find "$dir" -mindepth 1 -maxdepth 1 -name 'fastlo*' -printf 'pin directory %p\n'
	done
	dir=$(own_cgroup) # where `fastloctl run` makes its own
	[ -z "$dir" ] || find "$dir" -maxdepth 1 -type d -name 'fastlo-run-*' -printf 'cgroup %p\n'
}

wait_gone() { # PID TENTHS
	local i
	for ((i = 0; i < $2; i++)); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	return 1
}

stop_servers() {
	local kind pid
	for kind in "${!server_pid[@]}"; do
		pid=${server_pid[$kind]}
		redis-cli -p "${server_port[$kind]}" shutdown nosave >/dev/null 2>&1 || :
		wait_gone "$pid" 50 || kill "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	server_pid=()
}

stop_daemon() {
	[ -n "$daemon" ] || return 0
	kill -TERM "$daemon" 2>/dev/null || :
	wait_gone "$daemon" 200 || { echo "demo: fastlod ($daemon) does not stop, killing it" >&2; kill -KILL "$daemon"; }
	local status=0
	wait "$daemon" 2>/dev/null || status=$?
	daemon=
	return "$status"
}

cleanup() {
	trap - EXIT INT TERM
	stop_servers
	stop_daemon || :
	[ -z "$tmp" ] || rm -rf "$tmp"
	[ -z "$run_dir_made" ] || rmdir "$run_dir_made" 2>/dev/null || :
}

start_daemon() {
	local args=() i bpffs
	if "$O/fastloctl" -j status >/dev/null 2>&1 || [ -e /etc/fastlo/fastlo.conf ]; then
		bpffs=$(findmnt -n -o TARGET -t bpf | head -n 1)
		run_dir_made=/run/fastlo-demo-$$
		export FASTLO_RUN_DIR=$run_dir_made
		printf '[fastlo]\nrun_dir = %s\npin_dir = %s\n' "$run_dir_made" \
			"${bpffs:-/sys/fs/bpf}/fastlo-demo-$$" >"$tmp/fastlo.conf"
		args=(-c "$tmp/fastlo.conf")
		say "A fastlod is installed here: using one of its own, in $run_dir_made."
	fi
	"$O/fastlod" "${args[@]}" 2>"$tmp/fastlod.log" &
	daemon=$!
	for ((i = 0; i < 100; i++)); do
		if "$O/fastloctl" -j status >/dev/null 2>&1; then
			return 0
		fi
		if ! kill -0 "$daemon" 2>/dev/null; then
			daemon=
			cat "$tmp/fastlod.log" >&2
			fail "fastlod did not start"
		fi
		sleep 0.05
	done
	cat "$tmp/fastlod.log" >&2
	fail "fastlod was not ready within 5 s"
}

free_port() { # below what connect() takes by itself
	local port
	while :; do
		port=$((20000 + RANDOM % 10000))
		if [ -z "$(ss -Hltn "sport = :$port")" ]; then
			echo "$port"
			return
		fi
	done
}

start_server() { # KIND [PREFIX…]
	local kind=$1 i port
	shift
	port=$(free_port)
	"$@" "$tmp/redis-server" --port "$port" --bind 127.0.0.1 --save '' --appendonly no --daemonize no \
		>"$tmp/$kind.log" 2>&1 &
	server_pid[$kind]=$!
	server_port[$kind]=$port
	for ((i = 0; i < 100; i++)); do
		[ "$(redis-cli -p "$port" ping 2>/dev/null)" != PONG ] || return 0
		kill -0 "${server_pid[$kind]}" 2>/dev/null || break
		sleep 0.05
	done
	cat "$tmp/$kind.log" >&2
	fail "redis-server ($kind) did not start"
}

bench() { # KIND [PREFIX…] > requests per second
	local kind=$1
	shift
	"$@" redis-benchmark -p "${server_port[$kind]}" -t get -c "$CLIENTS" -n "$REQUESTS" --csv 2>"$tmp/bench.err" |
		awk -F'"' '$2 == "GET" { print $4; ok = 1 } END { exit !ok }' || {
		cat "$tmp/bench.err" >&2
		fail "redis-benchmark ($kind) failed"
	}
}

# Keeps the first list that shows a spliced pair; else the last one taken.
watch_pairs() {
	local i
	for ((i = 0; i < 100; i++)); do
		sleep 0.1
		"$O/fastloctl" list >"$tmp/list.now" 2>&1 || continue
		mv "$tmp/list.now" "$tmp/list"
		! grep -q spliced "$tmp/list" || return 0
	done
}

median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

measure() {
	local round watcher
	for ((round = 1; round <= ROUNDS; round++)); do
		bench plain | tee -a "$tmp/plain" | sed "s|^|round $round  plain            |; s|\$| requests/s|"
		watch_pairs &
		watcher=$!
		bench fastlo "$O/fastloctl" run -- | tee -a "$tmp/fastlo" |
			sed "s|^|round $round  fastloctl run    |; s|\$| requests/s|"
		kill "$watcher" 2>/dev/null || :
		wait "$watcher" 2>/dev/null || :
	done
}

report() {
	local plain fastlo
	plain=$(median "$tmp/plain")
	fastlo=$(median "$tmp/fastlo")
	say "" "fastloctl list, while it ran (first lines):"
	head -n 11 "$tmp/list" 2>/dev/null || say "(no list could be taken)"
	say "" "redis GET, $CLIENTS clients, median of $ROUNDS rounds:"
	awk -v a="$plain" -v b="$fastlo" 'BEGIN {
		printf "  plain            %10.0f requests/s\n  fastloctl run    %10.0f requests/s\n  ratio            %10.2f\n",
			a, b, b / a }'
}

# "$tmp/ours" is what came while the demo ran and is not somebody else's: programs, maps and pins that
# our fastlod had when it was ready, and cgroups. Programs are freed a moment after their last user is gone.
verify_clean() {
	local i left
	for ((i = 0; i < 100; i++)); do
		left=$({ comm -12 "$tmp/ours" <(traces | sort); comm -13 "$tmp/before" <(traces | grep '^cgroup' | sort); })
		if [ -z "$left" ]; then
			say "" "Nothing is left: no process, pin, cgroup, BPF program or map."
			return 0
		fi
		sleep 0.1
	done
	printf 'demo: left behind:\n%s\n' "$left" >&2
	return 1
}

main() {
	preflight
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	tmp=$(mktemp -d)
	# The package redis-server would start a service; redis-tools has the same binary by another name.
	ln -s "$(command -v redis-check-rdb)" "$tmp/redis-server"
	[ -e /run/fastlo ] || run_dir_made=/run/fastlo
	traces | sort >"$tmp/before"

	start_daemon
	traces | sort | comm -13 "$tmp/before" - >"$tmp/ours"
	grep -q '^BPF program' "$tmp/ours" || fail "fastlod is ready, but has loaded no program"
	start_server plain
	start_server fastlo "$O/fastloctl" run --
	measure
	report
	stop_servers
	local status=0
	stop_daemon || status=$?
	[ -z "$run_dir_made" ] || rmdir "$run_dir_made" 2>/dev/null || :
	[ "$status" = 0 ] || { cat "$tmp/fastlod.log" >&2; fail "fastlod ended with status $status"; }
	verify_clean
}

main "$@"
