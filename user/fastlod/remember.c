/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The same JSON as on the control socket, written to a temporary file and renamed.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "remember.h"

static void path_of(const char *run_dir, const char *suffix, char *path, size_t size)
{
	snprintf(path, size, "%s/policies.json%s", run_dir, suffix);
}

static struct json_object *worth_remembering(const struct policies *policies)
{
	struct json_object *all = policies_to_json(policies), *kept = json_object_new_array(), *origin;

	for (size_t i = 0; i < json_object_array_length(all); i++) {
		struct json_object *p = json_object_array_get_idx(all, i);

		if (json_object_object_get_ex(p, "origin", &origin) &&
		    strcmp(json_object_get_string(origin), policy_origin_name(POLICY_CONFIG)) == 0)
			continue;
		json_object_object_del(p, "cgroups"); /* a finding, not a part of the policy */
		json_object_array_add(kept, json_object_get(p));
	}
	json_object_put(all);
	return kept;
}

void remember_save(const struct policies *policies, const char *run_dir)
{
	struct json_object *kept = worth_remembering(policies);
	char path[4096], tmp[4096];

	path_of(run_dir, "", path, sizeof(path));
	path_of(run_dir, ".new", tmp, sizeof(tmp));
	if (json_object_to_file_ext(tmp, kept, JSON_C_TO_STRING_PLAIN) < 0 || chmod(tmp, 0600) < 0 ||
	    rename(tmp, path) < 0)
		log_warn("cannot write '%s': %s, ignoring", path, strerror(errno));
	json_object_put(kept);
}

void remember_load(struct policies *policies, const char *run_dir)
{
	struct json_object *kept;
	char path[4096], err[POLICY_ERROR_MAX];

	path_of(run_dir, "", path, sizeof(path));
	if (access(path, F_OK) < 0)
		return;
	kept = json_object_from_file(path);
	if (!kept || !json_object_is_type(kept, json_type_array)) {
		log_warn("'%s' is not a list of policies, ignoring", path);
		json_object_put(kept);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(kept); i++) {
		struct policy p = { 0 };

		if (policy_from_json(json_object_array_get_idx(kept, i), &p, err, sizeof(err)) < 0 ||
		    policies_add(policies, &p, err, sizeof(err)) < 0)
			log_warn("'%s': %s, ignoring", path, err);
		policy_free(&p);
	}
	json_object_put(kept);
}

void remember_forget(const char *run_dir)
{
	char path[4096];

	path_of(run_dir, "", path, sizeof(path));
	unlink(path);
}
