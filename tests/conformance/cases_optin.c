/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Group 23: what an opt-in that is late, one-sided, withdrawn or useless does.
 */
#include "endings.h"
#include "starts.h"

static void late_opt_in(struct conform *c)
{
	if (dial(c, &c->p, (struct dial){ 0 }) < 0)
		return;
	DO(c, -opt_in(c->p.fd[CLIENT], 1));
	DO(c, -opt_in(c->p.fd[SERVER], 1));
	put(c, c->tx, "hello");
	receive(c, c->rx);
	goes_on(c);
}

/* The other end lives where no policy is, and does not opt in. */
static void one_side_only(struct conform *c)
{
	struct dial mine = { .kind = c->kind, .opt = { c->mode == EAGER, c->mode == EAGER } }, other = { .kind = c->kind };
	bool listens = c->from == SERVER;
	uint16_t port;

	if (listens)
		env_join(env.cgroup);
	if (pair_listen(listens ? &other : &mine, &c->p.listener, &port) < 0)
		broken(c, "cannot listen");
	env_join(!listens || c->mode != OBSERVED ? env.cgroup : env.app);
	if (pair_connect(listens ? &mine : &other, port, &c->p.fd[CLIENT]) < 0)
		broken(c, "cannot connect");
	accept_pair(c);
	say(c, "rounds: %d", pair_pingpong(&c->p, 30, 100));
	stream(c, CLIENT, 1 << 20, 3000);
	stream(c, SERVER, 1 << 20, 3000);
	say(c, "spliced: %llu", (unsigned long long)(spliced(c->tx) + spliced(c->rx)));
	shutdown(c->tx, SHUT_WR);
	receive(c, c->rx);
}

static void withdrawn(struct conform *c)
{
	uint64_t mark = spliced(c->tx);

	put(c, c->tx, "unread");
	must_splice(c, c->from, mark, 6);
	DO(c, -opt_in(c->rx, 0));
	put(c, c->tx, " and more");
	arrived(c, c->tx);
	get(c, c->rx, 6, 0);
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
	stream(c, CLIENT, 1 << 18, 1000);
	stream(c, SERVER, 1 << 18, 1000);
	DO(c, -opt_in(c->tx, 0));
	stream(c, CLIENT, 1 << 18, 1000);
}

/* One receive for what came before the withdrawal and after it. */
static void withdrawn_and_read_at_once(struct conform *c)
{
	put(c, c->tx, "unread");
	DO(c, -opt_in(c->rx, 0));
	put(c, c->tx, " and more");
	arrived(c, c->tx);
	get(c, c->rx, 64, 0);
	get(c, c->rx, 64, 0);
}

static void nobody_there(struct conform *c)
{
	struct dial d = { .kind = c->kind, .opt = { c->mode == EAGER, c->mode == EAGER } };
	uint16_t port;
	int fd = -1;

	if (pair_listen(&d, &c->p.listener, &port) < 0)
		broken(c, "cannot listen");
	close(c->p.listener);
	c->p.listener = -1;
	say(c, "connect: %s", strerrorname_np(-pair_connect(&d, port, &fd)));
	if (dial(c, &c->p, (struct dial){ 0 }) == 0)
		goes_on(c);
}

CONFORM_CASES(optin, CASE_OWN(23, late_opt_in), CASE_OWN(23, one_side_only), CASE_OWN(23, nobody_there),
	      CASE(23, withdrawn), CASE_OBSERVED_TOO(23, withdrawn_and_read_at_once, "One receive returns bytes of one queue"))
