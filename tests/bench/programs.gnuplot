# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Real programs, a bar each: data (name, and of the speed beside plain: lower quartile, median, upper quartile), rows of
# it, file, kind, height, title, better, note. See plots.sh.
load directory.'/style.gnuplot'
set datafile separator '\t'
unset key
unset grid
set grid x linecolor '#e4e4e4' linetype 1
set border 1
set yrange [rows - 0.4:-0.6]
set xrange [0:*]
set ytics scale 0
set boxwidth 0.6
set style fill solid
set arrow from 1, graph 0 to 1, graph 1 nohead linestyle 9 front
plot data using ($3 / 2):0:($3 / 2):(0.3):ytic(1) with boxxyerror linecolor '#0072b2', \
	data using 3:0:2:4 with xerrorbars linecolor '#222222' linewidth 1.2 pointtype 0
