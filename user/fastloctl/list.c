/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl list: every pair, one line each, client first. -j gives all that is known of both ends.
 */
#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "ctl.h"
#include "pairs.h"
#include "reason.h"

static const struct {
	const char *name;
	double width;
	int flags;
} columns[] = {
	{ "ID", 4, SCOLS_FL_RIGHT },
	{ "STATE", 9, 0 },
	{ "AGE", 4, SCOLS_FL_RIGHT },
	{ "CLIENT", 0.2, 0 },
	{ "SERVER", 0.2, 0 },
	{ "SPLICED", 8, SCOLS_FL_RIGHT },
	{ "TCP", 8, SCOLS_FL_RIGHT },
	{ "REASON", 0.2, 0 },
};

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void end_text(const struct fl_record *r, int side, const struct pairs_names *names, char *buf, size_t len)
{
	uint32_t pid = pairs_pid(r, side);
	const char *comm = pid ? names->comm(names->arg, pid) : NULL;
	char address[ADDRESS_TEXT_MAX];

	address_text(r->data.addr[side], address);
	snprintf(buf, len, strchr(address, ':') ? "[%s]:%u%s%s%s" : "%s:%u%s%s%s", address, r->data.port[side],
		 comm ? " (" : "", comm ? comm : "", comm ? ")" : "");
}

static void age_text(uint64_t ns, char *buf, size_t len)
{
	uint64_t s = ns / 1000000000;

	if (s < 120)
		snprintf(buf, len, "%llus", (unsigned long long)s);
	else if (s < 7200)
		snprintf(buf, len, "%llum", (unsigned long long)s / 60);
	else
		snprintf(buf, len, "%lluh", (unsigned long long)s / 3600);
}

/* client's direction / server's direction, or one word where they agree */
static void reason_column(const struct fl_record *r, int client, char *buf, size_t len)
{
	const char *up = reason_name(pairs_reason(r, client));
	const char *down = reason_name(pairs_reason(r, !client));

	if (strcmp(up, "none") == 0 && strcmp(down, "none") == 0)
		snprintf(buf, len, "-");
	else if (strcmp(up, down) == 0)
		snprintf(buf, len, "%s", up);
	else
		snprintf(buf, len, "%s/%s", strcmp(up, "none") ? up : "-", strcmp(down, "none") ? down : "-");
}

static void set(struct libscols_line *line, size_t column, const char *text)
{
	scols_line_set_data(line, column, text);
}

static void add_line(struct libscols_table *table, const struct fl_record *r, const struct pairs_names *names,
		     uint64_t now_ns)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	const struct fl_side *side = r->data.side;
	int client = r->data.server ? 0 : 1;
	char text[160];

	if (!line)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)r->data.id);
	set(line, 0, text);
	set(line, 1, pairs_state(r));
	age_text(now_ns > r->data.born ? now_ns - r->data.born : 0, text, sizeof(text));
	set(line, 2, text);
	end_text(r, client, names, text, sizeof(text));
	set(line, 3, text);
	end_text(r, !client, names, text, sizeof(text));
	set(line, 4, text);
	set(line, 5, ctl_bytes(side[0].tx.spliced_bytes + side[1].tx.spliced_bytes, text, sizeof(text)));
	set(line, 6, ctl_bytes(r->live[0].tcp_bytes + r->live[1].tcp_bytes, text, sizeof(text)));
	reason_column(r, client, text, sizeof(text));
	set(line, 7, text);
}

static int print_table(const struct fl_record *records, size_t n, const struct pairs_names *names, uint64_t now_ns)
{
	struct libscols_table *table;
	size_t i;

	scols_init_debug(0);
	table = scols_new_table();
	if (!table)
		return ctl_fail(CTL_REFUSED, "cannot print the list: out of memory");
	for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		scols_table_new_column(table, columns[i].name, columns[i].width, columns[i].flags);
	for (i = 0; i < n; i++)
		if (pairs_live(&records[i]))
			add_line(table, &records[i], names, now_ns);
	scols_print_table(table);
	scols_unref_table(table);
	return CTL_OK;
}

int verb_list(int argc, char **argv)
{
	struct fl_record *records;
	struct pairs_names ops;
	struct names *names;
	size_t n;
	int code;

	code = ctl_no_arguments(argc, argv);
	if (!code)
		code = ctl_pairs(&records, &n);
	if (code)
		return code;
	names = names_new();
	if (!names) {
		free(records);
		return ctl_fail(CTL_REFUSED, "cannot print the list: out of memory");
	}
	ops = names_ops(names);
	if (ctl_json())
		code = ctl_print(pairs_to_json(records, n, &ops, monotonic_ns()));
	else
		code = print_table(records, n, &ops, monotonic_ns());
	names_free(names);
	free(records);
	return code;
}
