/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Groups 3 to 6, the sending side: sizes, full buffers, blocking sends, and the options that hold bytes
 * back. When bytes arrive is not compared, only that they do, and in which order.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/time.h>

#include "conform.h"

static void sizes_up(struct conform *c)
{
	static const size_t sizes[] = { 1,     2,     7,      63,	 64,	  65,	   255,	   256,	   1000,   1447,
					1448,  1449,  4095,   4096,	 4097,	  16384,   32741,  32768,  65483,  65535,
					65536, 65537, 100001, 131072, 1 << 20, 3000001, 1 << 24 };
	uint64_t mark[2] = { spliced(c->p.fd[CLIENT]), spliced(c->p.fd[SERVER]) };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int from = 0; from < 2; from++) {
			stream(c, from, sizes[i], sizes[i]);
			say(c, "%zu: left %llu", sizes[i], (unsigned long long)(c->p.sent[from] - c->p.got[from]));
		}
	for (int from = 0; from < 2; from++)
		must_splice(c, from, mark[from], 200000);
}

static void sizes_both_ways(struct conform *c)
{
	uint64_t random = 17, mark = spliced(c->tx);

	for (int i = 0; i < 300; i++) {
		size_t len[2] = { rnd_size(&random, 60000), rnd_size(&random, 60000) };
		int r = 0;

		for (int from = 0; from < 2 && r == 0; from++)
			r = pair_send(&c->p, from, len[from]);
		for (int from = 0; from < 2 && r == 0; from++)
			r = pair_drain(&c->p, from);
		if (r < 0)
			say(c, "round %d: %s", i, strerrorname_np(-r));
	}
	must_splice(c, c->from, mark, 100000);
	say(c, "left %llu", (unsigned long long)(c->p.sent[0] - c->p.got[0] + c->p.sent[1] - c->p.got[1]));
	get(c, c->rx, 1, 0);
}

static void sizes_zero(struct conform *c)
{
	for (int i = 0; i < 3; i++) {
		DO(c, send(c->tx, "", 0, 0));
		look(c, c->rx);
		get(c, c->rx, 10, 0);
		put(c, c->tx, "a");
		await(c, c->rx, POLLIN);
		DO(c, send(c->tx, "", 0, MSG_MORE));
		get(c, c->rx, 10, 0);
	}
}

/* Fills with a stopped reader; EPOLLOUT goes and comes back. */
static void fill_and_drain(struct conform *c, size_t msg)
{
	int64_t n = pair_fill(&c->p, c->from, msg);

	say(c, "messages of %zu", msg);
	say_about(c, "accepted until EAGAIN", n);
	look(c, c->tx);
	look(c, c->rx);
	say(c, "drained %d", pair_drain(&c->p, c->from));
	await(c, c->tx, POLLOUT);
	look(c, c->tx);
	arrived(c, c->tx);
	stream(c, c->from, 100000, 1000);
}

static void full_default(struct conform *c)
{
	fill_and_drain(c, 65536);
}

static void full_small_messages(struct conform *c)
{
	fill_and_drain(c, 1000);
}

static void full_tiny_messages(struct conform *c)
{
	opt(c->rx, SOL_SOCKET, SO_RCVBUF, 32768);
	opt(c->tx, SOL_SOCKET, SO_SNDBUF, 32768);
	fill_and_drain(c, 16);
}

static void full_fixed(struct conform *c, int rcvbuf, int sndbuf)
{
	if (dial(c, &c->p, (struct dial){ .rcvbuf = rcvbuf, .sndbuf = sndbuf }) < 0 || !engage(c, &c->p))
		return;
	moment(c);
	fill_and_drain(c, 4096);
}

static void full_4k(struct conform *c)
{
	full_fixed(c, 4096, 4096);
}

static void full_64k(struct conform *c)
{
	full_fixed(c, 65536, 65536);
}

static void full_1m(struct conform *c)
{
	full_fixed(c, 1 << 20, 1 << 20);
}

static void full_16m(struct conform *c)
{
	full_fixed(c, 16 << 20, 16 << 20);
}

static void full_changing(struct conform *c)
{
	static const int sizes[] = { 1 << 20, 4096, 262144, 16384, 1 << 22, 65536 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		opt(c->rx, SOL_SOCKET, SO_RCVBUF, sizes[i]);
		opt(c->tx, SOL_SOCKET, SO_SNDBUF, sizes[i]);
		stream(c, c->from, 300000, 3000);
		stream(c, !c->from, 300000, 3000);
	}
	say(c, "left %llu", (unsigned long long)(c->p.sent[c->from] - c->p.got[c->from]));
}

/* A reader in small steps: the writer gets room again. */
static void full_follows_reader(struct conform *c)
{
	pair_fill(&c->p, c->from, 10000);
	for (int i = 0; i < 3; i++) {
		int64_t until = now_ms() + PATIENCE_MS, more = 0;

		while (more == 0 && c->p.got[c->from] < c->p.sent[c->from] && now_ms() < until) {
			if (pair_recv(&c->p, c->from, 1) < 0)
				break;
			pair_try_recv(&c->p, c->from, 100000, 0);
			more = pair_fill(&c->p, c->from, 10000);
		}
		say(c, "more accepted %d", more > 0);
		look(c, c->tx);
	}
	say(c, "drained %d", pair_drain(&c->p, c->from));
	look(c, c->tx);
}

static void set_timeout(int fd, int name, int ms)
{
	struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, name, &limit, sizeof(limit));
}

/* One call of 16 MiB waits for its reader, more than once. */
static void send_blocks(struct conform *c)
{
	size_t size = 16 << 20, have = 0;
	struct job j = { .fd = c->tx, .send = true, .mem = malloc(size), .len = size };
	char *mem = malloc(size);

	pattern_fill(j.mem, size, 5, 0);
	blocking(c->tx, true);
	job_start(c, &j);
	job_asleep(c, &j);
	while (have < size && await(c, c->rx, POLLIN)) {
		ssize_t n = recv(c->rx, mem + have, size - have, MSG_DONTWAIT);

		have += n > 0 ? n : 0;
	}
	say_hash(c, "received", mem, have);
	job_end(c, "send", &j);
}

/* Again if one did not wait: acknowledgements under way make room for a few bytes more. */
static void send_times_out(struct conform *c)
{
	int64_t until = now_ms() + PATIENCE_MS, start;
	char mem[10];
	long n;

	set_timeout(c->tx, SO_SNDTIMEO, 100);
	do {
		blocking(c->tx, false);
		pair_fill(&c->p, c->from, 10000);
		blocking(c->tx, true);
		pattern_fill(mem, sizeof(mem), c->p.seed + c->from, c->p.sent[c->from]);
		start = now_ms();
		n = send(c->tx, mem, sizeof(mem), 0);
		c->p.sent[c->from] += n > 0 ? n : 0;
	} while (n > 0 && tick(until));
	said(c, "send", n);
	say(c, "waited %d", now_ms() - start >= 90);
	say(c, "drained %d", pair_drain(&c->p, c->from));
	arrived(c, c->tx);
	put(c, c->tx, "again");
	await(c, c->rx, POLLIN);
	get(c, c->rx, 10, 0);
}

static void send_times_out_in_part(struct conform *c)
{
	size_t size = 64 << 20;
	char *mem = calloc(1, size);
	long n;

	blocking(c->tx, true);
	set_timeout(c->tx, SO_SNDTIMEO, 100);
	n = send(c->tx, mem, size, 0);
	say(c, "sent in part %d", n > 0 && n < (long)size);
	say_about(c, "sent", n);
}

static void recv_blocks(struct conform *c)
{
	char mem[64];

	blocking(c->rx, true);
	for (int i = 0; i < 5; i++) {
		struct job j = { .fd = c->rx, .mem = mem, .len = sizeof(mem) };

		job_start(c, &j);
		job_asleep(c, &j);
		put(c, c->tx, "wake up");
		job_end(c, "recv", &j);
	}
}

static void recv_times_out(struct conform *c)
{
	char mem[64];
	int64_t start;

	blocking(c->rx, true);
	set_timeout(c->rx, SO_RCVTIMEO, 100);
	for (int i = 0; i < 3; i++) {
		start = now_ms();
		DO(c, recv(c->rx, mem, sizeof(mem), 0));
		say(c, "waited %d", now_ms() - start >= 90);
		put(c, c->tx, "there");
		said_bytes(c, "recv", mem, recv(c->rx, mem, sizeof(mem), 0));
	}
}

static void hold_more(struct conform *c)
{
	uint64_t mark = spliced(c->tx);

	DO(c, send(c->tx, "ab", 2, MSG_MORE));
	DO(c, send(c->tx, "cd", 2, MSG_MORE));
	DO(c, send(c->tx, "ef", 2, 0));
	arrived(c, c->tx);
	get(c, c->rx, 100, 0);
	DO(c, send(c->tx, "alone", 5, MSG_MORE));
	await(c, c->rx, POLLIN);
	get(c, c->rx, 100, 0);
	must_splice(c, c->from, mark, 1);
}

static void hold_cork(struct conform *c)
{
	opt(c->tx, IPPROTO_TCP, TCP_CORK, 1);
	put(c, c->tx, "ab");
	put(c, c->tx, "cd");
	opt(c->tx, IPPROTO_TCP, TCP_CORK, 0);
	put(c, c->tx, "ef");
	arrived(c, c->tx);
	get(c, c->rx, 100, 0);
	opt(c->tx, IPPROTO_TCP, TCP_CORK, 1);
	put(c, c->tx, "corked");
	await(c, c->rx, POLLIN);
	get(c, c->rx, 100, 0);
	stream(c, c->from, 100000, 777);
	stream(c, !c->from, 100000, 777);
}

static void hold_nagle(struct conform *c)
{
	for (int side = 0; side < 2; side++)
		opt(c->p.fd[side], IPPROTO_TCP, TCP_NODELAY, 0);
	for (int i = 0; i < 10; i++)
		DO(c, send(c->tx, "x", 1, 0));
	arrived(c, c->tx);
	get(c, c->rx, 100, 0);
	for (int i = 0; i < 10; i++)
		stream(c, i & 1, 1000, 10);
	opt(c->tx, IPPROTO_TCP, TCP_NODELAY, 1);
	put(c, c->tx, "at once");
	arrived(c, c->tx);
	get(c, c->rx, 100, 0);
}

#define BEFORE .expects = SPLICED_BEFORE
CONFORM_CASES(size,
	{ 3, "sizes_up", sizes_up, BEFORE },
	{ 3, "sizes_both_ways", sizes_both_ways, BEFORE },
	{ 3, "sizes_zero", sizes_zero, BEFORE },
	{ 4, "full_default", full_default, BEFORE },
	{ 4, "full_small_messages", full_small_messages, BEFORE },
	{ 4, "full_tiny_messages", full_tiny_messages, .expects = SPLICED_BEFORE | OBSERVED_TOO,
	  "Tiny messages fill the send buffer sooner" },
	{ 4, "full_4k", full_4k, .expects = SPLICED_BEFORE | OWN_PAIR },
	{ 4, "full_64k", full_64k, .expects = SPLICED_BEFORE | OWN_PAIR },
	{ 4, "full_1m", full_1m, .expects = SPLICED_BEFORE | OWN_PAIR },
	{ 4, "full_16m", full_16m, .expects = SPLICED_BEFORE | OWN_PAIR },
	{ 4, "full_changing", full_changing, BEFORE },
	{ 4, "full_follows_reader", full_follows_reader, BEFORE },
	{ 5, "send_blocks", send_blocks, BEFORE },
	{ 5, "send_times_out", send_times_out, BEFORE },
	{ 5, "send_times_out_in_part", send_times_out_in_part, BEFORE },
	{ 5, "recv_blocks", recv_blocks, BEFORE },
	{ 5, "recv_times_out", recv_times_out, BEFORE },
	{ 6, "hold_more", hold_more, BEFORE },
	{ 6, "hold_cork", hold_cork, BEFORE },
	{ 6, "hold_nagle", hold_nagle, BEFORE },
)
