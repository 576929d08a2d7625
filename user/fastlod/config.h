/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlo.conf: sections [fastlo], [yield] and [policy NAME], "key = value" lines, comments from '#' or ';'.
 * All or nothing: the first error stops it and nothing is loaded.
 */
#ifndef FASTLO_CONFIG_H
#define FASTLO_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

enum config_observer {
	CONFIG_OBSERVER_AUTO,
	CONFIG_OBSERVER_TRAMPOLINE,
	CONFIG_OBSERVER_TRACEPOINT,
	CONFIG_OBSERVER_NONE,
};

struct config {
	char *pin_dir;
	char *run_dir;
	char *cgroup; /* where the programs are attached; NULL: the cgroup2 mount */
	uint32_t max_pairs;
	uint32_t max_pairs_per_uid; /* 0: no limit */
	bool socket_opt_in;
	bool bulk_leaves; /* the sockmap, for a while */
	uint32_t observe_reads;
	uint32_t drain_timeout; /* seconds */
	enum config_observer observer;
	struct yields yields; /* every kind is decided */
	struct policy *policies;
	size_t n_policies;
};

/*
 * path NULL: the embedded default. On failure ret_config is untouched and err holds one line, with
 * "PATH:LINE: " in front where a line is at fault.
 */
int config_load(const char *path, struct config *ret_config, char *err, size_t errlen);

/*
 * What a running fastlod can't change, next gets from now, which gets next's: places, the table's size, the
 * observer. Whether anything of it differed.
 */
bool config_keep_places(struct config *next, struct config *now);

/* Frees what c holds, not c. */
void config_free(struct config *c);

const char *config_observer_name(enum config_observer observer);

#endif
