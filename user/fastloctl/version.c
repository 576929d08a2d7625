/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl version: of this program, and of the daemon if one answers. Never fails for want of one.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "control_call.h"
#include "ctl.h"
#include "paths.h"

static struct json_object *daemon_version(void)
{
	struct json_object *request = json_object_new_object(), *reply, *version = NULL;

	json_object_object_add(request, "verb", json_object_new_string("status"));
	if (control_call(paths_run_dir(), request, &reply) == 0) {
		if (json_object_object_get_ex(reply, "version", &version))
			json_object_get(version);
		json_object_put(reply);
	}
	json_object_put(request);
	return version;
}

int verb_version(int argc, char **argv)
{
	struct json_object *json, *version;
	int code;

	code = ctl_no_arguments(argc, argv);
	if (code)
		return code;
	version = daemon_version();
	if (ctl_json()) {
		json = json_object_new_object();
		json_object_object_add(json, "version", json_object_new_string(FL_VERSION));
		json_object_object_add(json, "abi", json_object_new_int(FL_ABI_VERSION));
		json_object_object_add(json, "daemon_version", version);
		return ctl_print(json);
	}
	printf("fastloctl %s\n", FL_VERSION);
	if (version)
		printf("fastlod %s\n", json_object_get_string(version));
	json_object_put(version);
	return fflush(stdout) == 0 ? CTL_OK : CTL_REFUSED;
}
