# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One plot: data (a block per peer, its name first), file, kind (svg or png), title, label. See plots.sh.
if (kind eq 'svg') { set terminal svg size 720,400 font 'sans,12' } else { set terminal png size 720,400 }
set output file
set title title noenhanced
set xlabel label
set logscale x 2
set format x '%.0f'
set xtics rotate by -30
set yrange [0:*]
set grid y
set key outside right
stats data using 1 nooutput
peers = 'tcp eager observed sockmap unix pipe'
plot for [i = 0:5] data index i using 1:2:3:4 with yerrorlines pointtype 7 pointsize 0.5 \
	linecolor i + 1 title word(peers, i + 1)
