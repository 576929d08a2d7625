/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * No room: a table that is full, and an event ring that is, so that fastlod hears of nothing until its next sweep.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chaos.h"

/* ---- the table */

/* The lasting pairs hold three slots, the guests want four and find one. */
static int full_step(struct chaos *c)
{
	return chaos_grow(c);
}

static int full_proof(struct chaos *c)
{
	int r = run_counted(c->run, "reasons.table_full");

	if (!env.plain)
		c->run->injected = env_stat("reasons.table_full");
	if (r == 0)
		r = run_counted(c->run, "pairs");
	if (r == 0 && !env.plain && c->guests_spliced == 0)
		return run_fail(c->run, "no guest ever got the free slot");
	return r;
}

const struct disturbance disturb_full = { .guests = 4, .step = full_step, .proof = full_proof };

/* ---- the ring */

#define FILL_MAX 100000

static uint64_t lost;
static int n_full;
static bool stopped;

static int ring_begin(struct chaos *c)
{
	lost = 0;
	n_full = 0;
	stopped = false;
	return chaos_with_fastlod(c);
}

/* Before the first guest of a round comes: fastlod stands still, and cgroups that come and go fill the ring. */
static int ring_fill(struct chaos *c)
{
	int64_t before = table_lost_events();
	char dir[400];

	if (stopped || c->opened < CHAOS_LASTING)
		return 0;
	if (before < 0 || kill(env_daemon(), SIGSTOP) < 0)
		return run_fail(c->run, "cannot stop fastlod");
	stopped = true;
	snprintf(dir, sizeof(dir), "%s/fill", env.cgroup);
	for (int i = 0; i < FILL_MAX && table_lost_events() == before; i++)
		if (mkdir(dir, 0755) < 0 || rmdir(dir) < 0)
			return -errno;
	if (table_lost_events() == before)
		return run_fail(c->run, "the ring never filled");
	c->run->injected++;
	return 0;
}

static bool guests_spliced(struct chaos *c)
{
	for (int i = CHAOS_LASTING; i < CHAOS_MAX; i++)
		for (int side = 0; side < 2 && c->crowd[i].traffic; side++)
			if (!spliced(c->crowd[i].pair.fd[side]))
				return false;
	return true;
}

/* What the guests had to say is lost; fastlod goes on, and finds them all the same. */
static int ring_step(struct chaos *c)
{
	int64_t until = now_ms() + 6 * PATIENCE_MS;
	int r = 0;

	if (!stopped)
		return chaos_grow(c);
	r = chaos_pause(c, 500);
	lost = table_lost_events();
	kill(env_daemon(), SIGCONT);
	stopped = false;
	while (r == 0 && !guests_spliced(c))
		r = now_ms() < until ? chaos_pause(c, 10) : run_fail(c->run, "no sweep found the guests");
	n_full += r == 0;
	return r == 0 ? chaos_grow(c) : r;
}

static int ring_proof(struct chaos *c)
{
	snprintf(c->run->note, sizeof(c->run->note), ", ring full %d times, %llu events lost", n_full,
		 (unsigned long long)lost);
	return n_full ? 0 : run_fail(c->run, "the ring was never full");
}

static void ring_end(struct chaos *c)
{
	(void)c;
	if (stopped)
		kill(env_daemon(), SIGCONT);
}

const struct disturbance disturb_ring = {
	.guests = 2, .begin = ring_begin, .enter = ring_fill, .step = ring_step, .proof = ring_proof, .end = ring_end,
};
