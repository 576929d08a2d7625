/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls and waits that many cases make. Every wait ends after PATIENCE_MS, and then says so in the
 * transcript: plain TCP's does not have that line.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

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

static bool ended(pid_t tid)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	return file_read(path, text, sizeof(text)) <= 0 || strstr(text, ") Z ");
}

int sleeps(pid_t tid, long nr)
{
	int64_t until = now_ms() + PATIENCE_MS;
	char path[64], text[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	do {
		if (file_read(path, text, sizeof(text)) > 0 && text[0] >= '0' && text[0] <= '9' && atol(text) == nr)
			return 1;
		if (ended(tid))
			return 0;
	} while (tick(until));
	return -ETIMEDOUT;
}

bool asleep(struct conform *c, pid_t tid, long nr)
{
	int r = sleeps(tid, nr);

	if (r == 0)
		say(c, "(the call is over already)");
	else if (r < 0)
		say(c, "(waited in vain for a thread to sleep in system call %ld)", nr);
	return r > 0;
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

static void *job_main(void *arg)
{
	struct job *j = arg;

	__atomic_store_n(&j->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	errno = 0;
	j->r = j->send ? send(j->fd, j->mem, j->len, j->flags) : recv(j->fd, j->mem, j->len, j->flags);
	j->error = errno;
	return NULL;
}

void job_start(struct conform *c, struct job *j)
{
	pthread_t thread;

	j->tid = 0;
	if (pthread_create(&thread, NULL, job_main, j) != 0) {
		broken(c, "no thread");
		return;
	}
	j->thread = thread;
	while (!__atomic_load_n(&j->tid, __ATOMIC_ACQUIRE))
		tick(now_ms() + 1000);
}

bool job_asleep(struct conform *c, const struct job *j)
{
	return asleep(c, j->tid, j->send ? SYS_sendto : SYS_recvfrom);
}

long job_end(struct conform *c, const char *what, struct job *j)
{
	pthread_join(j->thread, NULL);
	errno = j->error;
	if (j->send)
		return said(c, what, j->r);
	return said_bytes(c, what, j->mem, j->r);
}
