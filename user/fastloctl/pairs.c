/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From fl_record to JSON. The slots are written while we read them, so nothing here may depend on
 * two fields agreeing.
 */
#include <json-c/json.h>
#include <string.h>

#include "address.h"
#include "pairs.h"
#include "reason.h"

bool pairs_live(const struct fl_record *r)
{
	return r->data.state != FL_FREE;
}

bool pairs_whole(const struct fl_record *r)
{
	return pairs_live(r) && r->data.state != FL_HALF;
}

/* An end that is only an address so far: the peer of FL_HALF. */
static bool is_present(const struct fl_record *r, int side)
{
	return r->data.state != FL_HALF || (r->data.side[side].flags & FL_F_PRESENT);
}

const char *pairs_state(const struct fl_record *r)
{
	const struct fl_side *side = r->data.side;

	switch (r->data.state) {
	case FL_OBSERVE:
	case FL_READY:
		return "observing";
	case FL_ADMITTED:
		return side[0].tx.engaged || side[1].tx.engaged ? "spliced" : "yielding";
	case FL_RELEASING:
		return "draining";
	default:
		return "tcp";
	}
}

uint32_t pairs_reason(const struct fl_record *r, int side)
{
	const struct fl_tx *tx = &r->data.side[side].tx;

	if (r->data.stop)
		return r->data.stop;
	switch (r->data.state) {
	case FL_HALF:
		return FL_R_PEER_NOT_OPTED_IN;
	case FL_OBSERVE:
	case FL_READY:
		return FL_R_OBSERVING;
	default:
		return tx->engaged ? FL_R_NONE : tx->reason;
	}
}

uint32_t pairs_pid(const struct fl_record *r, int side)
{
	const struct fl_side *s = &r->data.side[side];

	return s->rx.tgid ? s->rx.tgid : s->tx.tgid;
}

static void add(struct json_object *json, const char *key, struct json_object *value)
{
	json_object_object_add(json, key, value);
}

static void add_u64(struct json_object *json, const char *key, uint64_t value)
{
	add(json, key, json_object_new_uint64(value));
}

/* NULL becomes null */
static void add_text(struct json_object *json, const char *key, const char *value)
{
	add(json, key, value ? json_object_new_string(value) : NULL);
}

static struct json_object *endpoint_to_json(const struct fl_record *r, int side, const struct pairs_names *names)
{
	const struct fl_side *s = &r->data.side[side];
	struct json_object *json = json_object_new_object();
	bool present = is_present(r, side);
	uint32_t pid = present ? pairs_pid(r, side) : 0;
	char address[ADDRESS_TEXT_MAX];
	const char *origin = NULL;

	if (present)
		origin = s->flags & FL_F_SOCKET ? "socket" : "policy";
	address_text(r->data.addr[side], address);
	add_text(json, "address", address);
	add_u64(json, "port", r->data.port[side]);
	add(json, "pid", pid ? json_object_new_int64(pid) : NULL);
	add_text(json, "comm", pid ? names->comm(names->arg, pid) : NULL);
	add_text(json, "cgroup", present && s->cgroup ? names->cgroup(names->arg, s->cgroup) : NULL);
	add_text(json, "origin", origin);
	add_u64(json, "tx_spliced_bytes", present ? s->tx.spliced_bytes : 0);
	add_u64(json, "tx_spliced_msgs", present ? s->tx.spliced_msgs : 0);
	add_u64(json, "tx_tcp_bytes", present ? r->live[side].tcp_bytes : 0);
	add_u64(json, "rx_queued_bytes", present ? r->live[side].queued : 0);
	add_text(json, "reason", reason_name(pairs_reason(r, side)));
	return json;
}

static struct json_object *pair_to_json(const struct fl_record *r, const struct pairs_names *names, uint64_t now_ns)
{
	struct json_object *json = json_object_new_object(), *endpoints = json_object_new_array_ext(2);
	int side;

	add_u64(json, "id", r->data.id);
	add_u64(json, "netns", r->data.netns);
	add_text(json, "state", pairs_state(r));
	add_u64(json, "age_ms", now_ns > r->data.born ? (now_ns - r->data.born) / 1000000 : 0);
	for (side = 0; side < 2; side++)
		json_object_array_add(endpoints, endpoint_to_json(r, side, names));
	add(json, "endpoints", endpoints);
	return json;
}

struct json_object *pairs_to_json(const struct fl_record *records, size_t n, const struct pairs_names *names,
				  uint64_t now_ns)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		if (pairs_live(&records[i]))
			json_object_array_add(list, pair_to_json(&records[i], names, now_ns));
	return list;
}

struct json_object *pairs_stats_to_json(const struct fl_record *records, size_t n, const uint64_t *totals,
					const uint64_t *reasons)
{
	uint64_t bytes = totals[FL_T_SPLICED_BYTES], msgs = totals[FL_T_SPLICED_MSGS], tcp = totals[FL_T_TCP_BYTES];
	struct json_object *json = json_object_new_object(), *by_name = json_object_new_object();
	uint64_t pairs = 0, endpoints = 0;
	uint32_t reason;
	size_t i;
	int side;

	for (i = 0; i < n; i++) {
		if (!pairs_live(&records[i]))
			continue;
		pairs += pairs_whole(&records[i]);
		for (side = 0; side < 2; side++) {
			if (!is_present(&records[i], side))
				continue;
			endpoints++;
			bytes += records[i].data.side[side].tx.spliced_bytes;
			msgs += records[i].data.side[side].tx.spliced_msgs;
			tcp += records[i].live[side].tcp_bytes;
		}
	}
	for (reason = 0; reason < FL_R_MAX; reason++)
		if (reasons[reason])
			add_u64(by_name, reason_name(reason), reasons[reason]);
	add_u64(json, "spliced_bytes", bytes);
	add_u64(json, "spliced_msgs", msgs);
	add_u64(json, "tcp_bytes", tcp);
	add_u64(json, "pairs", pairs);
	add_u64(json, "endpoints", endpoints);
	add_u64(json, "admitted", totals[FL_T_ADMITTED]);
	add_u64(json, "released", totals[FL_T_RELEASED]);
	add(json, "reasons", by_name);
	return json;
}
