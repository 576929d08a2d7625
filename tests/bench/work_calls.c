/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Latency at a fixed rate, and the time of a setsockopt(2). A late answer delays the requests behind it, and
 * they count from when they were due: otherwise a stall would be one bad value, not many.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "bench.h"

static bool rate_client(struct run *r)
{
	const struct connection *c = &r->conns[0];
	double due = r->start, n = 0;

	for (; due < r->until; n++, due = r->start + n / r->cell->rate) {
		while (now() < due)
			;
		if (!put(r->cell, c->out[CLIENT], r->mem, r->cell->msg) ||
		    !get(r->cell, c->in[CLIENT], r->mem, r->cell->msg))
			return false;
		hist_add(&r->sample->hist, (uint64_t)((now() - due) * 1e9));
	}
	r->sample->messages = n;
	r->sample->bytes = n * r->cell->msg;
	r->sample->value = hist_percentile(&r->sample->hist, 50);
	return true;
}

static void rate_server(struct run *r)
{
	round_trip_ops.server(r);
}

const struct work_ops rate_ops = { .server = rate_server, .client = rate_client };

static bool setsockopt_client(struct run *r)
{
	double n = 0, took;
	int on = 1;

	do {
		for (int i = 0; i < 64; i++)
			setsockopt(r->conns[0].out[CLIENT], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		n += 64;
		took = now() - r->start;
	} while (r->start + took < r->until);
	r->sample->messages = n;
	r->sample->bytes = n * sizeof(on);
	r->sample->value = took / n * 1e9;
	return true;
}

const struct work_ops setsockopt_ops = { .server = rate_server, .client = setsockopt_client };
