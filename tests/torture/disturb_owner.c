/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens to a connection's owner: it forks and forks, and the cgroup that its policy names goes away and comes
 * again.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos.h"

#define FORKS 50

/* Each child has every descriptor of this process, the guests' among them, for as long as it lives. */
static int forks_step(struct chaos *c)
{
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(fork() == 0 ? 0 : 1);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return run_fail(c->run, "fork: %s", strerror(errno));
		c->run->injected += 2;
	}
	return chaos_grow(c);
}

static int forks_proof(struct chaos *c)
{
	return env.plain || c->guests_spliced ? 0 : run_fail(c->run, "no guest was spliced");
}

const struct disturbance disturb_forks = { .guests = 3, .step = forks_step, .proof = forks_proof };

/* ---- the guests' cgroup */

static char dir[400];
static unsigned int n_gone;

static int cgroup_begin(struct chaos *c)
{
	int r = chaos_with_fastlod(c);

	n_gone = 0;
	snprintf(dir, sizeof(dir), "%s/guests", env.cgroup);
	if (r == 0 && env_ctl(NULL, "policy", "add", "guests", "--cgroup", dir + strlen(env.mount), NULL) != 0)
		return run_fail(c->run, "cannot add a policy");
	return r;
}

/* Around the opening of every pair, the lasting ones' too. */
static int cgroup_enter(struct chaos *c)
{
	if (c->opened < CHAOS_LASTING)
		return 0;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	return env_join(dir);
}

static void cgroup_leave(struct chaos *c)
{
	if (c->opened >= CHAOS_LASTING)
		env_join(env.app);
}

/* Its sockets stay in it, whatever becomes of it: their policy is gone. */
static int cgroup_step(struct chaos *c)
{
	int r = chaos_pause(c, rnd(&c->rnd) % 100);

	if (r == 0 && rmdir(dir) < 0 && errno != ENOENT)
		return run_fail(c->run, "cannot remove '%s': %s", dir, strerror(errno));
	c->run->injected++;
	n_gone += r == 0;
	if (r == 0)
		r = chaos_pause(c, rnd(&c->rnd) % 100);
	if (r == 0 && mkdir(dir, 0755) < 0)
		return -errno;
	return r == 0 ? chaos_grow(c) : r;
}

static int cgroup_proof(struct chaos *c)
{
	return n_gone ? run_counted(c->run, "reasons.policy_removed") : run_fail(c->run, "it never went");
}

static void cgroup_end(struct chaos *c)
{
	(void)c;
	rmdir(dir);
}

const struct disturbance disturb_cgroup = {
	.guests = 3, .nobody_opts_in = true, .begin = cgroup_begin, .enter = cgroup_enter, .leave = cgroup_leave,
	.step = cgroup_step, .proof = cgroup_proof, .end = cgroup_end,
};
