/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Groups 7 and 8: receives that want a certain number of bytes, by MSG_WAITALL and by SO_RCVLOWAT.
 */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "conform.h"

static void supply(struct conform *c, size_t len)
{
	int r = pair_send(&c->p, c->from, len);

	if (r < 0)
		say(c, "(cannot send: %s)", strerrorname_np(-r));
}

/* Until the reader has taken what is there, so that the second part is a wake-up of its own. */
static void taken(struct conform *c)
{
	int64_t until = now_ms() + PATIENCE_MS;
	int unread = 0;

	do
		ioctl(c->rx, FIONREAD, &unread);
	while (unread && tick(until));
	if (unread)
		say(c, "(waited in vain for %d bytes to be taken)", unread);
}

/* A receive of all of its bytes, which come in two parts. */
static void waitall_once(struct conform *c, size_t first, size_t second)
{
	static char mem[65536];
	struct job j = { .fd = c->rx, .mem = mem, .len = first + second, .flags = MSG_WAITALL };

	job_start(c, &j);
	job_asleep(c, &j);
	supply(c, first);
	arrived(c, c->tx);
	taken(c);
	supply(c, second);
	job_end(c, "recv", &j);
	arrived(c, c->tx);
	if (j.r < (long)j.len)
		get(c, c->rx, 256, 0);
}

static void waitall_from_first(struct conform *c)
{
	if (dial(c, &c->p, (struct dial){ 0 }) < 0)
		return;
	blocking(c->rx, true);
	for (int i = 0; i < 4; i++)
		waitall_once(c, 150, 100);
	moment(c);
}

static void waitall_after_plain(struct conform *c)
{
	blocking(c->rx, true);
	waitall_once(c, 150, 100);
}

/* The second one is as on TCP again. */
static void waitall_second(struct conform *c)
{
	static char mem[1000];
	uint64_t mark = spliced(c->tx);
	struct job j = { .fd = c->rx, .mem = mem, .len = 500, .flags = MSG_WAITALL };

	supply(c, 500);
	must_splice(c, c->from, mark, 500);
	blocking(c->rx, true);
	job_start(c, &j);
	job_end(c, "all there", &j);
	for (int i = 0; i < 4; i++)
		waitall_once(c, 150, 100);
}

static void waitall_nonblocking(struct conform *c)
{
	char mem[256];
	uint64_t mark = spliced(c->tx);

	supply(c, 50);
	must_splice(c, c->from, mark, 50);
	await(c, c->rx, POLLIN);
	said_bytes(c, "recv", mem, recv(c->rx, mem, 100, MSG_WAITALL));
	DO(c, recv(c->rx, mem, 100, MSG_WAITALL));
	supply(c, 150);
	arrived(c, c->tx);
	said_bytes(c, "peek", mem, recv(c->rx, mem, 100, MSG_WAITALL | MSG_PEEK));
	said_bytes(c, "recv", mem, recv(c->rx, mem, 100, MSG_WAITALL));
}

/* Spliced, then more than fits: the tail is TCP's. */
static void waitall_while_spilling(struct conform *c)
{
	size_t size = 8 << 20;
	struct job send_all = { .fd = c->tx, .send = true, .mem = malloc(size), .len = size };
	char *mem = malloc(size);

	pattern_fill(send_all.mem, size, 5, 0);
	blocking(c->tx, true);
	blocking(c->rx, true);
	job_start(c, &send_all);
	for (int i = 0; i < 8; i++) {
		long n = recv(c->rx, mem, size / 8, MSG_WAITALL);

		said_bytes(c, "recv", mem, n);
		if (n <= 0)
			break;
	}
	job_end(c, "send", &send_all);
}

static void waitall_messages_while_spilling(struct conform *c)
{
	size_t size = 60000;
	char *mem = malloc(4 * size);
	uint64_t mark = spliced(c->tx);

	for (int i = 0; i < 4; i++)
		supply(c, size);
	must_splice(c, c->from, mark, 1);
	blocking(c->rx, true);
	for (int i = 0; i < 2; i++)
		said_bytes(c, "recv", mem, recv(c->rx, mem, 2 * size, MSG_WAITALL));
	blocking(c->rx, false);
	get(c, c->rx, 10, 0);
}

static void lowat_set(struct conform *c)
{
	opt(c->rx, SOL_SOCKET, SO_RCVLOWAT, 100);
	for (int i = 0; i < 3; i++) {
		supply(c, 60);
		arrived(c, c->tx);
		look(c, c->rx);
		supply(c, 60);
		arrived(c, c->tx);
		look(c, c->rx);
		get(c, c->rx, 50, 0);
		look(c, c->rx);
		get(c, c->rx, 200, 0);
	}
	opt(c->rx, SOL_SOCKET, SO_RCVLOWAT, 1);
	supply(c, 1);
	await(c, c->rx, POLLIN);
	get(c, c->rx, 200, 0);
	look(c, c->rx);
}

static void lowat_blocking(struct conform *c)
{
	char mem[256];

	opt(c->rx, SOL_SOCKET, SO_RCVLOWAT, 100);
	blocking(c->rx, true);
	for (int i = 0; i < 3; i++) {
		struct job j = { .fd = c->rx, .mem = mem, .len = 200 };

		job_start(c, &j);
		job_asleep(c, &j);
		supply(c, 60);
		arrived(c, c->tx);
		job_asleep(c, &j);
		supply(c, 60);
		arrived(c, c->tx);
		job_end(c, "recv", &j);
		get(c, c->rx, 200, 0);
	}
}

static void lowat_late(struct conform *c)
{
	uint64_t mark = spliced(c->tx);

	supply(c, 60);
	must_splice(c, c->from, mark, 60);
	opt(c->rx, SOL_SOCKET, SO_RCVLOWAT, 100);
	look(c, c->rx);
	supply(c, 60);
	arrived(c, c->tx);
	look(c, c->rx);
	get(c, c->rx, 200, 0);
	get(c, c->rx, 200, 0);
	supply(c, 60);
	arrived(c, c->tx);
	look(c, c->rx);
}

/* Bytes below the mark are unread; the mark goes down. */
static void lowat_lowered(struct conform *c)
{
	opt(c->rx, SOL_SOCKET, SO_RCVLOWAT, 100);
	supply(c, 60);
	arrived(c, c->tx);
	look(c, c->rx);
	opt(c->rx, SOL_SOCKET, SO_RCVLOWAT, 1);
	look(c, c->rx);
	supply(c, 10);
	arrived(c, c->tx);
	get(c, c->rx, 200, 0);
}

static void lowat_below_one(struct conform *c)
{
	uint64_t mark = spliced(c->tx);
	int zero = 0, value = -1;
	socklen_t len = sizeof(value);

	DO(c, setsockopt(c->rx, SOL_SOCKET, SO_RCVLOWAT, &zero, sizeof(zero)));
	DO(c, getsockopt(c->rx, SOL_SOCKET, SO_RCVLOWAT, &value, &len));
	say(c, "value %d", value);
	supply(c, 10);
	must_splice(c, c->from, mark, 10);
	await(c, c->rx, POLLIN);
	get(c, c->rx, 200, 0);
}

#define BEFORE .expects = SPLICED_BEFORE
#define LATE .expects = SPLICED_BEFORE | OBSERVED_TOO
CONFORM_CASES(wait,
	{ 7, "waitall_from_first", waitall_from_first, .expects = OWN_PAIR,
	  .deviates = "MSG_WAITALL may return early" },
	{ 7, "waitall_after_plain", waitall_after_plain, LATE, "MSG_WAITALL may return early" },
	{ 7, "waitall_second", waitall_second, BEFORE },
	{ 7, "waitall_nonblocking", waitall_nonblocking, BEFORE },
	{ 7, "waitall_while_spilling", waitall_while_spilling, BEFORE },
	{ 7, "waitall_messages_while_spilling", waitall_messages_while_spilling, LATE, "MSG_WAITALL may return early" },
	{ 8, "lowat_set", lowat_set, .expects = YIELDS },
	{ 8, "lowat_blocking", lowat_blocking, .expects = YIELDS },
	{ 8, "lowat_late", lowat_late, LATE, "SO_RCVLOWAT set while spliced bytes are unread" },
	{ 8, "lowat_lowered", lowat_lowered, .expects = YIELDS },
	{ 8, "lowat_below_one", lowat_below_one, BEFORE },
)
