/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Into a pair's network namespace: known by its cookie only, and found through the sockets of the processes that read
 * and send there, since a process may have sockets in other namespaces than its own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "causes.h"
#include "pairs.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static bool is_in(int sock, uint64_t netns)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0 && cookie == netns;
}

static bool are_there(uint64_t netns)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool there = sock >= 0 && is_in(sock, netns);

	if (sock >= 0)
		close(sock);
	return there;
}

/* Through a copy of a process's descriptor, if that is a socket of the namespace. */
static bool enter_by(int pidfd, int fd, uint64_t netns)
{
	int sock = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0), ns = -1;
	bool there;

	if (sock >= 0 && is_in(sock, netns))
		ns = ioctl(sock, SIOCGSKNS);
	there = ns >= 0 && setns(ns, CLONE_NEWNET) == 0;
	if (ns >= 0)
		close(ns);
	if (sock >= 0)
		close(sock);
	return there;
}

static bool enter_through(uint32_t pid, uint64_t netns)
{
	int pidfd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	bool there = false;
	struct dirent *e;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	d = pidfd >= 0 ? opendir(path) : NULL;
	while (d && !there && (e = readdir(d)))
		there = *e->d_name != '.' && enter_by(pidfd, atoi(e->d_name), netns);
	if (d)
		closedir(d);
	if (pidfd >= 0)
		close(pidfd);
	return there;
}

bool causes_enter(const struct fl_record *r)
{
	uint32_t pids[4] = { pairs_pid(r, 0), pairs_pid(r, 1), r->data.side[0].tx.tgid, r->data.side[1].tx.tgid };
	bool there = are_there(r->data.netns);

	for (int i = 0; i < 4 && !there; i++)
		there = enter_through(pids[i], r->data.netns);
	return there;
}
