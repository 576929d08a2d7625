/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a running fastlod costs those that did not opt in: TCP sockets of a cgroup that it serves, and unix
 * sockets, with it and without, turn by turn. The same workers take both, so only fastlod differs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define KINDS_OF 2
static const enum peer peers[KINDS_OF] = { SERVED, UNIX };
static const char *const names[KINDS_OF] = { "TCP", "AF_UNIX" };

static int turn(struct result *results, int n, int round, bool with)
{
	int r = with ? env_restart() : env_sigterm_and_wait();

	for (int i = 0; i < n * KINDS_OF && r >= 0; i++) {
		/* without fastlod it is plain TCP, the base of the ratio */
		struct sample *s = &results[i].at[with ? SERVED : TCP][round];

		r = worker_sample(peers[i % KINDS_OF], i / KINDS_OF, s);
		s->error = r;
	}
	return r < 0 ? r : 0;
}

static void show(struct cell c, const struct result *r, int kind)
{
	struct summary without = summarize(r, TCP, TCP, VALUE, opt.rounds);
	struct summary with = summarize(r, SERVED, TCP, VALUE, opt.rounds);

	printf("%-40s %-8s %9.2f %9.2f %-6s %5.3f [%.3f-%.3f]\n", c.name, names[kind], without.median, with.median,
	       c.unit, with.ratio, with.ratio_low, with.ratio_high);
}

int bystanders_run(const struct cell *cells, int n, struct json_object *all, FILE *tsv)
{
	struct result *results = calloc(n * KINDS_OF, sizeof(*results));
	int r = 0;

	for (int i = 0; i < n * KINDS_OF; i++) {
		results[i].at[TCP] = calloc(opt.rounds, sizeof(struct sample));
		results[i].at[SERVED] = calloc(opt.rounds, sizeof(struct sample));
	}
	for (int k = 0; k < KINDS_OF && r == 0; k++)
		r = worker_start(peers[k], cells);
	for (int i = 0; i < 2 * opt.rounds && r == 0; i++)
		r = turn(results, n, i / 2, i % 2);
	if (r < 0)
		fprintf(stderr, "bench: bystanders: %s\n", strerror(-r));
	if (!opt.json && r == 0)
		printf("\n%-49s %9s %9s %-6s ratio [quartiles]\n", "bystanders, medians", "without", "fastlod", "");
	for (int i = 0; i < n * KINDS_OF; i++) {
		struct cell c = cells[i / KINDS_OF];

		snprintf(c.name, sizeof(c.name), "%.55s, %s", cells[i / KINDS_OF].name, names[i % KINDS_OF]);
		if (!opt.json && r == 0)
			show(cells[i / KINDS_OF], &results[i], i % KINDS_OF);
		if (r == 0) {
			json_object_array_add(all, json_cell(&c, &results[i]));
			tsv_cell(tsv, &c, &results[i]);
		}
		free(results[i].at[TCP]);
		free(results[i].at[SERVED]);
	}
	for (int k = 0; k < KINDS_OF; k++)
		worker_stop(peers[k]);
	free(results);
	return r;
}
