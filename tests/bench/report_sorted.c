/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where fastlo loses: every cell's ratio to TCP, the worst first. A cell counts as lost if the median is beyond the
 * tolerance, and for certain if the quartile on the good side is, too.
 */
#include <math.h>
#include <stdlib.h>

#include "bench.h"

#define TOLERANCE 0.02

struct row {
	const struct cell *cell;
	struct summary s, cpu;
	enum peer peer;
	double gain, gain_best; /* above 1 is better, for a time as for a rate */
	double spliced;
};

static int by_gain(const void *a, const void *b)
{
	double x = ((const struct row *)a)->gain, y = ((const struct row *)b)->gain;

	return x < y ? -1 : x > y;
}

static double gain(const struct cell *c, double ratio)
{
	return c->more_is_better ? ratio : 2 - ratio; /* 1.02 of a time is as far off as 0.98 of a rate */
}

static const char *word(const struct row *r)
{
	if (r->gain >= 1 - TOLERANCE)
		return "";
	return r->gain_best < 1 - TOLERANCE ? "LOSES" : "loses?";
}

void report_sorted(const struct cell *cells, const struct result *results, int n)
{
	struct row *rows = calloc(n * 2, sizeof(*rows));
	int have = 0, lost = 0;

	for (int i = 0; i < n; i++)
		for (int p = EAGER; p <= OBSERVED; p++) {
			struct row r = { .cell = &cells[i], .peer = p };

			r.s = summarize(&results[i], p, TCP, VALUE, opt.rounds);
			if (isnan(r.s.ratio))
				continue;
			r.cpu = summarize(&results[i], p, TCP, CPU_BOTH, opt.rounds);
			r.gain = gain(r.cell, r.s.ratio);
			r.gain_best = gain(r.cell, r.cell->more_is_better ? r.s.ratio_high : r.s.ratio_low);
			r.spliced = spliced_share(&results[i], p);
			rows[have++] = r;
		}
	qsort(rows, have, sizeof(*rows), by_gain);
	printf("%-52s %-9s %-18s %-6s  CPU of both ends  spliced\n", "the worst first", "peer", "ratio to tcp", "unit");
	for (int i = 0; i < have; i++) {
		const struct row *r = &rows[i];
		char ratio[48], cpu[48], share[8] = "-";

		snprintf(ratio, sizeof(ratio), "%.2f [%.2f-%.2f]", r->s.ratio, r->s.ratio_low, r->s.ratio_high);
		snprintf(cpu, sizeof(cpu), "%.2f [%.2f-%.2f]", r->cpu.ratio, r->cpu.ratio_low, r->cpu.ratio_high);
		if (!isnan(r->spliced))
			snprintf(share, sizeof(share), "%.0f%%", 100 * r->spliced);
		lost += r->gain < 1 - TOLERANCE;
		printf("%-52s %-9s %-18s %-6s  %-16s  %5s  %s\n", r->cell->name, peer_names[r->peer], ratio,
		       r->cell->unit, cpu, share, word(r));
	}
	printf("%d of %d lose: below %.2f of TCP (a rate) or above %.2f (a time); loses?: by the median, not by both\n"
	       "quartiles\n", lost, have, 1 - TOLERANCE, 1 + TOLERANCE);
	free(rows);
}
