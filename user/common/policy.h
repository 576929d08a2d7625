/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One policy: which sockets are opted in without asking, and on which terms. Selectors that are set
 * must all match; at least one is. The same keys come from the configuration file, the command line
 * and the control socket, and all go through policy_set().
 */
#ifndef FASTLO_POLICY_H
#define FASTLO_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastlo/abi.h"
#include "yields.h"

struct json_object;

#define POLICY_KEYS "cgroup, port, uid, engage, blocking, yield"
#define POLICY_ERROR_MAX 512

enum policy_origin {
	POLICY_CONFIG,	/* the configuration file */
	POLICY_CONTROL, /* fastloctl policy add */
	POLICY_RUN,	/* fastloctl run: goes with its cgroup */
};

struct policy {
	char name[64];
	char *cgroup; /* path or glob from the cgroup2 root; NULL: any */
	bool has_port;
	uint16_t port; /* of the side that listens */
	bool has_uid;
	uint32_t uid;
	bool eager;    /* admitted when established, not when observed */
	bool blocking; /* blocking readers are admitted too */
	struct yields yields; /* where it differs from the host's configuration */
	enum policy_origin origin;
};

/* -EINVAL with a text "KEY: 'VALUE' is not ..." in err; p is untouched then. */
int policy_set(struct policy *p, const char *key, const char *value, char *err, size_t errlen);
int policy_set_name(struct policy *p, const char *name, char *err, size_t errlen);
int policy_validate(const struct policy *p, char *err, size_t errlen);
int policy_copy(const struct policy *p, struct policy *ret_copy);
/* Frees what p holds, not p. */
void policy_free(struct policy *p);

const char *policy_origin_name(enum policy_origin origin);
/* Selectors that are not set are left out. */
struct json_object *policy_to_json(const struct policy *p);
/* Validated; unknown keys are refused. origin defaults to control. */
int policy_from_json(struct json_object *json, struct policy *ret_policy, char *err, size_t errlen);

/* What the kernel side looks up; cgroup_id counts only if the policy names a cgroup. */
void policy_key(const struct policy *p, uint64_t cgroup_id, struct fl_policy_key *ret_key,
		struct fl_policy *ret_value);

#endif
