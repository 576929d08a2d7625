/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the control socket asks of the daemon, and what it is told to do.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "counters.h"
#include "daemon_private.h"
#include "hooks.h"

static struct json_object *op_status(void *arg)
{
	static const char *const modes[] = { [FL_MODE_RUN] = "run", [FL_MODE_DRAIN] = "drain", [FL_MODE_UNFIT] = "unfit" };
	struct daemon *d = arg;
	struct json_object *o = json_object_new_object();
	char yields[YIELDS_TEXT_MAX];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	json_object_object_add(o, "pid", json_object_new_int(getpid()));
	json_object_object_add(o, "version", json_object_new_string(FL_VERSION));
	json_object_object_add(o, "mode", json_object_new_string(modes[programs_ctl(d->programs)->mode]));
	json_object_object_add(o, "observer", json_object_new_string(d->kernel.observer));
	json_object_object_add(o, "cgroup", json_object_new_string(d->cfg.cgroup ? d->cfg.cgroup : d->cgroup_mount));
	json_object_object_add(o, "cgroup_mount", json_object_new_string(d->cgroup_mount));
	json_object_object_add(o, "pin_dir", json_object_new_string(d->cfg.pin_dir));
	json_object_object_add(o, "max_pairs", json_object_new_int64(programs_max_pairs(d->programs)));
	json_object_object_add(o, "max_pairs_per_uid", json_object_new_int64(d->cfg.max_pairs_per_uid));
	json_object_object_add(o, "policies", json_object_new_int64(policies_count(d->policies)));
	json_object_object_add(o, "socket_opt_in", json_object_new_boolean(d->cfg.socket_opt_in));
	json_object_object_add(o, "bulk_leaves", json_object_new_boolean(d->cfg.bulk_leaves));
	json_object_object_add(o, "selftest", findings_to_json(&d->findings));
	yields_print(&d->cfg.yields, yields);
	json_object_object_add(o, "yield", json_object_new_string(yields));
	json_object_object_add(o, "hooks_known", json_object_new_int(hooks_known(programs_ctl(d->programs))));
	json_object_object_add(o, "config", json_object_new_string(d->config_path ? d->config_path : "embedded"));
	json_object_object_add(o, "uptime_ms", json_object_new_int64(
		(now.tv_sec - d->started.tv_sec) * 1000 + (now.tv_nsec - d->started.tv_nsec) / 1000000));
	return o;
}

static int op_records(void *arg)
{
	return programs_list_fd(((struct daemon *)arg)->programs);
}

static int op_counters(void *arg, struct json_object *reply)
{
	return counters_to_json(((struct daemon *)arg)->programs, reply);
}

static struct json_object *op_policy_list(void *arg)
{
	return policies_to_json(((struct daemon *)arg)->policies);
}

static int op_policy_add(void *arg, const struct policy *p, char *err, size_t errlen)
{
	struct daemon *d = arg;
	int r = policies_add(d->policies, p, err, errlen);

	if (r < 0)
		return r;
	r = daemon_sync_policies(d, true);
	if (r < 0) {
		snprintf(err, errlen, "policy '%s': cannot write it into the kernel: %s", p->name, strerror(-r));
		policies_remove(d->policies, p->name);
		daemon_sync_policies(d, true);
	}
	return r;
}

static int op_policy_remove(void *arg, const char *name, char *err, size_t errlen)
{
	struct daemon *d = arg;
	int r = policies_remove(d->policies, name);

	if (r == -ENOENT)
		snprintf(err, errlen, "no policy is named '%s'", name);
	if (r < 0)
		return r;
	r = daemon_sync_policies(d, true);
	if (r < 0)
		snprintf(err, errlen, "policy '%s' is gone, but the kernel's copy is not: %s", name, strerror(-r));
	return r;
}

static int op_drain(void *arg, char *err, size_t errlen)
{
	struct daemon *d = arg;

	(void)err;
	(void)errlen;
	return keeper_set_mode(d->keeper, FL_MODE_DRAIN);
}

static int op_resume(void *arg, char *err, size_t errlen)
{
	struct daemon *d = arg;

	if (d->stopping) {
		snprintf(err, errlen, "fastlod is stopping");
		return -ESHUTDOWN;
	}
	if (d->unfit) {
		snprintf(err, errlen, "this kernel failed the self-test (see fastloctl doctor)");
		return -EOPNOTSUPP;
	}
	return keeper_set_mode(d->keeper, FL_MODE_RUN);
}

const struct control_ops daemon_ops = { op_status, op_policy_list, op_policy_add, op_policy_remove,
					op_drain,  op_resume,	   op_records,	  op_counters };
