/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Groups 14 and 15: shutdown and half-open use, the ways to close, what blocked callers of the other end are told.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "endings.h"

#define SENT_BLOCKING (64 << 20) /* more than any buffer takes */

/* ---- 14 */
static void shutdown_wr(struct conform *c)
{
	leave_unread(c, "last");
	DO(c, shutdown(c->tx, SHUT_WR));
	await(c, c->rx, POLLRDHUP);
	look(c, c->rx);
	get(c, c->rx, 64, MSG_PEEK);
	get(c, c->rx, 64, 0);
	look(c, c->rx);
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
	put(c, c->tx, "late");
	get(c, c->rx, 64, 0);
	put(c, c->rx, "back");
	await(c, c->tx, POLLIN);
	get(c, c->tx, 64, 0);
	look(c, c->tx);
	DO(c, shutdown(c->tx, SHUT_WR));
	DO(c, shutdown(c->rx, SHUT_WR));
	await(c, c->tx, POLLRDHUP);
	look(c, c->tx);
	get(c, c->tx, 64, 0);
	DO(c, shutdown(c->tx, SHUT_WR));
	DO(c, shutdown(c->tx, 7));
}

static void shutdown_rd(struct conform *c)
{
	leave_unread(c, "unread");
	DO(c, shutdown(c->rx, SHUT_RD));
	look(c, c->rx);
	get(c, c->rx, 3, 0);
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
	put(c, c->tx, "after");
	arrived(c, c->tx);
	look(c, c->rx);
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
	put(c, c->rx, "back");
	await(c, c->tx, POLLIN);
	get(c, c->tx, 64, 0);
	look(c, c->tx);
}

static void shutdown_rdwr(struct conform *c)
{
	leave_unread(c, "unread");
	DO(c, shutdown(c->rx, SHUT_RDWR));
	await(c, c->tx, POLLRDHUP);
	look(c, c->tx);
	look(c, c->rx);
	put(c, c->rx, "no");
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
	get(c, c->tx, 64, 0);
	put(c, c->tx, "x1");
	await(c, c->tx, 0); /* the reset */
	get(c, c->rx, 64, 0);
	so_error(c, c->tx);
	put(c, c->tx, "x2");
	get(c, c->tx, 64, 0);
	look(c, c->tx);
	look(c, c->rx);
}

static void half_open_stream(struct conform *c)
{
	uint64_t mark = spliced(c->tx);

	DO(c, shutdown(c->rx, SHUT_WR));
	await(c, c->tx, POLLRDHUP);
	get(c, c->tx, 64, 0);
	stream(c, c->from, 1 << 20, 3000);
	must_splice(c, c->from, mark, 900000);
	leave_unread(c, "half");
	get(c, c->rx, 64, 0);
	DO(c, shutdown(c->tx, SHUT_WR));
	await(c, c->rx, POLLIN);
	get(c, c->rx, 64, 0);
	put(c, c->tx, "no");
	put(c, c->rx, "no");
	look(c, c->rx);
	look(c, c->tx);
}

static void data_then_fin(struct conform *c)
{
	leave_unread(c, "one");
	leave_unread(c, "two");
	leave_unread(c, "three");
	DO(c, shutdown(c->tx, SHUT_WR));
	await(c, c->rx, POLLRDHUP);
	put(c, c->rx, "answer before reading");
	await(c, c->tx, POLLIN);
	get(c, c->tx, 64, 0);
	for (int i = 0; i < 4; i++) {
		look(c, c->rx);
		get(c, c->rx, 4, 0);
	}
	get(c, c->rx, 4, 0);
	get(c, c->rx, 4, MSG_PEEK);
}

/* ---- a thread that blocks */
enum call { RECV, SEND, POLL };
struct blocked {
	struct conform *c;
	enum call call;
	int fd;
	pid_t tid;
	pthread_t thread;
};

static void *blocked_main(void *arg)
{
	static char much[1 << 20];
	struct blocked *b = arg;
	struct pollfd p = { .fd = b->fd, .events = POLLIN | POLLRDHUP };
	long n = 0, r;

	__atomic_store_n(&b->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	errno = 0;
	switch (b->call) {
	case RECV:
		said_bytes(b->c, "blocked recv", much, recv(b->fd, much, sizeof(much), 0));
		break;
	case SEND:
		do {
			r = send(b->fd, much, sizeof(much), MSG_NOSIGNAL);
			n += r;
		} while (r == sizeof(much) && n < SENT_BLOCKING);
		/* how much was taken is the buffers' affair */
		if (r >= 0)
			r = send(b->fd, much, 1, MSG_NOSIGNAL);
		said(b->c, "blocked send", r);
		break;
	case POLL:
		poll(&p, 1, PATIENCE_MS);
		say_poll(b->c, "blocked poll", p.revents);
		break;
	}
	return NULL;
}

static void block(struct conform *c, struct blocked *b, int fd, enum call call)
{
	static const long nr[] = { SYS_recvfrom, SYS_sendto, SYS_poll };
	int64_t until = now_ms() + PATIENCE_MS;

	*b = (struct blocked){ .c = c, .call = call, .fd = fd };
	blocking(fd, true);
	if (pthread_create(&b->thread, NULL, blocked_main, b) != 0)
		broken(c, "no thread");
	while (!__atomic_load_n(&b->tid, __ATOMIC_ACQUIRE) && tick(until))
		;
	asleep(c, b->tid, nr[call]);
}

static void unblock(struct blocked *b)
{
	pthread_join(b->thread, NULL);
	blocking(b->fd, false);
}

static void fin_meets_recv(struct conform *c)
{
	struct blocked b;

	block(c, &b, c->rx, RECV);
	shutdown(c->tx, SHUT_WR);
	unblock(&b);
	get(c, c->rx, 64, 0);
	look(c, c->rx);
	put(c, c->rx, "back");
	await(c, c->tx, POLLIN);
	get(c, c->tx, 64, 0);
}

static void close_meets_recv(struct conform *c)
{
	struct blocked b;

	block(c, &b, c->rx, RECV);
	shut_quietly(c, &c->tx);
	unblock(&b);
	get(c, c->rx, 64, 0);
	look(c, c->rx);
}

static void reset_meets_recv(struct conform *c)
{
	struct blocked b;

	block(c, &b, c->rx, RECV);
	reset(c, &c->tx);
	unblock(&b);
	look(c, c->rx);
}

static void own_shutdown_meets_recv(struct conform *c)
{
	struct blocked b;

	block(c, &b, c->rx, RECV);
	shutdown(c->rx, SHUT_RD);
	unblock(&b);
	look(c, c->rx);
}

static void close_meets_poll(struct conform *c)
{
	struct blocked b;

	block(c, &b, c->rx, POLL);
	shut_quietly(c, &c->tx);
	unblock(&b);
	get(c, c->rx, 64, 0);
	look(c, c->rx);
}

static void reset_meets_poll(struct conform *c)
{
	struct blocked b;

	block(c, &b, c->rx, POLL);
	reset(c, &c->tx);
	unblock(&b);
	look(c, c->rx);
	get(c, c->rx, 64, 0);
	look(c, c->rx);
}

static void meets_send(struct conform *c, bool with_reset)
{
	struct blocked b;

	block(c, &b, c->tx, SEND);
	if (with_reset)
		reset(c, &c->rx);
	else
		shut_quietly(c, &c->rx);
	unblock(&b);
	look(c, c->tx);
	put(c, c->tx, "x");
	get(c, c->tx, 64, 0);
}

static void close_meets_send(struct conform *c)
{
	meets_send(c, false);
}

static void reset_meets_send(struct conform *c)
{
	meets_send(c, true);
}

/* ---- 15 */
static void close_with_unread(struct conform *c)
{
	leave_unread(c, "unread");
	shut_quietly(c, &c->rx);
	await(c, c->tx, POLLRDHUP);
	look(c, c->tx);
	get(c, c->tx, 64, 0);
	put(c, c->tx, "x");
}

static void close_with_nothing_unread(struct conform *c)
{
	leave_unread(c, "read");
	get(c, c->rx, 64, 0);
	shut_quietly(c, &c->rx);
	await(c, c->tx, POLLRDHUP);
	look(c, c->tx);
	get(c, c->tx, 64, 0);
}

static void linger_zero(struct conform *c)
{
	leave_unread(c, "one");
	leave_unread(c, "two");
	reset(c, &c->tx);
	await(c, c->rx, POLLHUP);
	look(c, c->rx);
	get(c, c->rx, 3, 0);
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
	put(c, c->rx, "x");
	look(c, c->rx);
}

static void linger_some(struct conform *c)
{
	struct linger some = { 1, 5 };

	blocking(c->tx, true);
	leave_unread(c, "one");
	setsockopt(c->tx, SOL_SOCKET, SO_LINGER, &some, sizeof(some));
	said(c, "close", close(c->tx));
	c->p.fd[c->from] = -1;
	await(c, c->rx, POLLRDHUP);
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
	look(c, c->rx);
}

#define BLOCKING_READ "A blocking receive may return EAGAIN"
#define FIN_NOT_RST "close() with unread spliced bytes sends FIN, not RST"

CONFORM_CASES(end, CASE(14, shutdown_wr), CASE(14, shutdown_rd), CASE(14, shutdown_rdwr), CASE(14, half_open_stream),
	      CASE(14, data_then_fin), CASE(14, fin_meets_recv),
	      CASE_OBSERVED_TOO(14, own_shutdown_meets_recv, BLOCKING_READ), CASE_OBSERVED_TOO(15, close_with_unread, FIN_NOT_RST),
	      CASE(15, close_with_nothing_unread), CASE(15, linger_zero), CASE(15, linger_some), CASE(15, close_meets_recv),
	      CASE_OBSERVED_TOO(15, reset_meets_recv, BLOCKING_READ), CASE(15, close_meets_poll), CASE(15, reset_meets_poll),
	      CASE_OBSERVED_TOO(15, close_meets_send, "Corners of the send calls"),
	      CASE_OBSERVED_TOO(15, reset_meets_send, "Corners of the send calls"))
