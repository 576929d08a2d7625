/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What policies.c and policies_sync.c share; nobody else includes it.
 */
#ifndef FASTLO_POLICIES_PRIVATE_H
#define FASTLO_POLICIES_PRIVATE_H

#include <uthash.h>
#include <utlist.h>

#include "policies.h"

#define POLICIES_RUN_PREFIX "fastlo-run-"

struct entry {
	struct policy policy;
	uint32_t id;	    /* struct fl_policy.id */
	uint32_t cgroups;   /* matched at the last sync */
	uint64_t added_ns;  /* CLOCK_MONOTONIC */
	bool was_populated; /* origin run: somebody has lived there */
	bool clash_logged;  /* its shadowing has been reported */
	struct entry *prev, *next;
};

/* One key that the map holds (synced) or shall hold (wanted). */
struct held {
	struct fl_policy_key key;
	struct fl_policy value;
	const char *owner; /* name of the policy, only while a sync runs */
	UT_hash_handle hh;
};

struct policies {
	char *mount;
	struct entry *entries;
	size_t count;
	uint32_t last_id;
	bool looked;	     /* synced knows what the map held before us */
	bool full_logged;    /* the lack of room has been reported */
	struct held *synced; /* uthash */
};

/* Forgets what the map holds. */
void policies_forget(struct policies *p);

#endif
