/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Quantiles of a few rounds, and a histogram of latencies whose buckets are 3 % wide at any magnitude.
 */
#include <math.h>
#include <stdlib.h>

#include "bench.h"

#define SUB_BITS 5

static int bucket_of(uint64_t ns)
{
	int top;

	if (ns < 1 << SUB_BITS)
		return (int)ns;
	top = 63 - __builtin_clzll(ns);
	return ((top - SUB_BITS + 1) << SUB_BITS) + (int)(ns >> (top - SUB_BITS) & ((1 << SUB_BITS) - 1));
}

/* The middle of a bucket. */
static double ns_of(int bucket)
{
	int row = bucket >> SUB_BITS, sub = bucket & ((1 << SUB_BITS) - 1);

	return row == 0 ? sub : ldexp((1 << SUB_BITS) + sub + 0.5, row - 1);
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->count[bucket_of(ns)]++;
}

double hist_percentile(const struct hist *h, double percent)
{
	double all = 0, seen = 0;

	for (int i = 0; i < HIST_BUCKETS; i++)
		all += h->count[i];
	for (int i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (h->count[i] && seen >= all * percent / 100)
			return ns_of(i) / 1000;
	}
	return NAN;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double quantile(double *values, int n, double q)
{
	int have = 0, low;
	double at;

	for (int i = 0; i < n; i++)
		if (!isnan(values[i]))
			values[have++] = values[i];
	if (!have)
		return NAN;
	qsort(values, have, sizeof(*values), by_value);
	at = q * (have - 1);
	low = (int)at;
	return low + 1 < have ? values[low] + (at - low) * (values[low + 1] - values[low]) : values[low];
}
