/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What fastlod is told under traffic: policies that come and go under pairs that live on them, drain and resume, and
 * files to reload, good and bad.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chaos.h"

/* ---- policies by fastloctl */

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

	c->run->injected++;
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
	.guests = 2, .nobody_opts_in = true, .blocking_let_in = true, .begin = policies_begin, .step = policies_step,
	.proof = policies_proof,
};

/* ---- drain and resume */

static int tell(struct chaos *c, const char *verb)
{
	int r = env_ctl(NULL, verb, NULL);

	return r == 0 ? 0 : run_fail(c->run, "fastloctl %s: exit %d", verb, r);
}

static int drained_step(struct chaos *c)
{
	int r = tell(c, "drain");

	if (r == 0)
		r = chaos_on_tcp(c);
	if (r == 0)
		r = tell(c, "resume");
	c->run->injected++;
	/* else the next one comes at once, whatever state the pairs are in */
	return r == 0 && rnd(&c->rnd) % 4 ? chaos_grow(c) : r;
}

static int drained_proof(struct chaos *c)
{
	return run_counted(c->run, "reasons.draining");
}

const struct disturbance disturb_drained = {
	.guests = 2, .begin = chaos_with_fastlod, .step = drained_step, .proof = drained_proof,
};

/* ---- reload */

#define BYSTANDER "[policy bystander]\nport = 9\n"

static char first_config[4096];
static unsigned int good, bad;
static int64_t slowest_ms;

static int reloaded_begin(struct chaos *c)
{
	good = bad = 0;
	slowest_ms = 0;
	if (file_read(env.config, first_config, sizeof(first_config)) < 0)
		return -EIO;
	return chaos_with_fastlod(c);
}

/* The first file, up to its policies if they are to go, and more; until fastlod says what it makes of it */
static int reload(struct chaos *c, bool with_policies, const char *more, const char *said)
{
	int length = with_policies ? (int)strlen(first_config) : (int)(strstr(first_config, "[policy") - first_config);
	char text[16384];
	int64_t began;
	int r;

	snprintf(text, sizeof(text), "%.*s%s", length, first_config, more);
	r = file_write(env.config, text);
	if (r < 0 || truncate(env.log, 0) < 0 || kill(env_daemon(), SIGHUP) < 0)
		return run_fail(c->run, "cannot reload: %s", strerror(errno));
	c->run->injected++;
	began = now_ms();
	do
		r = chaos_pause(c, 1);
	while (r == 0 && !(file_read(env.log, text, sizeof(text)) > 0 && strstr(text, said)) &&
	       now_ms() < began + CHAOS_PATIENCE_MS);
	if (now_ms() - began > slowest_ms)
		slowest_ms = now_ms() - began;
	if (r == 0 && !strstr(text, said))
		return run_fail(c->run, "fastlod never said '%s'", said);
	return r;
}

static int reloaded_step(struct chaos *c)
{
	int r = reload(c, true, BYSTANDER, "reloaded, 2 policies");

	/* nothing of a bad file counts: not the policies that it lacks either */
	if (r == 0)
		r = reload(c, false, BYSTANDER "[policy bad]\nport = 70000\n", "nothing was changed");
	bad += r == 0;
	if (r == 0)
		r = chaos_grow(c);
	if (r == 0)
		r = reload(c, false, "", "reloaded, 0 policies");
	if (r == 0)
		r = chaos_on_tcp(c);
	if (r == 0)
		r = reload(c, true, "", "reloaded, 1 policies");
	good += r == 0;
	return r == 0 ? chaos_grow(c) : r;
}

static int reloaded_proof(struct chaos *c)
{
	snprintf(c->run->note, sizeof(c->run->note),
		 ", %u bad files, %u times all policies gone and back, a reload took up to %lld ms", bad, good,
		 (long long)slowest_ms);
	return good ? run_counted(c->run, "reasons.policy_removed") : run_fail(c->run, "never reloaded");
}

const struct disturbance disturb_reloaded = {
	.guests = 2, .nobody_opts_in = true, .begin = reloaded_begin, .step = reloaded_step, .proof = reloaded_proof,
};
