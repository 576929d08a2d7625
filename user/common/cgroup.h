/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cgroup2: where it is mounted, ids <-> paths, membership, patterns.
 * Relative paths ("rel") start with "/" and count from the mount point; "/" is the mount itself.
 * All functions return 0 or a negative errno. Strings returned are the caller's to free.
 */
#ifndef FASTLO_CGROUP_H
#define FASTLO_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* -ENOENT: no cgroup2 is mounted. A mount of the whole hierarchy is preferred. */
int cgroup_mount_find(char **ret_path);

/* The same over a mountinfo file of the caller's choice. */
int cgroup_mount_find_in(const char *mountinfo, char **ret_path);

int cgroup_id_of(const char *abs_path, uint64_t *ret_id);

/* Needs CAP_DAC_READ_SEARCH; -ESTALE when the cgroup is gone. */
int cgroup_path_of(const char *mount, uint64_t id, char **ret_rel);

/* pid 0: the caller */
int cgroup_of_pid(const char *mount, pid_t pid, char **ret_rel);

/*
 * Calls fn for every directory below root that the pattern names: a path or a glob (*, ?, [...], none
 * of which matches '/'), relative to root or starting with it. '\' is an ordinary character, since
 * unit names have it ("\x2d"). fn returns 0 to go on, anything else to stop; the walk returns what fn
 * returned last. Nothing that matches is not an error.
 */
typedef int (*cgroup_walk_fn)(const char *abs_path, void *arg);
int cgroup_walk(const char *root, const char *pattern, cgroup_walk_fn fn, void *arg);

/* The same over cgroups, with their ids. */
typedef int (*cgroup_match_fn)(const char *abs_path, uint64_t id, void *arg);
int cgroup_match(const char *mount, const char *pattern, cgroup_match_fn fn, void *arg);

/* Whether a process lives in this cgroup or below it. */
int cgroup_populated(const char *abs_path, bool *ret_populated);

/* Removes an unpopulated cgroup and the unpopulated ones below it; -EBUSY: somebody lives there. */
int cgroup_remove(const char *abs_path);

#endif
