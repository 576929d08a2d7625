# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What all plots share: paper, colours that the colour-blind can tell apart, the title with what is better.
if (kind eq 'svg') { set terminal svg size 860,height font 'Helvetica,Arial,sans-serif' background 'white' enhanced } \
else { set terminal pngcairo size 860,height font 'sans,11' enhanced }
set output file
set title sprintf("{/:Bold %s}\n{/*0.9 %s}", title, better) offset 0, 0.3
set label 1 note at screen 0.99, screen 0.025 right font ',9' textcolor '#888888' noenhanced
set border 3 linecolor '#888888'
set tics nomirror textcolor '#444444'
set grid y linecolor '#e4e4e4' linetype 1
set errorbars small
set bmargin 5
set style line 1 linecolor '#d55e00' linewidth 2.2 pointtype 7 pointsize 0.6
set style line 2 linecolor '#0072b2' linewidth 2.2 pointtype 7 pointsize 0.6
set style line 3 linecolor '#999999' linewidth 1.2 pointtype 5 pointsize 0.5
set style line 4 linecolor '#009e73' linewidth 1.2 pointtype 9 pointsize 0.6
set style line 5 linecolor '#cc79a7' linewidth 1.2 pointtype 13 pointsize 0.6
set style line 9 linecolor '#222222' linewidth 1.6 dashtype 2
