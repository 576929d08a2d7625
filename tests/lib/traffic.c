/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See traffic.h. Each of the four workers has its own random state, made from the seed, so what it does is
 * the same each time; how it interleaves is not. The first error stops them all.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "traffic.h"

#define MAX_PIECE (1U << 20)
#define HANG_MS 30000
#define WORKERS 4 /* worker w: direction w / 2, receiver if w is odd */

struct traffic {
	struct traffic_opts o;
	struct pair *owner; /* only the starter looks at it */
	struct pair p;	    /* descriptors, seed; offsets at the start */
	_Alignas(64) uint64_t sent[2];
	_Alignas(64) uint64_t got[2];
	_Alignas(64) int stop;
	int done[2]; /* no more will be sent */
	int error;
	pthread_t thread[WORKERS];
	pid_t child[2];
};

struct worker {
	struct traffic *t;
	int dir;
	bool receiver;
	int rcvbuf; /* set last */
	uint64_t rnd;
	char *mem;
};

#define load(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define store(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

static void set_error(struct traffic *t, int error)
{
	int none = 0;

	__atomic_compare_exchange_n(&t->error, &none, error, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
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

static int wait_for(struct traffic *t, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (t->o.flags & TRAFFIC_BLOCKING)
		return 0; /* an eager socket's blocking call may say EAGAIN: do it again */
	return poll(&p, 1, 50) < 0 && errno != EINTR ? -errno : 0;
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
		r = errno == EAGAIN ? wait_for(t, fd, POLLOUT) : -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

static int sender(struct worker *w)
{
	struct traffic *t = w->t;
	uint64_t at = t->sent[w->dir], end = t->o.bytes ? at + t->o.bytes : UINT64_MAX;
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
	push(t->p.fd[w->dir]);
	store(t->done[w->dir], 1);
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
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
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

static int receiver(struct worker *w)
{
	struct traffic *t = w->t;
	int fd = t->p.fd[!w->dir];
	/* what was unread at the start comes on top of the budget */
	uint64_t at = t->got[w->dir], end = t->o.bytes ? t->p.sent[w->dir] + t->o.bytes : UINT64_MAX;

	while (at < end && !load(t->error)) {
		bool last = load(t->done[w->dir]);
		size_t len = rnd_size(&w->rnd, t->o.max_recv);
		ssize_t n;

		if (last && at == load(t->sent[w->dir]))
			break;
		if (len > end - at)
			len = end - at;
		n = recv_some(w, fd, at, len);
		if (n < 0)
			return (int)n;
		at += n;
		store(t->got[w->dir], at);
		if (n == 0 && wait_for(t, fd, POLLIN) < 0)
			return -errno;
		pause_maybe(w);
		resize_maybe(w, fd);
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
		set_error(w->t, r);
	}
	free(w->mem);
	free(w);
	return NULL;
}

static int worker_start(struct traffic *t, int i)
{
	struct worker *w = calloc(1, sizeof(*w));

	*w = (struct worker){ .t = t, .dir = i / 2, .receiver = i & 1, .rnd = t->o.seed * WORKERS + i,
			      .mem = malloc(MAX_PIECE) };
	return -pthread_create(&t->thread[i], NULL, work, w);
}

static int traffic_new(struct traffic **ret, struct pair *p, const struct traffic_opts *o)
{
	struct traffic *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (t == MAP_FAILED)
		return -errno;
	/* a MSG_WAITALL reader waits for more than the sender that waits for it has sent */
	if ((o->flags & TRAFFIC_BLOCKING && !o->bytes) || (o->flags & TRAFFIC_CATCHUP && o->flags & TRAFFIC_WAITALL))
		return -EINVAL;
	t->o = *o;
	t->o.max_send = o->max_send ? o->max_send : 65536;
	t->o.max_recv = o->max_recv ? o->max_recv : 65536;
	t->owner = p;
	t->p = *p;
	for (int d = 0; d < 2; d++) {
		int flags = fcntl(p->fd[d], F_GETFL) & ~O_NONBLOCK;

		t->sent[d] = p->sent[d];
		t->got[d] = p->got[d];
		fcntl(p->fd[d], F_SETFL, flags | (o->flags & TRAFFIC_BLOCKING ? 0 : O_NONBLOCK));
	}
	*ret = t;
	return 0;
}

int traffic_start(struct traffic **ret, struct pair *p, const struct traffic_opts *o)
{
	int r = traffic_new(ret, p, o);

	for (int i = 0; i < WORKERS && r == 0; i++)
		r = worker_start(*ret, i);
	return r;
}

/* End e: it sends direction e and receives the other. */
static void child_main(struct traffic *t, int e)
{
	int mine[2] = { 2 * e, 2 * !e + 1 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(t->p.fd[!e]);
	for (int i = 0; i < 2; i++)
		worker_start(t, mine[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(t->thread[mine[i]], NULL);
	_exit(0);
}

int traffic_fork(struct traffic **ret, struct pair *p, const struct traffic_opts *o)
{
	int r = traffic_new(ret, p, o);

	fflush(NULL);
	for (int e = 0; e < 2 && r == 0; e++) {
		pid_t pid = fork();

		if (pid == 0)
			child_main(*ret, e);
		(*ret)->child[e] = pid;
		if (pid < 0)
			r = -errno;
	}
	return r;
}

uint64_t traffic_bytes(const struct traffic *t)
{
	return load(t->got[0]) + load(t->got[1]);
}

static bool finished(struct traffic *t)
{
	for (int d = 0; d < 2; d++)
		if (!load(t->done[d]) || load(t->got[d]) != load(t->sent[d]))
			return false;
	return true;
}

/* Until *each* direction's count reaches want, or everything is over; a hang is an error. */
static int watch(struct traffic *t, const uint64_t *want)
{
	uint64_t last = traffic_bytes(t), now;
	int64_t until = now_ms() + HANG_MS;

	while (!load(t->error)) {
		if (want ? load(t->got[0]) >= want[0] && load(t->got[1]) >= want[1] : finished(t))
			return 0;
		now = traffic_bytes(t);
		if (now != last) {
			last = now;
			until = now_ms() + HANG_MS;
		} else if (!tick(until)) {
			fprintf(stderr, "hang: no progress for %d s\n", HANG_MS / 1000);
			memcpy(t->p.sent, t->sent, sizeof(t->sent));
			memcpy(t->p.got, t->got, sizeof(t->got));
			pair_dump(stderr, &t->p);
			set_error(t, -ETIMEDOUT);
		}
	}
	return load(t->error);
}

int traffic_more(struct traffic *t, uint64_t more)
{
	uint64_t want[2] = { load(t->got[0]) + more, load(t->got[1]) + more };

	return watch(t, want);
}

int traffic_stop(struct traffic *t)
{
	struct pair *p = t->owner;
	int r;

	if (!t->o.bytes)
		store(t->stop, 1);
	r = watch(t, NULL);
	if (r < 0 && t->o.flags & TRAFFIC_BLOCKING)
		for (int e = 0; e < 2; e++)
			shutdown(p->fd[e], SHUT_RDWR); /* wakes whoever is parked */
	for (int e = 0; e < 2; e++)
		if (t->child[e] > 0)
			waitpid(t->child[e], NULL, 0);
	for (int i = 0; i < WORKERS; i++)
		if (t->child[0] <= 0 && t->thread[i])
			pthread_join(t->thread[i], NULL);
	memcpy(p->sent, t->sent, sizeof(t->sent));
	memcpy(p->got, t->got, sizeof(t->got));
	for (int e = 0; e < 2; e++)
		fcntl(p->fd[e], F_SETFL, fcntl(p->fd[e], F_GETFL) | O_NONBLOCK);
	munmap(t, sizeof(*t));
	return r;
}
