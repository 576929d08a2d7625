/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two-way streams whose every byte names its offset, of random sizes by random calls, over eager and
 * observed pairs of every address kind, between threads and between processes.
 */
#include <errno.h>
#include <string.h>

#include "torture.h"

#define ABREAST 2 /* pairs at a time: enough to keep two CPUs busy */
#define ROUND_BYTES (32ULL << 20) /* for each part of its share, of a scenario that goes by time */

static int run_pairs(const struct scenario *s, uint64_t per_direction, uint64_t seed, struct run *run)
{
	const struct stream *st = s->stream;
	struct pair p[ABREAST];
	struct traffic *t[ABREAST];
	int n, r = 0;

	for (n = 0; n < ABREAST && r == 0; n++) {
		struct traffic_opts o = { .bytes = per_direction, .seed = seed + n, .max_send = st->max_send,
					  .max_recv = st->max_recv, .flags = st->flags };

		r = pair_open(&p[n], st->kind, st->eager, st->eager);
		if (r < 0)
			break;
		p[n].seed = seed * 1000 + n * 2;
		r = (st->processes ? traffic_fork : traffic_start)(&t[n], &p[n], &o);
	}
	for (int i = 0; i < n; i++) {
		int e = traffic_stop(t[i]);

		if (e < 0) {
			fprintf(stderr, "%s: pair %d: %s\n", s->name, i, e == -EBADMSG ? "MISMATCH" : strerror(-e));
			pair_dump(stderr, &p[i]);
			r = e;
		}
		for (int side = 0; side < 2; side++) {
			run->moved += p[i].got[side];
			run->spliced += info(p[i].fd[side]).tx_spliced_bytes;
			run->tcp += info(p[i].fd[side]).tx_tcp_bytes;
		}
		pair_close(&p[i]);
	}
	return r;
}

int streams_run(const struct scenario *s, struct run *run)
{
	uint64_t bytes = (run->bytes ? run->bytes : ROUND_BYTES * s->share) + (1 << 20);
	uint64_t per_direction = bytes / s->stream->pairs / 2;
	int rounds = s->stream->pairs / ABREAST, r = 0;

	if (per_direction < 4096)
		per_direction = 4096;
	for (int i = 0; r == 0 && (run->bytes ? i < rounds : now_ms() < run->until); i++)
		r = run_pairs(s, per_direction, run->seed * 100003 + i * ABREAST, run);
	if (r < 0 || env.plain)
		return r;
	if (!s->stream->tcp_only && !run->spliced)
		return run_fail(run, "nothing was spliced");
	if (run->spliced + run->tcp != run->moved)
		return run_fail(run, "the counters do not add up: spliced %llu + tcp %llu, received %llu",
				(unsigned long long)run->spliced, (unsigned long long)run->tcp,
				(unsigned long long)run->moved);
	return 0;
}
