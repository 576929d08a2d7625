/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pairs that are merely open while another one is measured. Processes of their own keep them, since one may have only
 * so many files; the last one to come is the first to go, so a crowd grows and shrinks by the difference.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define EACH 4000 /* pairs of one keeper: two files each, and few systems allow less than 8192 */
#define KEEPERS 64

static struct keeper {
	pid_t pid;
	int fd, pairs;
} keepers[KEEPERS];
static int n_keepers;

static int open_pairs(enum peer peer, int pairs)
{
	struct cell c = { .polled = true };
	struct connection conn;
	uint16_t port;
	int listener, r = peer_listen(peer, &c, &listener, &port);

	for (int i = 0; i < pairs && r == 0; i++)
		r = connection_open(&conn, peer, &c, listener, port);
	return r;
}

/* Until the worker lets go of it, or dies. */
static void keep(enum peer peer, int pairs, int fd)
{
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < n_keepers; i++)
		close(keepers[i].fd);
	r = open_pairs(peer, pairs);
	if (write(fd, &r, sizeof(r)) == sizeof(r))
		while (read(fd, &r, sizeof(r)) < 0 && errno == EINTR)
			;
	_exit(0);
}

static int add(enum peer peer, int pairs)
{
	struct keeper *k = &keepers[n_keepers];
	int fd[2], r;

	if (n_keepers == KEEPERS)
		return -E2BIG;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	fflush(NULL);
	k->pid = fork();
	if (k->pid == 0) {
		close(fd[0]);
		keep(peer, pairs, fd[1]);
	}
	close(fd[1]);
	if (k->pid < 0) {
		r = -errno;
		close(fd[0]);
		return r;
	}
	k->fd = fd[0];
	k->pairs = pairs;
	n_keepers++;
	return read(k->fd, &r, sizeof(r)) == sizeof(r) ? r : -EPIPE;
}

static void drop(void)
{
	struct keeper *k = &keepers[--n_keepers];

	close(k->fd);
	waitpid(k->pid, NULL, 0);
}

int crowd_set(enum peer peer, int pairs)
{
	int have = 0, r = 0;

	for (int i = 0; i < n_keepers; i++)
		have += keepers[i].pairs;
	for (; have > pairs; drop())
		have -= keepers[n_keepers - 1].pairs;
	while (have < pairs && r == 0) {
		int more = pairs - have < EACH ? pairs - have : EACH;

		r = add(peer, more);
		have += more;
	}
	return r;
}
