/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl explain TARGET: for each direction of the pairs that TARGET names (a pair id, a port or a
 * pid; all three are tried), whether it is spliced, and if not, why; for a filter, which one it is.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "causes.h"
#include "ctl.h"
#include "pairs.h"
#include "reason.h"
#include "text.h"

static bool matches(const struct fl_record *r, uint64_t target)
{
	int side;

	if (!pairs_live(r))
		return false;
	if (r->data.id == target)
		return true;
	for (side = 0; side < 2; side++)
		if (r->data.port[side] == target || pairs_pid(r, side) == target ||
		    r->data.side[side].tx.tgid == target)
			return true;
	return false;
}

/* A direction that was admitted and has sent nothing has no reason of its own yet. */
static const char *why(const struct fl_record *r, int side)
{
	uint32_t reason = pairs_reason(r, side);

	if (reason == FL_R_NONE && !r->data.side[side].tx.engaged)
		return "nothing has been sent since it was admitted";
	return reason_text(reason);
}

static void end_text(const struct fl_record *r, int side, char *buf, size_t len)
{
	char address[ADDRESS_TEXT_MAX];

	address_text(r->data.addr[side], address);
	snprintf(buf, len, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, r->data.port[side]);
}

static struct json_object *explain_to_json(const struct fl_record *r)
{
	struct json_object *json = json_object_new_object(), *directions = json_object_new_array(), *d;
	char end[ADDRESS_TEXT_MAX + 16];
	int side;

	for (side = 0; side < 2; side++) {
		d = json_object_new_object();
		end_text(r, side, end, sizeof(end));
		json_object_object_add(d, "from", json_object_new_string(end));
		end_text(r, !side, end, sizeof(end));
		json_object_object_add(d, "to", json_object_new_string(end));
		json_object_object_add(d, "reason", json_object_new_string(reason_name(pairs_reason(r, side))));
		json_object_object_add(d, "text", json_object_new_string(why(r, side)));
		json_object_object_add(d, "causes", causes_find(r, pairs_reason(r, side)));
		json_object_array_add(directions, d);
	}
	json_object_object_add(json, "id", json_object_new_uint64(r->data.id));
	json_object_object_add(json, "state", json_object_new_string(pairs_state(r)));
	json_object_object_add(json, "directions", directions);
	return json;
}

static void explain_print(const struct fl_record *r)
{
	char from[ADDRESS_TEXT_MAX + 16], to[ADDRESS_TEXT_MAX + 16];
	struct json_object *causes;
	int side;

	printf("pair %" PRIu64 ": %s\n", (uint64_t)r->data.id, pairs_state(r));
	for (side = 0; side < 2; side++) {
		end_text(r, side, from, sizeof(from));
		end_text(r, !side, to, sizeof(to));
		printf("  %s -> %s: %s (%s)\n", from, to, why(r, side), reason_name(pairs_reason(r, side)));
		causes = causes_find(r, pairs_reason(r, side));
		for (size_t i = 0; i < json_object_array_length(causes); i++)
			printf("    %s\n", json_object_get_string(json_object_array_get_idx(causes, i)));
		json_object_put(causes);
	}
}

static int explain(const struct fl_record *records, size_t n, uint64_t target)
{
	struct json_object *list = json_object_new_array();
	size_t i, found = 0;

	for (i = 0; i < n; i++) {
		if (!matches(&records[i], target))
			continue;
		found++;
		if (ctl_json())
			json_object_array_add(list, explain_to_json(&records[i]));
		else
			explain_print(&records[i]);
	}
	if (found && ctl_json())
		return ctl_print(list);
	json_object_put(list);
	if (!found)
		return ctl_fail(CTL_REFUSED,
				"cannot explain '%" PRIu64 "': no open pair has that id, port or pid (has either end opted in? observed ones are known from their fourth segment on)",
				target);
	return fflush(stdout) == 0 ? CTL_OK : CTL_REFUSED;
}

int verb_explain(int argc, char **argv)
{
	struct fl_record *records;
	uint64_t target;
	size_t n;
	int code;

	if (argc != 2)
		return ctl_fail(CTL_USAGE, "explain: %s (usage: fastloctl explain ID|PORT|PID)",
				argc < 2 ? "no target" : "more than one target");
	if (text_to_number(argv[1], 1, UINT64_MAX, &target) < 0)
		return ctl_fail(CTL_USAGE, "explain: '%s' is not a pair id, a port or a pid", argv[1]);
	code = ctl_pairs(&records, &n);
	if (code)
		return code;
	code = explain(records, n, target);
	free(records);
	return code;
}
