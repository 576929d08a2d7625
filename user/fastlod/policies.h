/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's policies, in the order in which they were added, and the kernel's map kept equal to
 * them. A policy with a cgroup is one key per cgroup that its pattern matches now; none is fine.
 */
#ifndef FASTLO_POLICIES_H
#define FASTLO_POLICIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

struct json_object;
struct policies;

/* How long a `fastloctl run` cgroup may stay empty before anything has joined it. */
#define POLICIES_RUN_GRACE_NS (30ULL * 1000000000)

/* What the store needs of the map; all return 0 or a negative errno. */
struct policies_map {
	int (*update)(void *arg, const struct fl_policy_key *key, const struct fl_policy *value);
	int (*remove)(void *arg, const struct fl_policy_key *key);
	/* the key after prev (NULL: the first); -ENOENT: there is none */
	int (*next)(void *arg, const struct fl_policy_key *prev, struct fl_policy_key *ret_key);
	void *arg;
};

struct policies *policies_new(const char *cgroup_mount);
void policies_free(struct policies *p);

/* -EEXIST: the name is taken; -ENOSPC: FL_MAX_POLICIES; -EINVAL. err holds a sentence. Copies. */
int policies_add(struct policies *p, const struct policy *policy, char *err, size_t errlen);
/*
 * Puts these in the place of all of origin config, or changes nothing: -EEXIST (a name was added by hand), -ENOSPC,
 * -EINVAL. err holds a sentence. Copies.
 */
int policies_configure(struct policies *p, const struct policy *list, size_t n, char *err, size_t errlen);
/* -ENOENT */
int policies_remove(struct policies *p, const char *name);
size_t policies_count(const struct policies *p);

/* Array of policy_to_json() plus "cgroups": how many the pattern matched at the last sync. */
struct json_object *policies_to_json(const struct policies *p);

/*
 * Makes the map hold exactly the policies. The first call looks at what the map holds from before;
 * later calls write the difference only. Of two policies with the same key the one added first wins.
 * ret_shapes: bit s is set if a key of shape s exists. ret_changed: the map was written to.
 * Both are set even if some key could not be written, and then the first error is returned.
 */
int policies_sync(struct policies *p, int map_fd, uint32_t *ret_shapes, bool *ret_changed);
int policies_sync_map(struct policies *p, const struct policies_map *map, uint32_t *ret_shapes, bool *ret_changed);

/*
 * Drops policies of origin run whose cgroup is gone or empty, and removes that cgroup; one that
 * nobody has joined yet is left for POLICIES_RUN_GRACE_NS. now_ns is CLOCK_MONOTONIC. Returns how
 * many went: sync then.
 */
int policies_reap(struct policies *p, uint64_t now_ns);

#endif
