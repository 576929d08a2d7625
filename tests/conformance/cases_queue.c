/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Groups 9 and 10: what the ioctls say of the queues, and urgent data; with spliced bytes, TCP bytes and
 * both unread. Bytes go over TCP here by way of a receiver that asks for timestamps.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include "conform.h"

static void queues(struct conform *c, const char *when)
{
	int in = -1, out = -1, unsent = -1;

	ioctl(c->rx, FIONREAD, &in);
	ioctl(c->tx, SIOCOUTQ, &out);
	ioctl(c->tx, SIOCOUTQNSD, &unsent);
	say(c, "%s: unread %d, unacknowledged %d, unsent %d", when, in, out, unsent);
}

static void supply(struct conform *c, bool by_splice, size_t len)
{
	uint64_t mark = spliced(c->tx);
	int r;

	opt(c->rx, SOL_SOCKET, SO_TIMESTAMP, !by_splice);
	r = pair_send(&c->p, c->from, len);
	if (r < 0)
		broken(c, "cannot send");
	if (by_splice)
		must_splice(c, c->from, mark, len);
	arrived(c, c->tx);
}

static void queue_spliced(struct conform *c)
{
	queues(c, "empty");
	supply(c, true, 100);
	queues(c, "100");
	get_pattern(c, c->from, 30);
	queues(c, "30 read");
	supply(c, true, 1000);
	queues(c, "1000 more");
	get_pattern(c, c->from, 2000);
	queues(c, "all read");
}

static void queue_tcp(struct conform *c)
{
	queues(c, "empty");
	supply(c, false, 100);
	queues(c, "100");
	get_pattern(c, c->from, 30);
	queues(c, "30 read");
	supply(c, false, 1000);
	queues(c, "1000 more");
	get_pattern(c, c->from, 2000);
	queues(c, "all read");
}

static void queue_mixed(struct conform *c)
{
	supply(c, true, 100);
	supply(c, false, 1000);
	queues(c, "100 and 1000");
	get_pattern(c, c->from, 60);
	queues(c, "60 read");
	get_pattern(c, c->from, 60);
	get_pattern(c, c->from, 2000);
	get_pattern(c, c->from, 2000);
	queues(c, "rest read");
}

static void queue_mixed_reads(struct conform *c)
{
	char mem[256];

	supply(c, true, 100);
	supply(c, false, 100);
	said_bytes(c, "peek", mem, recv(c->rx, mem, sizeof(mem), MSG_PEEK));
	said_bytes(c, "recv", mem, recv(c->rx, mem, sizeof(mem), 0));
	said_bytes(c, "recv", mem, recv(c->rx, mem, sizeof(mem), 0));
}

static void queue_full(struct conform *c)
{
	int in = 0, out = 0;

	pair_fill(&c->p, c->from, 10000);
	ioctl(c->rx, FIONREAD, &in);
	ioctl(c->tx, SIOCOUTQ, &out);
	say(c, "unread %d, unacknowledged %d", in > 0, out > 0);
	say(c, "drained %d", pair_drain(&c->p, c->from));
	arrived(c, c->tx);
	queues(c, "empty");
}

static void at_mark(struct conform *c)
{
	int mark = -1;

	ioctl(c->rx, SIOCATMARK, &mark);
	say(c, "at mark %d, sockatmark %d", mark, sockatmark(c->rx));
}

static long put_oob(struct conform *c, const char *text)
{
	long n = said(c, "send urgent", send(c->tx, text, strlen(text), MSG_OOB | MSG_DONTWAIT));

	arrived(c, c->tx);
	return n;
}

static void urgent_basic(struct conform *c)
{
	at_mark(c);
	get(c, c->rx, 1, MSG_OOB);
	put_oob(c, "!");
	await(c, c->rx, POLLPRI);
	look(c, c->rx);
	at_mark(c);
	get(c, c->rx, 10, MSG_OOB | MSG_PEEK);
	get(c, c->rx, 10, MSG_OOB);
	get(c, c->rx, 10, MSG_OOB);
	look(c, c->rx);
	put(c, c->tx, "behind");
	arrived(c, c->tx);
	at_mark(c);
	get(c, c->rx, 10, 0);
	at_mark(c);
	look(c, c->rx);
}

/* The plain bytes before it are spliced and unread. */
static void urgent_behind_spliced(struct conform *c)
{
	uint64_t mark = spliced(c->tx);

	put(c, c->tx, "before");
	must_splice(c, c->from, mark, 6);
	put_oob(c, "xy!");
	put(c, c->tx, "after");
	arrived(c, c->tx);
	look(c, c->rx);
	at_mark(c);
	/* in the steps of the messages: queue_mixed_reads is about receives across them */
	get(c, c->rx, 3, 0);
	at_mark(c);
	get(c, c->rx, 3, 0);
	at_mark(c);
	get(c, c->rx, 100, 0);
	at_mark(c);
	get(c, c->rx, 1, MSG_OOB);
	get(c, c->rx, 100, 0);
	at_mark(c);
	get(c, c->rx, 100, 0);
	look(c, c->rx);
}

/* The urgent byte is asked for first, as a handler of SIGURG does. */
static void urgent_first(struct conform *c)
{
	uint64_t mark = spliced(c->tx);

	put(c, c->tx, "before");
	must_splice(c, c->from, mark, 6);
	put_oob(c, "!");
	get(c, c->rx, 1, MSG_OOB);
	get(c, c->rx, 6, 0);
	get(c, c->rx, 6, 0);
}

/* MSG_OOB without urgent data, spliced bytes unread */
static void urgent_none(struct conform *c)
{
	put(c, c->tx, "plain");
	arrived(c, c->tx);
	get(c, c->rx, 1, MSG_OOB);
	get(c, c->rx, 10, 0);
}

static void urgent_inline(struct conform *c)
{
	opt(c->rx, SOL_SOCKET, SO_OOBINLINE, 1);
	put(c, c->tx, "before");
	put_oob(c, "u");
	put(c, c->tx, "after");
	arrived(c, c->tx);
	look(c, c->rx);
	at_mark(c);
	get(c, c->rx, 1, MSG_OOB);
	for (int i = 0; i < 3; i++) {
		get(c, c->rx, 100, 0);
		at_mark(c);
		look(c, c->rx);
	}
}

static void urgent_twice(struct conform *c)
{
	put_oob(c, "a");
	put(c, c->tx, "middle");
	put_oob(c, "b");
	get(c, c->rx, 1, MSG_OOB);
	for (int i = 0; i < 4; i++)
		get(c, c->rx, 100, 0);
	/* and on it goes */
	for (int i = 0; i < 3; i++) {
		put(c, c->tx, "next");
		arrived(c, c->tx);
		get(c, c->rx, 100, 0);
		put(c, c->rx, "back");
		arrived(c, c->rx);
		get(c, c->tx, 100, 0);
	}
}

/* Nobody reads the urgent byte as such. */
static void urgent_ignored(struct conform *c)
{
	char mem[256];

	put(c, c->tx, "one");
	put_oob(c, "!");
	put(c, c->tx, "two");
	arrived(c, c->tx);
	said_bytes(c, "read", mem, read(c->rx, mem, sizeof(mem)));
	said_bytes(c, "read", mem, read(c->rx, mem, sizeof(mem)));
	said_bytes(c, "read", mem, read(c->rx, mem, sizeof(mem)));
}

static atomic_int urgent_signals;

static void on_urgent(int signal)
{
	(void)signal;
	urgent_signals++;
}

static void urgent_signal(struct conform *c)
{
	int64_t until = now_ms() + PATIENCE_MS;

	signal(SIGURG, on_urgent);
	DO(c, fcntl(c->rx, F_SETOWN, getpid()));
	put(c, c->tx, "plain");
	arrived(c, c->tx);
	say(c, "SIGURG %d", urgent_signals);
	put_oob(c, "!");
	while (!urgent_signals && tick(until))
		;
	say(c, "SIGURG %d", urgent_signals);
	get(c, c->rx, 100, 0);
	get(c, c->rx, 1, MSG_OOB);
}

static void urgent_poll_parked(struct conform *c)
{
	struct pollfd p = { .fd = c->rx, .events = POLLPRI };

	put(c, c->tx, "only plain bytes");
	arrived(c, c->tx);
	DO(c, poll(&p, 1, 0));
	put_oob(c, "!");
	DO(c, poll(&p, 1, PATIENCE_MS));
	say_poll(c, "poll", p.revents);
}

#define BEFORE .expects = SPLICED_BEFORE
#define URGENT .expects = YIELDS
CONFORM_CASES(queue,
	{ 9, "queue_spliced", queue_spliced, BEFORE | OBSERVED_TOO, "FIONREAD (SIOCINQ)" },
	{ 9, "queue_tcp", queue_tcp, URGENT | OBSERVED_TOO, "FIONREAD (SIOCINQ)" },
	{ 9, "queue_mixed", queue_mixed, URGENT | OBSERVED_TOO, "FIONREAD (SIOCINQ)" },
	{ 9, "queue_mixed_reads", queue_mixed_reads, URGENT | OBSERVED_TOO, "One receive returns bytes of one queue" },
	{ 9, "queue_full", queue_full, BEFORE },
	{ 10, "urgent_basic", urgent_basic, URGENT | OBSERVED_TOO, "MSG_OOB receives" },
	{ 10, "urgent_behind_spliced", urgent_behind_spliced, URGENT },
	{ 10, "urgent_first", urgent_first, URGENT | OBSERVED_TOO, "MSG_OOB receives" },
	{ 10, "urgent_none", urgent_none, BEFORE | OBSERVED_TOO, "MSG_OOB receives" },
	{ 10, "urgent_inline", urgent_inline, URGENT },
	{ 10, "urgent_twice", urgent_twice, URGENT },
	{ 10, "urgent_ignored", urgent_ignored, URGENT },
	{ 10, "urgent_signal", urgent_signal, URGENT },
	{ 10, "urgent_poll_parked", urgent_poll_parked, URGENT },
)
