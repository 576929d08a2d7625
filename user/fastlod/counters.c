/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The counters as fastloctl gets them: two arrays, by enum fl_total and enum fl_reason.
 */
#include <json-c/json.h>

#include "counters.h"

static struct json_object *array_of(const uint64_t *values, size_t n)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_uint64(values[i]));
	return list;
}

int counters_to_json(struct programs *p, struct json_object *ret_json)
{
	uint64_t totals[FL_T_MAX], reasons[FL_R_MAX];
	int r = programs_counters(p, totals, reasons);

	if (r < 0)
		return r;
	json_object_object_add(ret_json, "totals", array_of(totals, FL_T_MAX));
	json_object_object_add(ret_json, "reasons", array_of(reasons, FL_R_MAX));
	return 0;
}
