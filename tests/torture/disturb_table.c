/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What fastlod is told, and how much room it has: policies that come and go under pairs that live on them, and
 * a table that is full.
 */
#include <errno.h>
#include <stdlib.h>

#include "chaos.h"

/* "torture" is what the residents live on; a bystander changes nothing for them. */
static int policy(struct chaos *c, bool add, bool bystander)
{
	static char *const engage[] = { (char *)"eager", (char *)"observed" };
	static char *const blocking[] = { (char *)"allow", (char *)"refuse" };
	char *name = (char *)(bystander ? "bystander" : "torture");
	int r;

	if (env.plain)
		return 0;
	if (!add)
		r = env_ctl(NULL, "policy", "remove", name, NULL);
	else if (bystander)
		r = env_ctl(NULL, "policy", "add", name, "--port", "9", NULL);
	else
		r = env_ctl(NULL, "policy", "add", name, "--cgroup", env.rel, "--engage", engage[rnd(&c->rnd) % 2],
			    "--blocking", blocking[rnd(&c->rnd) % 2], NULL);
	return r == 0 ? 0 : run_fail(c->run, "fastloctl policy: exit %d", r);
}

static int policies_begin(struct chaos *c)
{
	return policy(c, true, false);
}

static int policies_step(struct chaos *c)
{
	bool bystander = rnd(&c->rnd) % 4 == 0;
	int r = policy(c, bystander, bystander);

	if (r == 0)
		r = chaos_pause(c, rnd(&c->rnd) % 30);
	if (r == 0)
		r = policy(c, !bystander, bystander);
	/* else the next one comes at once, whatever state the pairs are in */
	if (r == 0 && rnd(&c->rnd) % 2)
		r = chaos_grow(c);
	return r == 0 ? chaos_pause(c, rnd(&c->rnd) % 30) : r;
}

static int policies_proof(struct chaos *c)
{
	int r = run_counted(c->run, "reasons.policy_removed");

	return r == 0 ? run_counted(c->run, "released") : r;
}

const struct disturbance disturb_policies = {
	.guests = 2, .nobody_opts_in = true, .begin = policies_begin, .step = policies_step, .proof = policies_proof,
};

/* The residents hold two slots, the guests want four and find one. */
static int full_step(struct chaos *c)
{
	return chaos_grow(c);
}

static int full_proof(struct chaos *c)
{
	int r = run_counted(c->run, "reasons.table_full");

	if (r == 0)
		r = run_counted(c->run, "pairs");
	if (r == 0 && !env.plain && c->guests_spliced == 0)
		return run_fail(c->run, "no guest ever got the free slot");
	return r;
}

const struct disturbance disturb_full = { .guests = 4, .step = full_step, .proof = full_proof };
