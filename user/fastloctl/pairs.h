/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pairs, as JSON: pure functions over the records of the list iterator. What only /proc and cgroupfs
 * know comes through struct pairs_names, so tests can make it up.
 */
#ifndef FASTLO_PAIRS_H
#define FASTLO_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastlo/abi.h"

struct json_object;

/* Both may return NULL for "unknown"; strings live as long as arg. */
struct pairs_names {
	const char *(*comm)(void *arg, uint32_t pid);
	const char *(*cgroup)(void *arg, uint64_t id);
	void *arg;
};

bool pairs_live(const struct fl_record *r);
/* Both ends are known; FL_HALF isn't. */
bool pairs_whole(const struct fl_record *r);
/* "tcp" "observing" "spliced" "yielding" "draining" */
const char *pairs_state(const struct fl_record *r);
/* Why what this end sends is not spliced; FL_R_NONE: it is. */
uint32_t pairs_reason(const struct fl_record *r, int side);
/* 0: unknown */
uint32_t pairs_pid(const struct fl_record *r, int side);

struct json_object *pairs_to_json(const struct fl_record *records, size_t n, const struct pairs_names *names,
				  uint64_t now_ns);

/* totals: enum fl_total; reasons: enum fl_reason; both summed over CPUs. Keys: DESIGN.md, `stats`. */
struct json_object *pairs_stats_to_json(const struct fl_record *records, size_t n, const uint64_t *totals,
					const uint64_t *reasons);

/* names.c: the real thing, with a cache for one command's life */
struct names;
struct names *names_new(void);
void names_free(struct names *n);
struct pairs_names names_ops(struct names *n);

#endif
