# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One plot of ratios to TCP: data (a block per peer, after its name), file, kind (svg or png), height, title, better,
# label (of x), ticks (on x), note. See plots.sh.
load directory.'/style.gnuplot'
set xlabel label offset 0, -0.3
set logscale x 2
size(n) = n % 1048576 == 0 ? sprintf('%d M', n / 1048576) : n % 1024 == 0 ? sprintf('%d K', n / 1024) : sprintf('%d', n)
set xtics ()
set for [n in ticks] xtics add (size(int(n)) int(n))
set offsets graph 0.03, graph 0.03, graph 0.03, graph 0.03
# twice as fast and half as fast are as far from 1
set logscale y 2
set autoscale yfix
set ytics (0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8)
set ylabel 'ratio to TCP'
set key outside right center spacing 1.4 samplen 2
dodge = words(ticks) > 6 ? 0.12 : 0.2 # in powers of two
peers = 'eager observed sockmap unix pipe'
names = "'fastlo, eager' 'fastlo, observed' 'textbook sockmap' 'AF\\_UNIX' 'pipe'"
# side by side, so that one's quartiles do not hide another's
plot 1 title 'TCP' with lines linestyle 9, \
	for [i = 1:5] data index word(peers, i) using ($1 * 2 ** ((i - 3) * dodge)):2:3:4 \
		title word(names, i) with yerrorlines linestyle i
