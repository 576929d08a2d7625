/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl stats: since the pins exist. What closed connections had is in per-CPU totals, what open
 * ones have is in their slots; a pair that closes between the two reads may be counted twice.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "pairs.h"
#include "reason.h"

static uint64_t number(struct json_object *json, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(json, key, &value) ? json_object_get_uint64(value) : 0;
}

static int print_stats(struct json_object *json)
{
	struct json_object *reasons = NULL;
	char text[32];

	printf("spliced    %s in %" PRIu64 " messages\n", ctl_bytes(number(json, "spliced_bytes"), text, sizeof(text)),
	       number(json, "spliced_msgs"));
	printf("tcp        %s\n", ctl_bytes(number(json, "tcp_bytes"), text, sizeof(text)));
	printf("pairs      %" PRIu64 "\n", number(json, "pairs"));
	printf("endpoints  %" PRIu64 "\n", number(json, "endpoints"));
	printf("admitted   %" PRIu64 "\n", number(json, "admitted"));
	printf("released   %" PRIu64 "\n", number(json, "released"));
	json_object_object_get_ex(json, "reasons", &reasons);
	json_object_object_foreach(reasons, key, value)
		printf("  %-20s %" PRIu64 "\n", key, json_object_get_uint64(value));
	json_object_put(json);
	return fflush(stdout) == 0 ? CTL_OK : CTL_REFUSED;
}

int verb_stats(int argc, char **argv)
{
	uint64_t totals[FL_T_MAX], reasons[FL_R_MAX];
	struct fl_record *records = NULL;
	struct json_object *json;
	size_t n;
	int code;

	code = ctl_no_arguments(argc, argv);
	if (!code)
		code = ctl_pairs(&records, &n);
	if (!code)
		code = ctl_counters(totals, reasons);
	if (code) {
		free(records);
		return code;
	}
	json = pairs_stats_to_json(records, n, totals, reasons);
	free(records);
	return ctl_json() ? ctl_print(json) : print_stats(json);
}
