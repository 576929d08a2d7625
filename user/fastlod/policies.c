/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The list of policies: add, remove, show, and the end of those that `fastloctl run` left behind.
 * What they mean for the kernel's map is policies_sync.c's.
 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cgroup.h"
#include "log.h"
#include "policies.h"
#include "policies_private.h"

struct policies *policies_new(const char *cgroup_mount)
{
	struct policies *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->mount = strdup(cgroup_mount);
	if (!p->mount) {
		free(p);
		return NULL;
	}
	return p;
}

static void entry_free(struct policies *p, struct entry *e)
{
	DL_DELETE(p->entries, e);
	p->count--;
	policy_free(&e->policy);
	free(e);
}

void policies_free(struct policies *p)
{
	struct entry *e, *next;

	if (!p)
		return;
	DL_FOREACH_SAFE(p->entries, e, next)
		entry_free(p, e);
	policies_forget(p);
	free(p->mount);
	free(p);
}

static struct entry *find(struct policies *p, const char *name)
{
	struct entry *e;

	DL_FOREACH(p->entries, e)
		if (strcmp(e->policy.name, name) == 0)
			return e;
	return NULL;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct entry *entry_new(struct policies *p, const struct policy *policy, char *err, size_t errlen)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e || policy_copy(policy, &e->policy) < 0) {
		free(e);
		snprintf(err, errlen, "cannot add policy '%s': out of memory", policy->name);
		return NULL;
	}
	e->id = ++p->last_id;
	e->added_ns = now();
	return e;
}

int policies_add(struct policies *p, const struct policy *policy, char *err, size_t errlen)
{
	struct entry *e;
	int r;

	r = policy_validate(policy, err, errlen);
	if (r < 0)
		return r;
	if (find(p, policy->name)) {
		snprintf(err, errlen, "cannot add policy '%s': there is one of that name", policy->name);
		return -EEXIST;
	}
	if (p->count >= FL_MAX_POLICIES) {
		snprintf(err, errlen, "cannot add policy '%s': there are %u already", policy->name, FL_MAX_POLICIES);
		return -ENOSPC;
	}
	e = entry_new(p, policy, err, errlen);
	if (!e)
		return -ENOMEM;
	DL_APPEND(p->entries, e);
	p->count++;
	return 0;
}

static bool is_listed(const struct policy *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

/* Each of the list is valid and of a name of its own: config_load() saw to it. */
static int configure_check(struct policies *p, const struct policy *list, size_t n, char *err, size_t errlen)
{
	size_t others = 0;
	struct entry *e;

	DL_FOREACH(p->entries, e) {
		if (e->policy.origin == POLICY_CONFIG)
			continue;
		others++;
		if (is_listed(list, n, e->policy.name)) {
			snprintf(err, errlen, "cannot take policy '%s': there is one of that name, added with fastloctl",
				 e->policy.name);
			return -EEXIST;
		}
	}
	if (others + n <= FL_MAX_POLICIES)
		return 0;
	snprintf(err, errlen, "cannot take %zu policies: with the %zu added with fastloctl there are more than %u", n,
		 others, FL_MAX_POLICIES);
	return -ENOSPC;
}

int policies_configure(struct policies *p, const struct policy *list, size_t n, char *err, size_t errlen)
{
	struct entry *fresh = NULL, *e, *next;
	int r = configure_check(p, list, n, err, errlen);

	for (size_t i = 0; i < n && r == 0; i++) {
		e = entry_new(p, &list[i], err, errlen);
		if (e)
			DL_APPEND(fresh, e);
		else
			r = -ENOMEM;
	}
	if (r < 0) {
		DL_FOREACH_SAFE(fresh, e, next) {
			policy_free(&e->policy);
			free(e);
		}
		return r;
	}
	DL_FOREACH_SAFE(p->entries, e, next)
		if (e->policy.origin == POLICY_CONFIG)
			entry_free(p, e);
	/* in front, as after a start: where two select the same, the first one counts */
	DL_CONCAT(fresh, p->entries);
	p->entries = fresh;
	p->count += n;
	return 0;
}

int policies_remove(struct policies *p, const char *name)
{
	struct entry *e = find(p, name);

	if (!e)
		return -ENOENT;
	entry_free(p, e);
	return 0;
}

size_t policies_count(const struct policies *p)
{
	return p->count;
}

struct json_object *policies_to_json(const struct policies *p)
{
	struct json_object *list = json_object_new_array(), *json;
	struct entry *e;

	DL_FOREACH(p->entries, e) {
		json = policy_to_json(&e->policy);
		json_object_object_add(json, "cgroups", json_object_new_int64(e->cgroups));
		json_object_array_add(list, json);
	}
	return list;
}

/* We run as root and remove directories by a name that came over a socket: only those of `run`. */
static bool is_run_cgroup(const char *path)
{
	const char *last = strrchr(path, '/');

	return last && strncmp(last + 1, POLICIES_RUN_PREFIX, strlen(POLICIES_RUN_PREFIX)) == 0;
}

static bool is_over(struct policies *p, struct entry *e, uint64_t now_ns)
{
	char path[PATH_MAX];
	bool populated;
	int r;

	if (e->policy.origin != POLICY_RUN || !e->policy.cgroup || !is_run_cgroup(e->policy.cgroup))
		return false;
	if ((size_t)snprintf(path, sizeof(path), "%s%s", p->mount, e->policy.cgroup) >= sizeof(path))
		return false;
	r = cgroup_populated(path, &populated);
	if (r == -ENOENT || r == -ENODEV)
		return true;
	if (r < 0)
		return false;
	if (populated) {
		e->was_populated = true;
		return false;
	}
	if (!e->was_populated && now_ns < e->added_ns + POLICIES_RUN_GRACE_NS)
		return false;
	r = cgroup_remove(path);
	if (r == -EBUSY)
		return false; /* somebody joined meanwhile */
	if (r < 0)
		log_warn("cannot remove cgroup '%s': %s, ignoring", path, strerror(-r));
	return true;
}

int policies_reap(struct policies *p, uint64_t now_ns)
{
	struct entry *e, *next;
	int gone = 0;

	DL_FOREACH_SAFE(p->entries, e, next) {
		if (!is_over(p, e, now_ns))
			continue;
		log_debug("policy '%s' goes: its processes are gone", e->policy.name);
		entry_free(p, e);
		gone++;
	}
	return gone;
}
