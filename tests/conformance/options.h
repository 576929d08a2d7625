/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The list of socket options that group 24 tries, each as a case of its own and as a row of docs/OPTIONS.md.
 */
#ifndef FASTLO_TESTS_OPTIONS_H
#define FASTLO_TESTS_OPTIONS_H

#include <stddef.h>
#include <sys/socket.h>

enum {
	OPTION_WINDOWS = 1 << 0,  /* also on the list of what Windows' loopback fast path ignores: comes first */
	OPTION_VARIES = 1 << 1,   /* what get returns differs from run to run: only its length counts */
	OPTION_GET_ONLY = 1 << 2,
	OPTION_MAY_STOP = 1 << 3, /* plain TCP stops to deliver over a host address, which takes every wait's full patience: not tried */
	OPTION_BUSY = 1 << 4, /* EBUSY in a sockmap (docs/DEVIATIONS.md) */
};

struct option {
	const char *name;
	int level, option;
	const void *value;
	socklen_t len;
	unsigned int flags;
	const char *note; /* NULL, or for docs/OPTIONS.md */
};

extern const struct option options[];
extern const size_t options_count;

#endif
