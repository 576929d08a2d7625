/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Steps of the cases about endings. A descriptor that is closed becomes -1, so that the runner asks nothing of it.
 */
#ifndef FASTLO_TESTS_ENDINGS_H
#define FASTLO_TESTS_ENDINGS_H

#include "conform.h"

static inline void shut_quietly(struct conform *c, int *fd)
{
	int closing = *fd;

	for (int side = 0; side < 2; side++)
		if (c->p.fd[side] == closing)
			c->p.fd[side] = -1;
	close(closing);
	*fd = -1;
}

static inline void reset(struct conform *c, int *fd)
{
	struct linger now = { 1, 0 };

	setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	shut_quietly(c, fd);
}

/* One spliced message, unread. */
static inline void leave_unread(struct conform *c, const char *text)
{
	uint64_t mark = spliced(c->tx);

	put(c, c->tx, text);
	must_splice(c, c->from, mark, strlen(text));
}

#define CASE(g, f) { .group = g, .name = #f, .run = f, .expects = SPLICED_BEFORE }
#define CASE_DEVIATES(g, f, d) { .group = g, .name = #f, .run = f, .expects = SPLICED_BEFORE, .deviates = d }
#define CASE_OBSERVED_TOO(g, f, d)                                                                                \
	{ .group = g, .name = #f, .run = f, .expects = SPLICED_BEFORE | OBSERVED_TOO, .deviates = d }
#define CASE_OWN(g, f) { .group = g, .name = #f, .run = f, .expects = OWN_PAIR }

#endif
