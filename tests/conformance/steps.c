/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls and waits that many cases make. Every wait ends after PATIENCE_MS, and then says so in the
 * transcript: plain TCP's does not have that line.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "conform.h"

long put(struct conform *c, int fd, const char *text)
{
	char what[200];

	snprintf(what, sizeof(what), "send '%s'", text);
	errno = 0;
	return said(c, what, send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL));
}

long get(struct conform *c, int fd, size_t len, int flags)
{
	char mem[256], what[64];

	snprintf(what, sizeof(what), "recv %zu flags 0x%x", len, flags);
	errno = 0;
	return said_bytes(c, what, mem, recv(fd, mem, len < sizeof(mem) ? len : sizeof(mem), flags | MSG_DONTWAIT));
}

void look(struct conform *c, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM |
						POLLWRBAND | POLLRDHUP };

	poll(&p, 1, 0);
	say_poll(c, "poll", p.revents);
}

void so_error(struct conform *c, int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		said(c, "SO_ERROR", -1);
	else
		say(c, "SO_ERROR = %s", error ? strerrorname_np(error) : "0");
}

bool await(struct conform *c, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t until = now_ms() + PATIENCE_MS;
	int r;

	do
		r = poll(&p, 1, (int)(until - now_ms()));
	while (r < 0 && errno == EINTR && now_ms() < until);
	if (r != 1)
		say_poll(c, "(waited in vain for)", events);
	return r == 1;
}

bool arrived(struct conform *c, int fd)
{
	int64_t until = now_ms() + PATIENCE_MS;
	int queued = 0;

	do
		if (ioctl(fd, SIOCOUTQ, &queued) < 0)
			break;
	while (queued && tick(until));
	if (queued)
		say(c, "(waited in vain for %d bytes to arrive)", queued);
	return !queued;
}

bool asleep(struct conform *c, pid_t tid, long nr)
{
	int64_t until = now_ms() + PATIENCE_MS;
	char path[64], text[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	do
		if (file_read(path, text, sizeof(text)) > 0 && text[0] >= '0' && text[0] <= '9' && atol(text) == nr)
			return true;
	while (tick(until));
	say(c, "(waited in vain for a thread to sleep in system call %ld: %s)", nr, text);
	return false;
}

void blocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

void opt(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value));
}

void stream(struct conform *c, int from, size_t len, size_t msg)
{
	int r = pair_pump(&c->p, from, len, msg);

	if (r < 0)
		say(c, "(stream of %zu bytes in messages of %zu: %s)", len, msg, strerrorname_np(-r));
}

static long said_step(struct conform *c, const char *what, size_t len, ssize_t r)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %zu", what, len);
	errno = r < 0 ? (int)-r : 0;
	return said(c, text, r < 0 ? -1 : r);
}

long put_pattern(struct conform *c, int from, size_t len)
{
	return said_step(c, "send pattern", len, pair_try_send(&c->p, from, len, 0));
}

long get_pattern(struct conform *c, int from, size_t len)
{
	return said_step(c, "recv pattern", len, pair_try_recv(&c->p, from, len, 0));
}
