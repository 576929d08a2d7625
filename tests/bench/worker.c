/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process per peer, in the peer's cgroup, which takes samples when it is told to: moving a process between
 * cgroups costs more than many samples do. All are in one network namespace of their own, without the host's
 * filters. When its parent has gone, it removes the cgroup that was made for it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "redirect.h"

#define SLACK_MS 30000 /* what a sample may take beyond its time, */
#define SLACK_CONN_MS 10 /* and for each connection that it opens or closes */

static struct worker {
	pid_t pid;
	int fd;
	const struct cell *cells;
} workers[ALL_PEERS];

/* Plain peers outside of what fastlod serves, the others in cgroups of their own. */
static int enter_cgroup(enum peer peer, char *ret, size_t size, bool *ret_own)
{
	bool served = peer == EAGER || peer == SERVED;
	int r;

	*ret_own = peer == OBSERVED || peer == SOCKMAP;
	if (peer == OBSERVED)
		snprintf(ret, size, "%s/observed", env.app);
	else if (peer == SOCKMAP)
		snprintf(ret, size, "%s/fastlo-bench-%d", env.mount, getppid()); /* the next one's, too */
	else
		snprintf(ret, size, "%s", served ? env.app : env.home);
	if (*ret_own && mkdir(ret, 0755) < 0 && errno != EEXIST)
		return -errno;
	r = env_join(ret);
	return r == 0 && peer == SOCKMAP ? redirect_attach(ret) : r;
}

static void leave_cgroup(const char *path, bool own)
{
	int64_t until = now_ms() + PATIENCE_MS;

	if (!own)
		return;
	env_join(env.home);
	while (rmdir(path) < 0 && errno == EBUSY && tick(until))
		;
}

static void work(enum peer peer, const struct cell *cells, int ns, int fd)
{
	static struct sample s;
	char cgroup[640];
	int r, cell, old;
	bool own = false;

	setpgid(0, 0);
	signal(SIGPIPE, SIG_IGN);
	r = netns_enter(ns, &old);
	if (r == 0)
		r = enter_cgroup(peer, cgroup, sizeof(cgroup), &own);
	send(fd, &r, sizeof(r), MSG_NOSIGNAL);
	while (r == 0 && recv(fd, &cell, sizeof(cell), 0) == sizeof(cell)) {
		sample_take(peer, cell == NO_CELL ? NULL : &cells[cell], &s);
		if (send(fd, &s, sizeof(s), MSG_NOSIGNAL) < 0)
			break;
	}
	sample_take(peer, NULL, &s);
	leave_cgroup(cgroup, own);
	_exit(r < 0);
}

int worker_start(enum peer peer, const struct cell *cells)
{
	struct worker *w = &workers[peer];
	static int ns = -1; /* of all workers */
	int pair[2], r;

	r = ns < 0 ? netns_new(&ns) : 0;
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	fflush(NULL);
	w->pid = fork();
	if (w->pid == 0) {
		close(pair[0]);
		for (int i = 0; i < ALL_PEERS; i++)
			if (workers[i].fd > 0)
				close(workers[i].fd); /* so that each sees its parent go */
		work(peer, cells, ns, pair[1]);
	}
	close(pair[1]);
	w->fd = pair[0];
	w->cells = cells;
	if (w->pid < 0)
		return -errno;
	if (recv(w->fd, &r, sizeof(r), 0) != sizeof(r))
		r = -EPIPE;
	return r;
}

void worker_stop(enum peer peer)
{
	struct worker *w = &workers[peer];

	if (w->pid <= 0)
		return;
	close(w->fd);
	waitpid(w->pid, NULL, 0);
	*w = (struct worker){ 0 };
}

int worker_sample(enum peer peer, int cell, struct sample *ret)
{
	struct worker *w = &workers[peer];
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	const struct cell *cells = w->cells;
	int limit = SLACK_MS, r;

	if (cell == NO_CELL || cells[cell].work == CROWDED)
		limit += SLACK_CONN_MS * MAX_OTHERS;
	else
		limit += SLACK_CONN_MS * cells[cell].conns + (int)(cells[cell].seconds * 1000);
	if (send(w->fd, &cell, sizeof(cell), MSG_NOSIGNAL) < 0)
		return -errno;
	if (poll(&p, 1, limit) == 1)
		return recv(w->fd, ret, sizeof(*ret), 0) == sizeof(*ret) ? ret->error : -EPIPE;
	/* stuck, as a redirector without rules may be: another one for the cells to come */
	kill(-w->pid, SIGKILL);
	worker_stop(peer);
	r = worker_start(peer, cells);
	return r < 0 ? r : -ETIMEDOUT;
}
