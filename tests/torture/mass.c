/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The clients: 50,000 connections (or --connections) opened and closed in every way that there is, and 10,000 open at
 * once; nothing may be left of either.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mass.h"

#define CHURN_PAIRS 50000
#define OPEN_PAIRS 10000
#define WARM_PAIRS 1000
#define BATCH 64
#define PIECES 6
#define HANG_MS 30000
#define HEADER sizeof(struct mass_header)

enum ending {
	READ_ALL, /* the answer, then close */
	SHUTDOWN, /* and wait for the end of the stream */
	UNREAD,	  /* close without a look at the answer: TCP sends RST */
	SILENT,	  /* send, close: everything arrives */
	NOTHING,  /* not a byte */
	RESET,	  /* SO_LINGER 0 */
	ENDINGS
};

struct client {
	int fd;
	enum ending ending;
	uint64_t seed;
	uint32_t length; /* as in the header */
	uint64_t sent, got;
};

struct clients {
	struct run *run;
	uint64_t rnd;
	uint64_t admitted; /* endpoints that must have been */
	uint64_t opened;
};

static uint32_t total(const struct client *c)
{
	return c->length & ~MASS_SILENT;
}

static int give_up(struct clients *m, struct client *c, const char *what, int error)
{
	struct fastlo_info i = info(c->fd);

	fprintf(stderr, "%s: %s, sent %llu, got %llu, length %u\n", what, strerror(error), (unsigned long long)c->sent,
		(unsigned long long)c->got, total(c));
	info_dump(stderr, "client", c->fd);
	table_dump(stderr, i.pair);
	return run_fail(m->run, "%s: %s", what, strerror(error));
}

static int client_open(struct clients *m, struct client *c, enum kind k, enum way w)
{
	struct dial d = mass_dial(k, w);
	int r;

	memset(c, 0, sizeof(*c));
	c->seed = rnd(&m->rnd);
	r = pair_connect(&d, d.port[SERVER], &c->fd);
	if (r < 0)
		return run_fail(m->run, "connect: %s", strerror(-r));
	m->opened++;
	m->admitted += w == BOTH_EAGER ? 2 : w == BOTH_OBSERVED ? 0 : 1;
	return 0;
}

static int client_send(struct clients *m, struct client *c, size_t len)
{
	char buf[MASS_STREAM_MAX];

	mass_bytes(buf, len, c->seed, c->length, c->sent);
	/* a few kilobytes unread fit into any send buffer */
	if (send(c->fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		return give_up(m, c, "send", errno);
	c->sent += len;
	m->run->moved += len;
	return 0;
}

/* Until everything sent has come back */
static int client_recv(struct clients *m, struct client *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	char buf[MASS_STREAM_MAX], want[MASS_STREAM_MAX];

	while (c->got < c->sent) {
		ssize_t n = recv(c->fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EAGAIN) {
			if (poll(&p, 1, HANG_MS) != 1)
				return give_up(m, c, "hang: no answer", ETIMEDOUT);
			continue;
		}
		if (n <= 0)
			return give_up(m, c, "receive", n < 0 ? errno : ECONNRESET);
		mass_bytes(want, n, c->seed, c->length, c->got);
		if (memcmp(want, buf, n) != 0)
			return give_up(m, c, "wrong byte", EBADMSG);
		c->got += n;
	}
	return 0;
}

static int client_close(struct clients *m, struct client *c)
{
	struct linger hard = { .l_onoff = 1 };
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	char end;

	if (c->ending == RESET)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (c->ending == SHUTDOWN) {
		shutdown(c->fd, SHUT_WR);
		if (poll(&p, 1, HANG_MS) != 1)
			return give_up(m, c, "hang: no end of the stream", ETIMEDOUT);
		if (recv(c->fd, &end, 1, 0) != 0)
			return give_up(m, c, "end of the stream", errno);
	}
	close(c->fd);
	return 0;
}

static int batch_open(struct clients *m, struct client *c)
{
	int r = 0;

	for (int i = 0; i < BATCH && r == 0; i++) {
		r = client_open(m, &c[i], rnd(&m->rnd) % KINDS, rnd(&m->rnd) % WAYS);
		c[i].ending = rnd(&m->rnd) % ENDINGS;
		if (c[i].ending != NOTHING)
			c[i].length = HEADER + rnd_size(&m->rnd, MASS_STREAM_MAX - HEADER);
		if (c[i].ending == SILENT)
			c[i].length |= MASS_SILENT;
	}
	return r;
}

/* One piece of each stream, then its answer where somebody reads it */
static int batch_talk(struct clients *m, struct client *c, bool last)
{
	int r = 0;

	for (int i = 0; i < BATCH && r == 0; i++) {
		size_t left = total(&c[i]) - c[i].sent, len = last ? left : left / 3;

		/* the header goes in one piece */
		if (c[i].sent == 0 && len < HEADER)
			len = left < HEADER ? left : HEADER;
		if (len)
			r = client_send(m, &c[i], len);
	}
	for (int i = 0; i < BATCH && r == 0; i++)
		if (c[i].ending == READ_ALL || c[i].ending == SHUTDOWN)
			r = client_recv(m, &c[i]);
	return r;
}

static int batch_run(struct clients *m)
{
	struct client c[BATCH];
	int r = batch_open(m, c), pieces = 1 + rnd(&m->rnd) % PIECES;

	for (int i = 0; i < pieces && r == 0; i++)
		r = batch_talk(m, c, i == pieces - 1);
	for (int i = 0; i < BATCH && r == 0; i++)
		r = client_close(m, &c[i]);
	return r;
}

/* Every connection that was accepted has ended at the server, too. */
static int wait_closed(struct clients *m, struct mass_counts *counts)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (__atomic_load_n(&counts->closed, __ATOMIC_ACQUIRE) != m->opened)
		if (!tick(until))
			return run_fail(m->run, "%llu connections opened, %llu ended at the server",
					(unsigned long long)m->opened, (unsigned long long)counts->closed);
	return 0;
}

static int churn(struct clients *m, struct mass_counts *counts)
{
	uint64_t wanted = (m->run->connections ? m->run->connections : CHURN_PAIRS) + WARM_PAIRS;
	struct mass_left *before = NULL;
	bool middle = false;
	int r = 0;

	while (r == 0 && m->opened < WARM_PAIRS)
		r = batch_run(m);
	if (r == 0)
		r = wait_closed(m, counts);
	if (r == 0 && !env.plain)
		r = mass_left_new(&before);
	while (r == 0 && (m->opened < wanted || now_ms() < m->run->until)) {
		r = batch_run(m);
		if (before && m->opened >= wanted / 2 && !middle)
			mass_left_middle(before);
		middle = m->opened >= wanted / 2;
	}
	if (r == 0)
		r = wait_closed(m, counts);
	snprintf(m->run->note, sizeof(m->run->note), ", %llu connections, %llu reset", (unsigned long long)m->opened,
		 (unsigned long long)counts->resets);
	if (r == 0 && !env.plain)
		r = mass_left_check(before, m->run);
	free(before);
	return r;
}

static int all_talk(struct clients *m, struct client *c, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = client_send(m, &c[i], 64);
	for (size_t i = 0; i < n && r == 0; i++)
		r = client_recv(m, &c[i]);
	return r;
}

static size_t count_spliced(struct client *c, size_t n)
{
	size_t spliced_both = 0;

	for (size_t i = 0; i < n; i++) {
		struct fastlo_info f = info(c[i].fd);

		spliced_both += f.tx_spliced_bytes > 0 && f.rx_spliced_bytes > 0;
	}
	return spliced_both;
}

/* Exactly these, and none of those that were closed before */
static int wait_listed(struct clients *m, size_t n)
{
	int64_t until = now_ms() + HANG_MS;
	size_t shown = 0;

	do {
		struct json_object *list = NULL;

		if (env_ctl(&list, "list", NULL) == 0 && list)
			shown = json_object_array_length(list);
		json_object_put(list);
		if (shown == n)
			return 0;
	} while (now_ms() < until);
	return run_fail(m->run, "fastloctl list shows %zu pairs of %zu", shown, n);
}

/* All of them, both ways */
static int all_spliced(struct clients *m, struct client *c, size_t n)
{
	int64_t until = now_ms() + HANG_MS;
	size_t have = 0;
	int r;

	do {
		r = all_talk(m, c, n);
		have = r == 0 ? count_spliced(c, n) : 0;
	} while (r == 0 && !env.plain && have < n && now_ms() < until);
	if (r < 0 || env.plain)
		return r;
	for (size_t i = 0, shown = 0; i < n && have < n && shown < 3; i++) {
		struct fastlo_info f = info(c[i].fd);

		if (f.tx_spliced_bytes && f.rx_spliced_bytes)
			continue;
		info_dump(stderr, "not spliced", c[i].fd);
		table_dump(stderr, f.pair);
		shown++;
	}
	if (have < n)
		return run_fail(m->run, "only %zu of %zu pairs are spliced both ways", have, n);
	return wait_listed(m, n);
}

static int open_at_once(struct clients *m, struct mass_counts *counts, size_t n, struct mass_left *before)
{
	struct client *c = calloc(n, sizeof(*c));
	size_t have = 0;
	int r = c ? 0 : -ENOMEM;

	for (; have < n && r == 0; have += r == 0)
		r = client_open(m, &c[have], have % KINDS, rnd(&m->rnd) % 2 ? BOTH_EAGER : BOTH_OBSERVED);
	if (r == 0)
		r = all_spliced(m, c, n);
	if (before)
		mass_left_middle(before);
	for (size_t i = 0; i < have; i++)
		close(c[i].fd);
	free(c);
	return r == 0 ? wait_closed(m, counts) : r;
}

static int open_many(struct clients *m, struct mass_counts *counts)
{
	struct mass_left *before = NULL;
	int r = open_at_once(m, counts, WARM_PAIRS, NULL);

	if (r == 0 && !env.plain)
		r = mass_left_new(&before);
	do
		r = r == 0 ? open_at_once(m, counts, OPEN_PAIRS, before) : r;
	while (r == 0 && now_ms() < m->run->until);
	snprintf(m->run->note, sizeof(m->run->note), ", %llu connections", (unsigned long long)m->opened);
	if (r == 0 && !env.plain)
		r = mass_left_check(before, m->run);
	free(before);
	return r;
}

static int with_server(struct run *run, int (*what)(struct clients *m, struct mass_counts *counts))
{
	struct clients m = { .run = run, .rnd = run->seed };
	struct mass_counts *counts = NULL;
	pid_t server = 0;
	int r = mass_server_start(&server, &counts), old, e = 0;

	if (r == 0)
		r = netns_enter(netns_own(), &old);
	if (r == 0) {
		r = what(&m, counts);
		netns_leave(old);
	}
	if (server > 0)
		e = mass_server_stop(server, counts);
	if (e < 0)
		run_fail(run, "the server found wrong or missing bytes, or an error");
	if (r == 0 && e == 0 && !env.plain) {
		run->spliced = env_stat("spliced_bytes");
		if ((int64_t)run->spliced <= 0)
			return run_fail(run, "nothing was spliced");
		if (env_stat("admitted") < (int64_t)m.admitted)
			return run_fail(run, "%llu endpoints had to be admitted", (unsigned long long)m.admitted);
	}
	return r ? r : e;
}

int mass_churn(const struct scenario *s, struct run *run)
{
	(void)s;
	return with_server(run, churn);
}

int mass_open(const struct scenario *s, struct run *run)
{
	(void)s;
	return with_server(run, open_many);
}
