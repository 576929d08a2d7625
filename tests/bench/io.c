/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading and writing in the two ways that programs have: blocking calls, or poll() and then calls that
 * do not block. read(2) and write(2), since a pipe has no others.
 */
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

double cpu_used(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

ssize_t get_some(const struct cell *c, int fd, char *mem, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	do {
		if (c->polled)
			poll(&p, 1, -1);
		n = read(fd, mem, len);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	return n;
}

bool get(const struct cell *c, int fd, char *mem, size_t len)
{
	while (len) {
		ssize_t n = get_some(c, fd, mem, len);

		if (n <= 0)
			return false;
		len -= n;
	}
	return true;
}

bool put(const struct cell *c, int fd, const char *mem, size_t len)
{
	while (len) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		ssize_t n = write(fd, mem, len);

		if (n < 0 && errno == EAGAIN && c->polled)
			poll(&p, 1, -1);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		len -= n > 0 ? n : 0;
	}
	return true;
}
