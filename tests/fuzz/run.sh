#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# O=build FUZZ_SECONDS=60 tests/fuzz/run.sh: each fuzzer for that long, from the kept corpus on. What is new is kept for
# this run only, KEEP=1 adds it to tests/fuzz/corpus (merged: what covers nothing new is left out).
set -u

O=${O:-build}
FUZZ_SECONDS=${FUZZ_SECONDS:-60}
here=$(dirname "$0")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0
failed=0

for name in config control; do
	mkdir "$work/$name"
	"$O/tests/fuzz/fuzz_$name" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=1024 -max_len=8192 \
		-artifact_prefix="$O/tests/fuzz/$name-" -print_final_stats=1 "$work/$name" "$here/corpus/$name" \
		>"$work/$name.log" 2>&1 &
	echo $! >"$work/$name.pid"
done
for name in config control; do
	if wait "$(cat "$work/$name.pid")"; then
		passed=$((passed + 1))
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
		echo "fuzz_$name: ${runs:-0} inputs in $FUZZ_SECONDS s, nothing found"
	else
		failed=$((failed + 1))
		cat "$work/$name.log"
		echo "fuzz_$name: failed, the input is in '$O/tests/fuzz/$name-*'"
	fi
	[ "${KEEP:-0}" = 1 ] && "$O/tests/fuzz/fuzz_$name" -merge=1 "$here/corpus/$name" "$work/$name" 2>/dev/null
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
