/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl run: CMD in a cgroup of its own, opted in by a policy of its own, both gone when CMD is.
 * The policy is in force before CMD exists, so its first connection counts. If we are killed, fastlod
 * reaps both; if CMD leaves processes behind, they stay opted in until they end.
 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "ctl.h"
#include "log.h"
#include "policy.h"
#include "run_child.h"

#define LINGER_TRIES 20 /* a helper that CMD didn't wait for is about to exit, too */
#define LINGER_US 10000

struct run {
	struct policy policy;
	char path[PATH_MAX]; /* of the cgroup */
	char **command;
};

/* Returns the index of CMD, or 0 after an error. */
static int parse(int argc, char **argv, struct policy *p)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--eager") == 0) {
			p->eager = true;
		} else if (strcmp(argv[i], "--allow-blocking") == 0) {
			p->blocking = true;
		} else {
			ctl_fail(CTL_USAGE, "run: unknown option '%s'", argv[i]);
			return 0;
		}
	}
	if (i >= argc) {
		ctl_fail(CTL_USAGE, "run: no command (usage: fastloctl run [--eager] [--allow-blocking] -- CMD...)");
		return 0;
	}
	return i;
}

static int make_cgroup(struct run *run)
{
	char *mount = NULL, *own = NULL, *rel = NULL;
	int code = CTL_OK, r;

	r = cgroup_mount_find(&mount);
	if (r < 0)
		return ctl_fail(CTL_REFUSED, "cannot find cgroup2: %s (mount -t cgroup2 none /sys/fs/cgroup)", strerror(-r));
	r = cgroup_of_pid(mount, 0, &own);
	if (r < 0) {
		code = ctl_fail(CTL_REFUSED, "cannot find our own cgroup: %s", strerror(-r));
	} else if (asprintf(&rel, "%s/fastlo-run-%d", strcmp(own, "/") ? own : "", (int)getpid()) < 0 ||
		   (size_t)snprintf(run->path, sizeof(run->path), "%s%s", mount, rel) >= sizeof(run->path)) {
		code = ctl_fail(CTL_REFUSED, "cannot make a cgroup below '%s': the path is too long", own);
	} else {
		/* a stale one of a process with our pid: only an empty one goes */
		rmdir(run->path);
		if (mkdir(run->path, 0755) < 0)
			code = ctl_fail(CTL_REFUSED, "cannot make cgroup '%s': %s (needs root)", run->path, strerror(errno));
	}
	if (!code)
		run->policy.cgroup = rel;
	else
		free(rel);
	free(own);
	free(mount);
	return code;
}

static struct json_object *request_of(const struct run *run, const char *verb)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "verb", json_object_new_string(verb));
	if (strcmp(verb, "policy_add") == 0)
		json_object_object_add(request, "policy", policy_to_json(&run->policy));
	else
		json_object_object_add(request, "name", json_object_new_string(run->policy.name));
	return request;
}

static int add_policy(const struct run *run)
{
	struct json_object *reply;
	int code = ctl_call(request_of(run, "policy_add"), &reply);

	if (!code)
		json_object_put(reply);
	return code;
}

/* Whether nobody lives in the cgroup any more. */
static bool is_empty(const struct run *run)
{
	bool populated = false;
	int i;

	for (i = 0; i < LINGER_TRIES; i++) {
		if (cgroup_populated(run->path, &populated) < 0 || !populated)
			return true;
		usleep(LINGER_US);
	}
	return false;
}

/* fastlod may have been faster, or be gone: neither is CMD's fault, so it only warrants a note. */
static void clean_up(const struct run *run)
{
	int r;

	if (!is_empty(run)) {
		log_info("processes of '%s' are still running, leaving cgroup '%s' to them", run->command[0], run->path);
		return;
	}
	run_forget(request_of(run, "policy_remove"));
	r = cgroup_remove(run->path);
	if (r < 0)
		log_warn("cannot remove cgroup '%s': %s, ignoring", run->path, strerror(-r));
}

int verb_run(int argc, char **argv)
{
	struct run run = { .policy.origin = POLICY_RUN };
	int code, first;

	first = parse(argc, argv, &run.policy);
	if (!first)
		return CTL_USAGE;
	run.command = argv + first;
	snprintf(run.policy.name, sizeof(run.policy.name), "run-%d", (int)getpid());
	code = make_cgroup(&run);
	if (code)
		return code;
	code = add_policy(&run);
	if (code) {
		cgroup_remove(run.path);
	} else {
		code = run_child(run.path, run.command);
		clean_up(&run);
	}
	policy_free(&run.policy);
	return code;
}
