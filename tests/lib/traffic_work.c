/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The workers of traffic.h: a sender and a receiver per direction. Each has its own random state, made from
 * the seed, so what it does is the same each time; how it interleaves is not.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "traffic_private.h"

struct worker {
	struct traffic *t;
	int dir;
	bool receiver;
	int rcvbuf; /* set last */
	bool ready;  /* poll said so, and nothing was received since */
	uint64_t rnd;
	char *mem;
};

void traffic_set_error(struct traffic *t, int error)
{
	int none = 0;

	__atomic_compare_exchange_n(&t->error, &none, error, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void pause_maybe(struct worker *w)
{
	struct timespec nap = { 0 };

	if (!(w->t->o.flags & TRAFFIC_PAUSE) || rnd(&w->rnd) % 512)
		return;
	nap.tv_nsec = rnd(&w->rnd) % 3000000;
	nanosleep(&nap, NULL);
}

/* Whatever MSG_MORE held back goes now, not in 200 ms. */
static void push(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

/* One piece in four is a conversation's end, so to speak. */
static void catch_up_maybe(struct worker *w, uint64_t at)
{
	struct traffic *t = w->t;

	if (!(t->o.flags & TRAFFIC_CATCHUP) || rnd(&w->rnd) % 4)
		return;
	push(t->p.fd[w->dir]);
	while (load(t->got[w->dir]) < at && !load(t->error))
		sched_yield();
}

static void resize_maybe(struct worker *w, int fd)
{
	int size;

	if (!(w->t->o.flags & TRAFFIC_BUFFERS) || rnd(&w->rnd) % 2048)
		return;
	/*
	 * A receiver's only grows: where it shrinks plain TCP drops what is in flight and sits in its RTO. A
	 * sender's below the loopback's MTU waits for delayed ACKs.
	 */
	size = w->receiver ? 131072 << rnd(&w->rnd) % 5 : 65536 << rnd(&w->rnd) % 6;
	if (w->receiver && size <= w->rcvbuf)
		return;
	w->rcvbuf = size;
	setsockopt(fd, SOL_SOCKET, w->receiver ? SO_RCVBUF : SO_SNDBUF, &size, sizeof(size));
}

/* Sends what is in w->mem by one call of a random form. */
static ssize_t send_some(struct worker *w, int fd, size_t off, size_t len)
{
	struct iovec v[3];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 3 };
	int flags = MSG_NOSIGNAL | (w->t->o.flags & TRAFFIC_BLOCKING ? 0 : MSG_DONTWAIT);
	uint64_t how = rnd(&w->rnd);

	if (!(w->t->o.flags & TRAFFIC_VECTORS) || how % 4)
		return send(fd, w->mem + off, len, flags);
	v[0] = (struct iovec){ w->mem + off, (how >> 8) % (len + 1) };
	v[1] = (struct iovec){ w->mem + off + v[0].iov_len, (how >> 32) % (len - v[0].iov_len + 1) };
	v[2] = (struct iovec){ (char *)v[1].iov_base + v[1].iov_len, len - v[0].iov_len - v[1].iov_len };
	return sendmsg(fd, &m, flags | (how & 16 ? MSG_MORE : 0));
}

static int wait_for(struct worker *w, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (w->t->o.flags & TRAFFIC_BLOCKING)
		return 0; /* an eager socket's blocking call may say EAGAIN: do it again */
	if (poll(&p, 1, 50) < 0 && errno != EINTR)
		return -errno;
	w->ready = p.revents & events;
	return 0;
}

static int send_piece(struct worker *w, uint64_t at, size_t len)
{
	struct traffic *t = w->t;
	int fd = t->p.fd[w->dir], r;
	size_t off = 0;

	pattern_fill(w->mem, len, t->p.seed + w->dir, at);
	while (off < len) {
		ssize_t n = send_some(w, fd, off, len - off);

		if (n >= 0) {
			off += n;
			store(t->sent[w->dir], at + off);
			continue;
		}
		if (load(t->error))
			return 0;
		if (errno == EINTR)
			continue;
		r = errno == EAGAIN ? wait_for(w, fd, POLLOUT) : -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

static int sender(struct worker *w)
{
	struct traffic *t = w->t;
	uint64_t at = t->sent[w->dir], end = t->end[w->dir];
	int r = 0;

	while (r == 0 && at < end && !load(t->stop) && !load(t->error)) {
		size_t len = rnd_size(&w->rnd, t->o.max_send);

		if (len > end - at)
			len = end - at;
		r = send_piece(w, at, len);
		at += len;
		catch_up_maybe(w, at);
		pause_maybe(w);
		resize_maybe(w, t->p.fd[w->dir]);
	}
	/* stopped: the receiver knows the end before the last byte comes, and so never waits for more */
	if (r == 0 && at < end && !load(t->error)) {
		store(t->end[w->dir], at + 1);
		r = send_piece(w, at, 1);
	}
	push(t->p.fd[w->dir]);
	return r;
}

/* One receive, checked; bytes taken, 0 if there were none, or an error */
static ssize_t recv_some(struct worker *w, int fd, uint64_t at, size_t len)
{
	struct traffic *t = w->t;
	int flags = t->o.flags & TRAFFIC_BLOCKING ? 0 : MSG_DONTWAIT;
	uint64_t how = rnd(&w->rnd), seed = t->p.seed + w->dir;
	ssize_t n;

	if (t->o.flags & TRAFFIC_BLOCKING && how & (7 << 12) && how & 1)
		flags |= MSG_DONTWAIT;
	if (t->o.flags & TRAFFIC_PEEK && (how >> 4) % 4 == 0) {
		n = recv(fd, w->mem, len, flags | MSG_PEEK);
		if (n > 0 && pattern_check(w->mem, n, seed, at) >= 0) {
			fprintf(stderr, "direction %d: wrong byte in a MSG_PEEK of %zd at %llu\n", w->dir, n,
				(unsigned long long)at);
			return -EBADMSG;
		}
	}
	if (t->o.flags & TRAFFIC_WAITALL && (how >> 8) % 2 == 0)
		flags |= MSG_WAITALL;
	n = recv(fd, w->mem, len, flags);
	if (n < 0) {
		t->errors[w->dir] += errno == EAGAIN && (w->ready || !(flags & MSG_DONTWAIT));
		w->ready = false;
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	w->ready = false;
	if (n == 0)
		return -ECONNRESET;
	ssize_t bad = pattern_check(w->mem, n, seed, at);
	if (bad >= 0) {
		fprintf(stderr, "direction %d: wrong byte at %llu (receive of %zd at %llu, flags %x)\n", w->dir,
			(unsigned long long)(at + bad), n, (unsigned long long)at, flags);
		return -EBADMSG;
	}
	return n;
}

/* Its own naps are not counted, nor is the time before the first bytes. */
static void waited(struct worker *w, int64_t since)
{
	int64_t *longest = &w->t->pause_ns[w->dir], ns = since ? now_ns() - since : 0;

	if (ns > *longest)
		*longest = ns;
}

static int receiver(struct worker *w)
{
	struct traffic *t = w->t;
	int fd = t->p.fd[!w->dir];
	uint64_t at = t->got[w->dir], end;
	int64_t since = 0;

	while (at < (end = load(t->end[w->dir])) && !load(t->error)) {
		size_t len = rnd_size(&w->rnd, t->o.max_recv);
		ssize_t n;

		if (len > end - at)
			len = end - at;
		n = recv_some(w, fd, at, len);
		if (n < 0)
			return (int)n;
		at += n;
		store(t->got[w->dir], at);
		if (n > 0)
			waited(w, since);
		else if (wait_for(w, fd, POLLIN) < 0)
			return -errno;
		pause_maybe(w);
		resize_maybe(w, fd);
		if (n > 0)
			since = now_ns();
	}
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	int r = w->receiver ? receiver(w) : sender(w);

	if (r < 0) {
		if (r != -EBADMSG)
			fprintf(stderr, "direction %d %s: %s\n", w->dir, w->receiver ? "receiver" : "sender",
				strerror(-r));
		traffic_set_error(w->t, r);
	}
	free(w->mem);
	free(w);
	return NULL;
}

int traffic_worker(struct traffic *t, int i)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct worker){ .t = t, .dir = i / 2, .receiver = i & 1, .rnd = t->o.seed * TRAFFIC_WORKERS + i,
			      .mem = malloc(TRAFFIC_PIECE_MAX) };
	return -pthread_create(&t->thread[i], NULL, work, w);
}
