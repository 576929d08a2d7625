/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlod killed under traffic and followed by another one: a copy of its binary, one whose sk_msg code is another
 * (nothing ever fits into a receive buffer: see NEXT in the Makefile), and one of another ABI, which drains what it
 * finds.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chaos.h"

static char own_bin[512];
static unsigned int n_copies, n_other;

static int begin(struct chaos *c)
{
	snprintf(own_bin, sizeof(own_bin), "%s", env.bin);
	n_copies = n_other = 0;
	return chaos_with_fastlod(c);
}

static void end(struct chaos *c)
{
	(void)c;
	snprintf(env.bin, sizeof(env.bin), "%s", own_bin);
}

/* From now on, bin's; other builds have no fastloctl of their own, so env.bin goes back at once. */
static int replace(struct chaos *c, const char *bin)
{
	char link[64], exe[PATH_MAX], want[600];
	ssize_t n;
	int r;

	if (env_kill() < 0)
		return run_fail(c->run, "fastlod was not there to be killed");
	snprintf(env.bin, sizeof(env.bin), "%s", bin);
	r = chaos_start(c);
	end(c);
	if (r < 0)
		return r;
	c->run->injected++;
	snprintf(link, sizeof(link), "/proc/%d/exe", env_daemon());
	snprintf(want, sizeof(want), "%s/fastlod", bin);
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n < 0 || (size_t)n != strlen(want) || strncmp(exe, want, n) != 0)
		return run_fail(c->run, "the other binary does not run");
	return 0;
}

static int upgraded_begin(struct chaos *c)
{
	char command[1400];
	int r = begin(c);

	snprintf(command, sizeof(command), "install -D -t '%s/copy' '%s/fastlod'", env.dir, env.bin);
	return r == 0 && system(command) != 0 ? -EIO : r;
}

static uint64_t resident_spliced(const struct chaos *c)
{
	uint64_t sum = 0;

	for (int i = 0; i < CHAOS_RESIDENTS; i++)
		sum += spliced(c->crowd[i].pair.fd[CLIENT]) + spliced(c->crowd[i].pair.fd[SERVER]);
	return sum;
}

/* The other code lets nothing through; the own one again, from the same books. */
static int upgraded_step(struct chaos *c)
{
	char bin[600];
	uint64_t before;
	int r;

	snprintf(bin, sizeof(bin), "%s/copy", env.dir);
	r = replace(c, bin);
	n_copies += r == 0;
	if (r == 0)
		r = chaos_grow(c);
	if (r < 0)
		return r;
	snprintf(bin, sizeof(bin), "%.480s/next/code", own_bin);
	r = replace(c, bin);
	before = resident_spliced(c);
	if (r == 0)
		r = chaos_pause(c, 100 + rnd(&c->rnd) % 100);
	if (r == 0 && resident_spliced(c) != before)
		return run_fail(c->run, "the other code was not run");
	n_other += r == 0;
	if (r == 0)
		r = replace(c, own_bin);
	return r == 0 ? chaos_grow(c) : r;
}

static int upgraded_proof(struct chaos *c)
{
	snprintf(c->run->note, sizeof(c->run->note), ", %u times a copy, %u times other code", n_copies, n_other);
	return n_other ? 0 : run_fail(c->run, "never upgraded");
}

const struct disturbance disturb_upgraded = {
	.guests = 1, .begin = upgraded_begin, .step = upgraded_step, .proof = upgraded_proof, .end = end,
};

static int abi_step(struct chaos *c)
{
	char bin[600];
	int r;

	snprintf(bin, sizeof(bin), "%.480s/next/abi", own_bin);
	r = replace(c, bin);
	if (r == 0)
		r = chaos_grow(c);
	if (r == 0)
		r = replace(c, own_bin);
	n_other += r == 0;
	return r == 0 ? chaos_grow(c) : r;
}

static int abi_proof(struct chaos *c)
{
	snprintf(c->run->note, sizeof(c->run->note), ", %u times another ABI and back", n_other);
	return n_other ? 0 : run_fail(c->run, "never upgraded");
}

/* The slots and their counters go with the pins, and so does what was opted in by setsockopt. */
const struct disturbance disturb_other_abi = {
	.guests = 1, .nobody_opts_in = true, .forgetful = true, .begin = begin, .step = abi_step, .proof = abi_proof,
	.end = end,
};
