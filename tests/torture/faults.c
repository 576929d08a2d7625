/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One row for each disturbance: how often it happened, what was verified meanwhile, what was noticed. Markdown, as in
 * docs/FAULTS.md. The first row, "undisturbed", is what the machine does to the same traffic by itself.
 */
#include "chaos.h"

#define ROWS_MAX 32

static struct {
	const char *name;
	struct run run;
} rows[ROWS_MAX];
static int n_rows;

void faults_add(const struct scenario *s, const struct run *run)
{
	if (!s->disturbance || n_rows == ROWS_MAX)
		return;
	rows[n_rows].name = s->name;
	rows[n_rows++].run = *run;
}

void faults_print(void)
{
	if (!n_rows)
		return;
	printf("\n| %-14s | %8s | %12s | %10s | %6s | %6s | %16s |\n", "fault", "injected", "MiB verified", "bytes lost",
	       "resets", "errors", "longest pause ms");
	printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
	for (int i = 0; i < n_rows; i++) {
		const struct run *r = &rows[i].run;

		printf("| %-14s | %8u | %12.0f | %10llu | %6llu | %6llu | %16.1f |\n", rows[i].name, r->injected,
		       r->moved / 1048576.0, (unsigned long long)r->tally.lost, (unsigned long long)r->tally.resets,
		       (unsigned long long)r->tally.errors, r->tally.pause_ns / 1e6);
	}
	printf("\n");
}
