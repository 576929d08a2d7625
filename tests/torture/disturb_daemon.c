/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlod's own life under traffic: killed at any moment (its start and its stop included) and started again, stopped
 * and started; and nothing at all, to compare with.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "chaos.h"

static struct {
	unsigned int kills, early, stops;
} own;

static int none_step(struct chaos *c)
{
	return chaos_grow(c);
}

static int none_proof(struct chaos *c)
{
	(void)c;
	return 0;
}

const struct disturbance disturb_none = { .guests = 1, .step = none_step, .proof = none_proof };

static int begin(struct chaos *c)
{
	memset(&own, 0, sizeof(own));
	return chaos_with_fastlod(c);
}

/* SIGKILL some time after a start, or after a SIGTERM, that nobody waited for. */
static int kill_early(struct chaos *c, bool while_stopping)
{
	int r;

	if (while_stopping) {
		r = chaos_start(c);
		if (r == 0)
			kill(env_daemon(), SIGTERM);
	} else {
		r = env_start();
	}
	if (r == 0)
		r = chaos_pause(c, rnd(&c->rnd) % 120);
	env_kill();
	own.early++;
	c->run->injected++;
	return r;
}

static int killed_step(struct chaos *c)
{
	int r = env_kill();

	if (r < 0)
		return run_fail(c->run, "fastlod was not there to be killed");
	own.kills++;
	c->run->injected++;
	r = chaos_pause(c, rnd(&c->rnd) % 50);
	if (r == 0 && own.kills % 2)
		r = kill_early(c, rnd(&c->rnd) % 2);
	if (r == 0)
		r = chaos_start(c);
	if (r == 0)
		r = chaos_grow(c);
	return r == 0 ? chaos_pause(c, rnd(&c->rnd) % 100) : r;
}

static int killed_proof(struct chaos *c)
{
	snprintf(c->run->note, sizeof(c->run->note), ", %u kills and %u at start or stop", own.kills, own.early);
	return own.kills && own.early ? 0 : run_fail(c->run, "killed %u and %u times", own.kills, own.early);
}

const struct disturbance disturb_killed = {
	.guests = 1, .forgetful = true, .begin = begin, .step = killed_step, .proof = killed_proof,
};

static int stopped_step(struct chaos *c)
{
	int status = env_sigterm_and_wait(), r;

	if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return run_fail(c->run, "fastlod's stop: wait status %d", status);
	if (env_has_pins())
		return run_fail(c->run, "pins are left");
	own.stops++;
	c->run->injected++;
	r = chaos_pause(c, rnd(&c->rnd) % 50);
	if (r == 0)
		r = chaos_start(c);
	if (r == 0)
		r = chaos_grow(c);
	return r == 0 ? chaos_pause(c, rnd(&c->rnd) % 100) : r;
}

static int stopped_proof(struct chaos *c)
{
	snprintf(c->run->note, sizeof(c->run->note), ", %u stops", own.stops);
	return own.stops ? 0 : run_fail(c->run, "never stopped");
}

/* The slots and their counters go with the pins. */
const struct disturbance disturb_stopped = {
	.guests = 1, .forgetful = true, .begin = begin, .step = stopped_step, .proof = stopped_proof,
};
