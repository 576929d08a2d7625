/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Samples to medians and ratios, and these as tables for people. A ratio is the median of the ratios of single
 * rounds: two samples of one round met about the same machine, two medians may not have.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static double value_of(const struct sample *s, enum metric m)
{
	if (s->error)
		return NAN;
	if (m == VALUE)
		return s->value;
	if (!s->messages)
		return NAN;
	return ((m != CPU_SERVER ? s->cpu[CLIENT] : 0) + (m != CPU_CLIENT ? s->cpu[SERVER] : 0)) / s->messages * 1e6;
}

struct summary summarize(const struct result *r, enum peer peer, enum peer base, enum metric m, int rounds)
{
	double values[MAX_ROUNDS], ratios[MAX_ROUNDS];
	struct summary s;

	for (int i = 0; i < rounds; i++) {
		double own = r->at[peer] ? value_of(&r->at[peer][i], m) : NAN;
		double other = r->at[base] ? value_of(&r->at[base][i], m) : NAN;

		values[i] = own;
		ratios[i] = other > 0 ? own / other : NAN;
	}
	s.median = quantile(values, rounds, 0.5);
	s.low = quantile(values, rounds, 0.25);
	s.high = quantile(values, rounds, 0.75);
	s.ratio = quantile(ratios, rounds, 0.5);
	s.ratio_low = quantile(ratios, rounds, 0.25);
	s.ratio_high = quantile(ratios, rounds, 0.75);
	return s;
}

double spliced_share(const struct result *r, enum peer peer)
{
	double shares[MAX_ROUNDS];

	for (int i = 0; i < opt.rounds; i++)
		shares[i] = r->at[peer] && !r->at[peer][i].error ? r->at[peer][i].spliced : NAN;
	return quantile(shares, opt.rounds, 0.5);
}

void report_head(enum metric m)
{
	static const char *const titles[METRICS] = {
		"medians; then ratio to tcp [quartiles]", "CPU of the client (sender), us per message; ratios",
		"CPU of the server (reader), us per message; ratios", "CPU of both, us per message; ratios",
	};

	printf("\n%-46s %9s %-6s", titles[m], "tcp", "");
	for (int p = TCP + 1; p < PEERS; p++)
		if (opt.peer[p])
			printf("  %-16s", peer_names[p]);
	puts(m == VALUE ? " spliced eager/observed" : "");
}

void report_row(const struct cell *c, const struct result *r, enum metric m)
{
	struct summary s = summarize(r, TCP, TCP, m, opt.rounds);

	printf("%-46s %9.3f %-6s", c->name, s.median, m == VALUE ? c->unit : "us");
	for (int p = TCP + 1; p < PEERS; p++) {
		char text[48];

		if (!opt.peer[p])
			continue;
		s = summarize(r, p, TCP, m, opt.rounds);
		if (isnan(s.ratio))
			strcpy(text, "-");
		else
			snprintf(text, sizeof(text), "%.2f [%.2f-%.2f]", s.ratio, s.ratio_low, s.ratio_high);
		printf("  %-16s", text);
	}
	for (int p = EAGER; p <= OBSERVED && m == VALUE; p++)
		if (opt.peer[p] && !isnan(spliced_share(r, p)))
			printf(" %4.0f%%", 100 * spliced_share(r, p));
	putchar('\n');
	fflush(stdout);
}

/* Each round beside the same round of the same peer without a crowd: its time, and what both ends used. */
static void report_crowd(const struct cell *c, const struct result *r, const struct result *alone, enum peer p)
{
	double took[MAX_ROUNDS], cpu[MAX_ROUNDS];

	for (int k = 0; k < opt.rounds; k++) {
		took[k] = value_of(&r->at[p][k], VALUE) / value_of(&alone->at[p][k], VALUE);
		cpu[k] = value_of(&r->at[p][k], CPU_BOTH) / value_of(&alone->at[p][k], CPU_BOTH);
	}
	printf("%6d %-39s %.3f [%.3f-%.3f]  %.3f [%.3f-%.3f]\n", c->others, peer_names[p],
	       quantile(took, opt.rounds, 0.5), quantile(took, opt.rounds, 0.25), quantile(took, opt.rounds, 0.75),
	       quantile(cpu, opt.rounds, 0.5), quantile(cpu, opt.rounds, 0.25), quantile(cpu, opt.rounds, 0.75));
}

void report_crowded(const struct cell *cells, const struct result *results, int n)
{
	const struct result *alone = NULL;

	for (int i = 0; i < n; i++) {
		if (cells[i].work != CROWDED)
			continue;
		if (!alone) {
			printf("\n%-46s %-20s CPU of both ends\n", "with so many others open, beside none", "time");
			alone = &results[i];
			continue;
		}
		for (int p = TCP; p < PEERS; p++)
			if (results[i].at[p])
				report_crowd(&cells[i], &results[i], alone, p);
	}
}

struct hist *result_hist(const struct result *r, enum peer peer)
{
	struct hist *all = calloc(1, sizeof(*all));

	for (int i = 0; i < opt.rounds && r->at[peer]; i++)
		for (int b = 0; b < HIST_BUCKETS && !r->at[peer][i].error; b++)
			all->count[b] += r->at[peer][i].hist.count[b];
	return all;
}

void report_percentiles(const struct cell *c, const struct result *r)
{
	if (c->work != RATE)
		return;
	printf("\n%-46s %9s %9s %9s %9s  us, of all rounds\n", c->name, "p50", "p90", "p99", "p99.9");
	for (int p = 0; p < PEERS; p++) {
		struct hist *h = result_hist(r, p);

		if (r->at[p])
			printf("  %-44s %9.1f %9.1f %9.1f %9.1f\n", peer_names[p], hist_percentile(h, 50),
			       hist_percentile(h, 90), hist_percentile(h, 99), hist_percentile(h, 99.9));
		free(h);
	}
}
