/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kinds of host filters that make messages go over TCP, and their values: the one table for section [yield], for a
 * policy's own word on it, and for output. Bits are FL_Y_* of abi.h.
 */
#ifndef FASTLO_YIELDS_H
#define FASTLO_YIELDS_H

#include <stddef.h>
#include <stdint.h>

/* Without a configuration: whatever holds a rule or listens. */
#define YIELDS_DEFAULT (FL_Y_ALL & ~FL_Y_HOOKS)
#define YIELDS_TEXT_MAX 160

struct yields {
	uint32_t set;  /* which bits are decided here */
	uint32_t bits; /* how */
};

/* "netfilter", "rules". -ENOENT: no such kind; -EINVAL: "KIND: 'VALUE' is not ..." in err. */
int yields_set(struct yields *y, const char *kind, const char *value, char *err, size_t errlen);
/* "netfilter=rules packet=never": adds to y; all or nothing. -EINVAL with a text in err. */
int yields_parse(struct yields *y, const char *text, char *err, size_t errlen);
/* What is decided, in the form that yields_parse() takes; "" if nothing is. */
void yields_print(const struct yields *y, char ret_text[YIELDS_TEXT_MAX]);
/* For the kernel: the upper half of fl_policy.flags. */
uint32_t yields_flags(const struct yields *y);

#endif
