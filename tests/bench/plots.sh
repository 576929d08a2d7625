#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs the benchmark and draws it: BENCH=build/tests/bench/bench tests/bench/plots.sh OUT [options of bench]. TSV=file
# draws what an earlier run left (bench --tsv) instead of measuring.
set -eu

out=$1
shift
command -v gnuplot >/dev/null || {
	echo "bench-plots: no gnuplot here (Debian: apt-get install gnuplot-nox)" >&2
	exit 1
}
mkdir -p "$out"
if [ -z "${TSV:-}" ]; then
	TSV=$out/bench.tsv
	"$BENCH" --tsv "$TSV" "$@"
fi

# A file per curve: cells of one workload, one peer. $1: work, $2: cpus, $3: polled, $4: slow, $5: fixed buffer,
# $6: the peer, $7: the column of x.
curve() {
	awk -F '\t' -v work="$1" -v cpus="$2" -v polled="$3" -v slow="$4" -v fixed="$5" -v peer="$6" -v x="$7" '
		NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		$at["work"] == work && $at["cpus"] == cpus && $at["polled"] == polled && $at["slow"] == slow &&
		($at["rcvbuf"] > 0) == fixed && $at["peer"] == peer && $at["ratio"] != "nan" {
			print $at[x], $at["ratio"], $at["ratio_low"], $at["ratio_high"]
		}' "$TSV" | sort -n
}

# $1: the file's name, $2: its title, $3: x's label, the rest as for curve, without the peer.
plot() {
	name=$1 title=$2 label=$3 work=$4 cpus=$5 polled=$6 slow=$7 fixed=$8 x=$9
	data=$out/$name.dat
	for peer in tcp eager observed sockmap unix pipe; do
		echo "$peer"
		curve "$work" "$cpus" "$polled" "$slow" "$fixed" "$peer" "$x"
		printf '\n\n'
	done >"$data"
	for kind in svg png; do
		gnuplot -e "data='$data'; file='$out/$name.$kind'; kind='$kind'; title='$title'; label='$label'" \
			"$(dirname "$0")/plot.gnuplot"
	done
}

plot round_trip 'Round trip, one CPU, time relative to TCP (below 1 is better)' 'bytes per message' \
	round_trip one 1 0 0 message
plot stream 'Stream, two CPUs, rate relative to TCP (above 1 is better)' 'bytes per message' \
	stream two 1 0 0 message
plot slow_reader 'Stream to a slow reader, two CPUs, rate relative to TCP (above 1 is better)' 'bytes per message' \
	stream two 1 1 0 message
plot connections 'Exchanges of 64 B on epoll, two CPUs, rate relative to TCP (above 1 is better)' 'connections' \
	epoll two 1 0 0 connections
echo "bench-plots: $out/*.svg, $out/*.png"
