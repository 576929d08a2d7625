/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Moving verified bytes over a pair from one thread. Every call is non-blocking, whatever the file's flag:
 * a plain recv with MSG_DONTWAIT also counts as one for the observer. Waiting is poll with a deadline.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "harness.h"

#define BLOCK (1U << 20)

static char *block(void)
{
	static __thread char *mem;

	if (!mem)
		mem = malloc(BLOCK);
	return mem;
}

static int await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int r = poll(&p, 1, PATIENCE_MS);

	return r == 1 ? 0 : r == 0 ? -ETIMEDOUT : -errno;
}

ssize_t pair_try_send(struct pair *p, int from, size_t len, int flags)
{
	ssize_t n;

	if (len > BLOCK)
		len = BLOCK;
	pattern_fill(block(), len, p->seed + from, p->sent[from]);
	n = send(p->fd[from], block(), len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	p->sent[from] += n;
	return n;
}

ssize_t pair_try_recv(struct pair *p, int from, size_t len, int flags)
{
	ssize_t n, bad;

	if (len > BLOCK)
		len = BLOCK;
	n = recv(p->fd[!from], block(), len, flags | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	bad = pattern_check(block(), n, p->seed + from, p->got[from]);
	if (bad >= 0) {
		fprintf(stderr, "stream from %s: wrong byte at offset %llu (receive of %zd at %llu)\n",
			from == CLIENT ? "client" : "server", (unsigned long long)(p->got[from] + bad), n,
			(unsigned long long)p->got[from]);
		pair_dump(stderr, p);
		return -EBADMSG;
	}
	if (!(flags & MSG_PEEK))
		p->got[from] += n;
	return n;
}

int pair_send(struct pair *p, int from, size_t len)
{
	while (len) {
		ssize_t n = pair_try_send(p, from, len, 0);

		if (n == -EAGAIN)
			n = await(p->fd[from], POLLOUT);
		if (n < 0)
			return (int)n;
		len -= n;
	}
	return 0;
}

int pair_recv(struct pair *p, int from, size_t len)
{
	while (len) {
		ssize_t n = pair_try_recv(p, from, len, 0);

		if (n == -EAGAIN)
			n = await(p->fd[!from], POLLIN);
		if (n < 0)
			return (int)n;
		len -= n;
	}
	return 0;
}

int pair_pump(struct pair *p, int from, uint64_t len, size_t msg)
{
	uint64_t end = p->sent[from] + len;

	while (p->got[from] < end) {
		uint64_t todo = end - p->sent[from];
		ssize_t n = -EAGAIN, m;

		if (todo)
			n = pair_try_send(p, from, todo < msg ? todo : msg, 0);
		if (n < 0 && n != -EAGAIN)
			return (int)n;
		m = pair_try_recv(p, from, BLOCK, 0);
		if (m < 0 && m != -EAGAIN)
			return (int)m;
		if (n < 0 && m < 0) {
			struct pollfd both[2] = { { .fd = p->fd[!from], .events = POLLIN },
						  { .fd = p->fd[from], .events = todo ? POLLOUT : 0 } };

			if (poll(both, 2, PATIENCE_MS) <= 0) {
				pair_dump(stderr, p);
				return -ETIMEDOUT;
			}
		}
	}
	return 0;
}

int64_t pair_fill(struct pair *p, int from, size_t msg)
{
	int64_t total = 0;

	for (;;) {
		ssize_t n = pair_try_send(p, from, msg, 0);

		if (n == -EAGAIN)
			return total;
		if (n < 0)
			return n;
		total += n;
	}
}

int pair_drain(struct pair *p, int from)
{
	return pair_recv(p, from, p->sent[from] - p->got[from]);
}

int pair_pingpong(struct pair *p, int rounds, size_t msg)
{
	int r = 0;

	for (int i = 0; i < rounds && r == 0; i++) {
		r = pair_send(p, CLIENT, msg);
		if (r == 0)
			r = pair_drain(p, CLIENT);
		if (r == 0)
			r = pair_send(p, SERVER, msg);
		if (r == 0)
			r = pair_drain(p, SERVER);
	}
	return r;
}

int pair_warm(struct pair *p)
{
	int64_t until = now_ms() + PATIENCE_MS;
	int r;

	do {
		r = pair_pingpong(p, 1, 64);
		if (r < 0 || env.plain)
			return r;
		if (info(p->fd[CLIENT]).state == FASTLO_STATE_SPLICED &&
		    info(p->fd[SERVER]).state == FASTLO_STATE_SPLICED)
			return 0;
	} while (tick(until));
	fprintf(stderr, "never spliced both ways:\n");
	pair_dump(stderr, p);
	return -ETIMEDOUT;
}
