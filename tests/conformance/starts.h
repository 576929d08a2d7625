/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Steps of the cases about how a connection starts: each dials for itself.
 */
#ifndef FASTLO_TESTS_STARTS_H
#define FASTLO_TESTS_STARTS_H

#include "conform.h"

/* Then it is a pair like any other: engages, and both directions are spliced. */
static inline void goes_on(struct conform *c)
{
	uint64_t mark[2];

	if (!engage(c, &c->p))
		return;
	for (int from = 0; from < 2; from++) {
		mark[from] = spliced(c->p.fd[from]);
		stream(c, from, 100000, 1000);
		must_splice(c, from, mark[from], 90000);
	}
	get(c, c->p.fd[CLIENT], 64, 0);
	get(c, c->p.fd[SERVER], 64, 0);
}

static inline void receive(struct conform *c, int fd)
{
	await(c, fd, POLLIN);
	get(c, fd, 64, 0);
}

static inline void accept_pair(struct conform *c)
{
	int r = pair_accept(&c->p);

	say(c, "accept: %s", r < 0 ? strerrorname_np(-r) : "0");
	c->tx = c->p.fd[c->from];
	c->rx = c->p.fd[!c->from];
}

#endif
