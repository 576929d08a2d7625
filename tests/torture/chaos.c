/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See chaos.h. Every wait looks at the traffic, so that a hang is found while the disturbance goes on.
 */
#include <errno.h>
#include <string.h>

#include "chaos.h"

#define GROW_MS 30000 /* a bulk stream is left to TCP for up to 8 s, and until the sweep after that */
#define TALK (TRAFFIC_PEEK | TRAFFIC_PAUSE | TRAFFIC_VECTORS | TRAFFIC_CATCHUP | TRAFFIC_BUFFERS)

static int check_all(struct chaos *c)
{
	int r = 0;

	for (int i = 0; i < CHAOS_MAX && r == 0; i++)
		if (c->crowd[i].traffic)
			r = traffic_check(c->crowd[i].traffic);
	return r;
}

int chaos_with_fastlod(struct chaos *c)
{
	if (!env.plain)
		return 0;
	run_fail(c->run, "no fastlod under PLAIN=1");
	return TORTURE_SKIP;
}

int chaos_pause(struct chaos *c, int ms)
{
	int64_t until = now_ms() + ms;
	int r;

	do
		r = check_all(c);
	while (r == 0 && tick(until));
	return r;
}

/* Waits until `have` says of each resident's ends, and of what it was at the start, that it is enough. */
static int await_residents(struct chaos *c, bool (*have)(int fd, uint64_t first), const char *else_what)
{
	uint64_t first[CHAOS_RESIDENTS][2];
	int64_t until = now_ms() + GROW_MS;
	int left, r;

	if (env.plain)
		return chaos_pause(c, 10);
	for (int i = 0; i < CHAOS_RESIDENTS; i++)
		for (int side = 0; side < 2; side++)
			first[i][side] = spliced(c->crowd[i].pair.fd[side]);
	do {
		left = 0;
		for (int i = 0; i < CHAOS_RESIDENTS; i++)
			for (int side = 0; side < 2; side++)
				left += !have(c->crowd[i].pair.fd[side], first[i][side]);
		r = check_all(c);
	} while (r == 0 && left && tick(until));
	if (r == 0 && left) {
		for (int i = 0; i < CHAOS_RESIDENTS; i++)
			pair_dump(stderr, &c->crowd[i].pair);
		return run_fail(c->run, "%s", else_what);
	}
	return r;
}

static bool has_spliced(int fd, uint64_t first)
{
	return spliced(fd) > first;
}

int chaos_grow(struct chaos *c)
{
	int r = await_residents(c, has_spliced, "not spliced again");

	c->grown += r == 0;
	return r;
}

static bool is_on_tcp(int fd, uint64_t first)
{
	(void)first;
	return info(fd).state == FASTLO_STATE_TCP;
}

int chaos_on_tcp(struct chaos *c)
{
	return await_residents(c, is_on_tcp, "not back on TCP");
}

int chaos_start(struct chaos *c)
{
	int64_t until = now_ms() + CHAOS_PATIENCE_MS;
	int r = env_start();

	while (r == 0 && now_ms() < until) {
		r = env_ready();
		if (r == 0)
			r = chaos_pause(c, 1);
	}
	return r > 0 ? 0 : run_fail(c->run, "fastlod did not start again: %s", strerror(r ? -r : ETIMEDOUT));
}

static int open_one(struct chaos *c, int i)
{
	bool blocking = i >= CHAOS_RESIDENTS && i < CHAOS_LASTING;
	bool eager = !c->d->nobody_opts_in && !blocking && c->opened % 2 == 0;
	struct traffic_opts o = { .seed = rnd(&c->rnd), .max_send = 1024 << rnd(&c->rnd) % 9,
				  .max_recv = 2048 << rnd(&c->rnd) % 8, .flags = TALK | (blocking ? TRAFFIC_BLOCKING : 0),
				  .tally = blocking && c->d->blocking_let_in ? NULL : &c->run->tally };
	struct pair *p = &c->crowd[i].pair;
	int r = c->d->enter ? c->d->enter(c) : 0;

	if (r < 0)
		return r;
	r = pair_open(p, c->opened / 2 % KINDS, eager, eager);
	if (c->d->leave)
		c->d->leave(c);
	if (r < 0)
		return r;
	p->seed = rnd(&c->rnd);
	/* the lasting ones' ends are processes of their own */
	r = (i < CHAOS_LASTING ? traffic_fork : traffic_start)(&c->crowd[i].traffic, p, &o);
	c->opened++;
	return r;
}

static int close_one(struct chaos *c, int i)
{
	struct pair *p = &c->crowd[i].pair;
	/* else no slot counts its bytes; ends come in one by one, and between them a policy may go */
	bool known = info(p->fd[CLIENT]).pair && info(p->fd[SERVER]).pair && !c->d->forgetful;
	uint64_t moved, counted = 0;
	int r;

	if (!c->crowd[i].traffic)
		return 0;
	r = traffic_stop(c->crowd[i].traffic);
	c->crowd[i].traffic = NULL;
	moved = p->got[0] + p->got[1];
	c->run->moved += moved;
	for (int side = 0; side < 2; side++) {
		struct fastlo_info n = info(p->fd[side]);

		c->run->spliced += n.tx_spliced_bytes;
		c->run->tcp += n.tx_tcp_bytes;
		c->guests_spliced += i < CHAOS_LASTING ? 0 : n.tx_spliced_bytes;
		counted += n.tx_spliced_bytes + n.tx_tcp_bytes;
	}
	if (r < 0) {
		fprintf(stderr, "pair %d: %s\n", i, r == -EBADMSG ? "MISMATCH" : strerror(-r));
		pair_dump(stderr, p);
	} else if (known && counted != moved) {
		pair_dump(stderr, p);
		r = run_fail(c->run, "a pair's counters do not add up: %llu counted, %llu received",
			     (unsigned long long)counted, (unsigned long long)moved);
	}
	pair_close(p);
	return r;
}

static int close_from(struct chaos *c, int first)
{
	int r = 0;

	for (int i = first; i < CHAOS_MAX; i++) {
		int e = close_one(c, i);

		r = r ? r : e;
	}
	return r;
}

/* The guests of one round */
static int round_of(struct chaos *c)
{
	int64_t until = now_ms() + 500 + rnd(&c->rnd) % 2000;
	int r = 0, e;

	for (int i = 0; i < c->d->guests && r == 0; i++)
		r = open_one(c, CHAOS_LASTING + i);
	do {
		if (r == 0)
			r = c->d->step(c);
		c->steps++;
		if (r == 0)
			r = check_all(c);
	} while (r == 0 && now_ms() < until && now_ms() < c->run->until);
	e = close_from(c, CHAOS_LASTING);
	return r ? r : e;
}

static int all_rounds(struct chaos *c)
{
	int r = 0;

	for (int i = 0; i < CHAOS_LASTING && r == 0; i++)
		r = open_one(c, i);
	if (r == 0)
		r = chaos_grow(c);
	while (r == 0 && now_ms() < c->run->until)
		r = round_of(c);
	if (r == 0 && c->d->calm)
		r = c->d->calm(c);
	if (r == 0)
		r = chaos_grow(c);
	if (r == 0 && c->grown < 3)
		r = run_fail(c->run, "spliced only before and after");
	if (r == 0)
		r = c->d->proof(c);
	return r;
}

int chaos_run(const struct scenario *s, struct run *run)
{
	struct chaos c = { .d = s->disturbance, .run = run, .rnd = run->seed };
	int r = c.d->begin ? c.d->begin(&c) : 0, e;

	if (r != 0)
		return r;
	r = all_rounds(&c);
	e = close_from(&c, 0);
	if (r == 0 && e == 0 && (run->tally.lost || run->tally.resets || run->tally.errors))
		e = run_fail(run, "%llu bytes lost, %llu resets, %llu errors", (unsigned long long)run->tally.lost,
			     (unsigned long long)run->tally.resets, (unsigned long long)run->tally.errors);
	if (c.d->end)
		c.d->end(&c);
	return r ? r : e;
}
