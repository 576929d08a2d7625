/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlod's own life under traffic: killed at any moment (its start and its stop included) and started again,
 * stopped and started, and followed by another copy of its binary.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos.h"

#define START_MS 60000

static struct {
	unsigned int kills, early, stops, upgrades;
	char first[512], second[128]; /* directories of binaries */
} own;

static int begin(struct chaos *c)
{
	memset(&own, 0, sizeof(own));
	if (!env.plain)
		return 0;
	run_fail(c->run, "no fastlod under PLAIN=1");
	return TORTURE_SKIP;
}

/* The traffic takes all the CPU that there is: it may be a while. */
static int start(struct chaos *c)
{
	int64_t until = now_ms() + START_MS;
	int r = env_start();

	while (r == 0 && now_ms() < until) {
		r = env_ready();
		if (r == 0)
			r = chaos_pause(c, 1);
	}
	return r > 0 ? 0 : run_fail(c->run, "fastlod did not start again: %s", strerror(r ? -r : ETIMEDOUT));
}

/* SIGKILL some time after a start, or after a SIGTERM, that nobody waited for. */
static int kill_early(struct chaos *c, bool while_stopping)
{
	int r;

	if (while_stopping) {
		r = start(c);
		if (r == 0)
			kill(env_daemon(), SIGTERM);
	} else {
		r = env_start();
	}
	if (r == 0)
		r = chaos_pause(c, rnd(&c->rnd) % 120);
	env_kill();
	own.early++;
	return r;
}

static int killed_step(struct chaos *c)
{
	int r = env_kill();

	if (r < 0)
		return run_fail(c->run, "fastlod was not there to be killed");
	own.kills++;
	r = chaos_pause(c, rnd(&c->rnd) % 50);
	if (r == 0 && rnd(&c->rnd) % 2)
		r = kill_early(c, rnd(&c->rnd) % 2);
	if (r == 0)
		r = start(c);
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
	r = chaos_pause(c, rnd(&c->rnd) % 50);
	if (r == 0)
		r = start(c);
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

static int copy_binaries(const char *to)
{
	char command[1400];

	snprintf(command, sizeof(command), "install -D -t '%s' '%s/fastlod' '%s/fastloctl'", to, env.bin, env.bin);
	return system(command) == 0 ? 0 : -EIO;
}

static int upgraded_begin(struct chaos *c)
{
	int r = begin(c);

	snprintf(own.first, sizeof(own.first), "%s", env.bin);
	snprintf(own.second, sizeof(own.second), "%s/next", env.dir);
	return r == 0 ? copy_binaries(own.second) : r;
}

static int upgraded_step(struct chaos *c)
{
	char link[64], exe[PATH_MAX];
	ssize_t n;
	int r;

	if (env_kill() < 0)
		return run_fail(c->run, "fastlod was not there to be killed");
	snprintf(env.bin, sizeof(env.bin), "%s", ++own.upgrades % 2 ? own.second : own.first);
	r = start(c);
	if (r < 0)
		return r;
	snprintf(link, sizeof(link), "/proc/%d/exe", env_daemon());
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n < 0 || strncmp(exe, env.bin, strlen(env.bin)) != 0)
		return run_fail(c->run, "the other binary does not run");
	r = chaos_grow(c);
	return r == 0 ? chaos_pause(c, rnd(&c->rnd) % 100) : r;
}

static int upgraded_proof(struct chaos *c)
{
	snprintf(c->run->note, sizeof(c->run->note), ", %u upgrades", own.upgrades);
	return own.upgrades ? 0 : run_fail(c->run, "never upgraded");
}

static void upgraded_end(struct chaos *c)
{
	(void)c;
	snprintf(env.bin, sizeof(env.bin), "%s", own.first);
}

const struct disturbance disturb_upgraded = {
	.guests = 1, .begin = upgraded_begin, .step = upgraded_step, .proof = upgraded_proof, .end = upgraded_end,
};
