/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl status, and bare fastloctl: is it running, in which mode, and how much is spliced.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "pairs.h"

static int add_traffic(struct json_object *status)
{
	static const char *const keys[] = { "pairs", "endpoints", "spliced_bytes", "tcp_bytes" };
	uint64_t totals[FL_T_MAX], reasons[FL_R_MAX];
	struct json_object *stats, *value;
	struct fl_record *records;
	double spliced, all;
	size_t n, i;
	int code;

	code = ctl_pairs(&records, &n);
	if (code)
		return code;
	code = ctl_counters(totals, reasons);
	if (!code) {
		stats = pairs_stats_to_json(records, n, totals, reasons);
		for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			json_object_object_get_ex(stats, keys[i], &value);
			json_object_object_add(status, keys[i], json_object_get(value));
		}
		spliced = (double)json_object_get_uint64(json_object_object_get(stats, "spliced_bytes"));
		all = spliced + (double)json_object_get_uint64(json_object_object_get(stats, "tcp_bytes"));
		json_object_object_add(status, "spliced_share",
				       all > 0 ? json_object_new_double(spliced / all) : NULL);
		json_object_put(stats);
	}
	free(records);
	return code;
}

static int print_status(struct json_object *status)
{
	struct json_object *share = NULL;
	uint64_t spliced, tcp;
	char a[32], b[32];

	printf("fastlod %s, pid %s, mode %s\n", ctl_string(status, "version"), ctl_string(status, "pid"),
	       ctl_string(status, "mode"));
	printf("observer  %s\n", ctl_string(status, "observer"));
	printf("cgroup    %s\n", ctl_string(status, "cgroup"));
	printf("pins      %s\n", ctl_string(status, "pin_dir"));
	printf("policies  %s\n", ctl_string(status, "policies"));
	printf("yields to %s%s\n", ctl_string(status, "yield"),
	       json_object_get_int(json_object_object_get(status, "hooks_known")) ? "" :
		       " (no hook is known by its address)");
	if (json_object_object_get_ex(status, "spliced_share", &share)) {
		spliced = json_object_get_uint64(json_object_object_get(status, "spliced_bytes"));
		tcp = json_object_get_uint64(json_object_object_get(status, "tcp_bytes"));
		printf("pairs     %s of %s\n", ctl_string(status, "pairs"), ctl_string(status, "max_pairs"));
		printf("spliced   %s of %s", ctl_bytes(spliced, a, sizeof(a)), ctl_bytes(spliced + tcp, b, sizeof(b)));
		if (share)
			printf(" (%.1f %%)", 100 * json_object_get_double(share));
		printf("\n");
	}
	json_object_put(status);
	return fflush(stdout) == 0 ? CTL_OK : CTL_REFUSED;
}

int verb_status(int argc, char **argv)
{
	struct json_object *status;
	int code;

	code = ctl_no_arguments(argc, argv);
	if (!code)
		code = ctl_ask("status", &status);
	if (code)
		return code;
	json_object_object_add(status, "running", json_object_new_boolean(true));
	code = add_traffic(status);
	if (code) {
		json_object_put(status);
		return code;
	}
	return ctl_json() ? ctl_print(status) : print_status(status);
}
