#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs the benchmark and draws it: BENCH=build/tests/bench/bench tests/bench/plots.sh OUT [options of bench]. TSV=file
# draws what an earlier run left (bench --tsv) instead of measuring. What bench-programs left in OUT is drawn, too.
set -eu

out=$1
here=$(dirname "$0")
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
note="Linux $(uname -r | sed 's/^\([0-9]*\.[0-9]*\).*/\1/'), $(uname -m), $(nproc) CPUs; medians, bars are quartiles"

# $1: the script, $2: the file's name, $3: its title, $4: what is better, $5: further variables of the script
draw() {
	for kind in svg png; do
		gnuplot -e "directory='$here'; data='$data'; file='$out/$2.$kind'; kind='$kind'" \
			-e "title='$3'; better='$4'; note='$note'; $5" "$here/$1.gnuplot"
	done
}

# Cells of one workload, a block per peer: x, ratio, its quartiles. $1: work, $2: cpus, $3: the column of x.
curves() {
	for peer in eager observed sockmap unix pipe; do
		echo "# $peer"
		awk -F '\t' -v work="$1" -v cpus="$2" -v peer="$peer" -v x="$3" '
			NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
			$at["work"] == work && $at["cpus"] == cpus && $at["polled"] == 1 && $at["slow"] == 0 &&
			$at["rcvbuf"] == 0 && $at["peer"] == peer && $at["ratio"] != "nan" {
				print $at[x], $at["ratio"], $at["ratio_low"], $at["ratio_high"]
			}' "$TSV" | sort -n
		printf '\n\n'
	done
}

# $1: the file's name, $2: title, $3: what is better, $4: label of x, $5: work, $6: cpus, $7: column of x
plot() {
	data=$out/$1.dat
	curves "$5" "$6" "$7" >"$data"
	ticks=$(awk 'NF == 4 { print $1 }' "$data" | sort -nu | tr '\n' ' ')
	[ -n "$ticks" ] || return 0 # not measured (--only)
	draw plot "$1" "$2" "$3" "label='$4'; ticks='$ticks'; height=460"
}

plot round_trip 'Round trip on one CPU' 'time; below 1 is better' 'bytes per message' round_trip one message
plot stream 'Stream on two CPUs' 'rate; above 1 is better' 'bytes per message' stream two message
plot connections 'Exchanges of 64 B over many connections (epoll)' 'rate; above 1 is better' 'connections' \
	epoll two connections
if [ -s "$out/programs.tsv" ]; then
	data=$out/programs.tsv
	rows=$(wc -l <"$data")
	draw programs programs 'Programs with a fastlo policy' 'speed beside plain TCP; above 1 is better' \
		"rows=$rows; height=$((120 + 20 * rows))"
fi
echo "bench-plots: $out/*.svg, $out/*.png"
