/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A stream whose reader never catches up, or that a filter keeps on TCP, leaves the sockmap, where it would be slower
 * than plain TCP, and is taken back in after a pause. Every byte is verified on the way out and back.
 */
#include "check.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#include "filter.h"
#include "rules.h"

#define MSG 60000
#define BULK_PATIENCE_MS 10000 /* the pause is 1 s, the sweep that ends it comes within another */
#define BULK_BYTES (64 << 20)	/* far more than it takes */

static void never_caught_up(void **state)
{
	int64_t deadline;
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	/* what the buffer does not take goes over TCP; from there on one message is always unread */
	ok(pair_fill(&p, CLIENT, MSG));
	ok(pair_recv(&p, CLIENT, p.sent[CLIENT] - p.got[CLIENT] - MSG));
	for (uint64_t sent = 0; sent < BULK_BYTES; sent += MSG) {
		ok(pair_send(&p, CLIENT, MSG));
		ok(pair_recv(&p, CLIENT, MSG));
		if (info(p.fd[CLIENT]).reason == FL_R_BULK)
			break;
	}
	expect_reason(p.fd[CLIENT], FL_R_BULK);
	expect_state(p.fd[CLIENT], FASTLO_STATE_TCP);
	expect_state(p.fd[SERVER], FASTLO_STATE_TCP);
	ok(pair_drain(&p, CLIENT));
	/* it goes on, and comes back */
	deadline = now_ms() + BULK_PATIENCE_MS;
	while (info(p.fd[CLIENT]).state == FASTLO_STATE_TCP && tick(deadline))
		ok(pair_pingpong(&p, 1, 100));
	ok(pair_warm(&p));
	pair_close(&p);
}

/* The same behind a filter that stays: it says which, and comes back when that is gone. */
static void filtered(void **state)
{
	int dir = open(env.app, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct probe probe;
	int64_t deadline;
	struct pair p;

	(void)state;
	ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	ok(bpf_prog_attach(probe.prog, dir, BPF_CGROUP_INET_EGRESS, BPF_F_ALLOW_MULTI));
	for (int i = 0; i < FL_DEBT_FILTERED / FL_DEBT_SHARE && info(p.fd[CLIENT]).state != FASTLO_STATE_TCP; i += 1000)
		ok(pair_pump(&p, CLIENT, 1000 * 100, 100));
	expect_state(p.fd[CLIENT], FASTLO_STATE_TCP);
	expect_reason(p.fd[CLIENT], FL_R_CGROUP_FILTER);
	ok(bpf_prog_detach2(probe.prog, dir, BPF_CGROUP_INET_EGRESS));
	deadline = now_ms() + BULK_PATIENCE_MS;
	while (info(p.fd[CLIENT]).state == FASTLO_STATE_TCP && tick(deadline))
		ok(pair_pingpong(&p, 1, 100));
	ok(pair_warm(&p));
	pair_close(&p);
	probe_close(&probe);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_caught_up),
		cmocka_unit_test(filtered),
	};

	return run_group(tests, group_up, group_down);
}
