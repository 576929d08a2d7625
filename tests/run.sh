#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs suites: O=build tests/run.sh unit fuzz integration conformance torture. Every program of a suite runs to its end, its
# output is shown, and the last line says `N passed, N failed, N skipped`. STRICT=1: a skip fails.
# TORTURE_ARGS (--bytes 10G --seconds 6), TIMEOUT (seconds per program, 600), ONLY (a program's name) change what is run.
set -u

O=${O:-build}
STRICT=${STRICT:-0}
TIMEOUT=${TIMEOUT:-600}
passed=0
failed=0
skipped=0
bad=
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

# Sums what a program said about its tests: cmocka's lines, or "N passed, N failed, N skipped".
count() {
	awk '
	/^\[  PASSED  \] [0-9]+ test/ { p += $4 }
	/^\[  FAILED  \] [0-9]+ test/ { f += $4 }
	/^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
	/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
	END { print p + 0, f + 0, s + 0 }' "$log"
}

# A program that failed without saying which test did is a failure of its own.
run() {
	program=$1
	shift
	[ -n "${ONLY:-}" ] && [ "$ONLY" != "${program##*/}" ] && return
	echo "== ${program#"$O"/tests/}"
	{
		timeout -k 60 "$TIMEOUT" "$program" "$@" 2>&1
		echo $? >"$log.rc"
	} | tee "$log"
	rc=$(cat "$log.rc")
	rm -f "$log.rc"
	# shellcheck disable=SC2046
	set -- $(count)
	[ "$rc" -eq 124 ] && echo "$program: still running after $TIMEOUT s"
	if [ "$rc" -ne 0 ] && [ "$2" -eq 0 ]; then
		echo "$program: exit $rc"
		set -- "$1" 1 "$3"
	fi
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
	[ "$2" -gt 0 ] && bad="$bad ${program##*/}"
}

suite() {
	any=
	for program in "$O/tests/$1"/test_*; do
		case $program in *.o | *.d) continue ;; esac
		[ -x "$program" ] || continue
		any=1
		run "$program"
	done
	if [ -z "$any" ]; then
		echo "no programs in '$O/tests/$1' (run 'make tests' first)"
		failed=$((failed + 1))
		bad="$bad $1"
	fi
}

[ $# -gt 0 ] || set -- unit fuzz integration conformance vm torture
for name; do
	case $name in
	unit | integration) suite "$name" ;;
	fuzz) FUZZ_SECONDS=${FUZZ_SECONDS:-30} run "${0%/*}/fuzz/run.sh" ;;
	conformance) run "$O/tests/conformance/conformance" ;;
	vm) O=$O run tests/vm/smoke.sh ;;
	# shellcheck disable=SC2086
	torture) run "$O/tests/torture/torture" ${TORTURE_ARGS:---bytes 10G --seconds 6} ;;
	*)
		echo "run.sh: no suite '$name' (unit, fuzz, integration, conformance, vm or torture)" >&2
		exit 1
		;;
	esac
done

[ -n "$bad" ] && echo "failed:$bad"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$STRICT" = 1 ] && [ "$skipped" -gt 0 ] && exit 1
exit 0
