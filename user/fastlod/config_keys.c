/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each key of [fastlo] is a row: name, kind, range, place in struct config. Knows no files or lines.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_keys.h"
#include "paths.h"
#include "text.h"

enum kind { PATH, NUMBER, SWITCH, OBSERVER };

static const struct row {
	const char *name;
	enum kind kind;
	size_t offset;
	uint32_t min, max;
} rows[CONFIG_KEYS] = {
	{ "pin_dir", PATH, offsetof(struct config, pin_dir), 0, 0 },
	{ "run_dir", PATH, offsetof(struct config, run_dir), 0, 0 },
	{ "cgroup", PATH, offsetof(struct config, cgroup), 0, 0 },
	{ "max_pairs", NUMBER, offsetof(struct config, max_pairs), 1, FL_MAX_PAIRS_LIMIT },
	{ "max_pairs_per_uid", NUMBER, offsetof(struct config, max_pairs_per_uid), 0, FL_MAX_PAIRS_LIMIT },
	{ "bulk_leaves", SWITCH, offsetof(struct config, bulk_leaves), 0, 0 },
	{ "socket_opt_in", SWITCH, offsetof(struct config, socket_opt_in), 0, 0 },
	{ "observe_reads", NUMBER, offsetof(struct config, observe_reads), 1, 1000000 },
	{ "drain_timeout", NUMBER, offsetof(struct config, drain_timeout), 0, 3600 },
	{ "observer", OBSERVER, offsetof(struct config, observer), 0, 0 },
};

static const char *const observers[] = {
	[CONFIG_OBSERVER_AUTO] = "auto",
	[CONFIG_OBSERVER_TRAMPOLINE] = "trampoline",
	[CONFIG_OBSERVER_TRACEPOINT] = "tracepoint",
	[CONFIG_OBSERVER_NONE] = "none",
};

const char *config_observer_name(enum config_observer observer)
{
	return observers[observer];
}

int config_key_find(const char *key)
{
	int i;

	for (i = 0; i < CONFIG_KEYS; i++)
		if (strcmp(rows[i].name, key) == 0)
			return i;
	return -ENOENT;
}

__attribute__((format(printf, 5, 6))) static int wrong(const struct row *row, const char *value, char *err,
						       size_t errlen, const char *fmt, ...)
{
	char expected[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(expected, sizeof(expected), fmt, ap);
	va_end(ap);
	snprintf(err, errlen, "%s: '%.200s' is not %s", row->name, value, expected);
	return -EINVAL;
}

static bool path_ok(const char *path)
{
	const char *c;

	if (*path != '/')
		return false;
	for (c = path; *c; c++)
		if (strncmp(c, "/..", 3) == 0 && (c[3] == '/' || !c[3]))
			return false;
	return true;
}

static int set_path(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int set_switch(bool *field, const char *value)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*field = strcmp(value, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_observer(enum config_observer *field, const char *value)
{
	size_t i;

	for (i = 0; i < sizeof(observers) / sizeof(observers[0]); i++) {
		if (strcmp(value, observers[i]) == 0) {
			*field = (enum config_observer)i;
			return 0;
		}
	}
	return -EINVAL;
}

int config_key_set(struct config *c, int index, const char *value, char *err, size_t errlen)
{
	const struct row *row = &rows[index];
	void *field = (char *)c + row->offset;
	uint64_t number;

	switch (row->kind) {
	case PATH:
		if (!path_ok(value))
			return wrong(row, value, err, errlen, "an absolute path without '..'");
		return set_path(field, value);
	case NUMBER:
		if (text_to_number(value, row->min, row->max, &number) < 0)
			return wrong(row, value, err, errlen, "a number from %u to %u", row->min, row->max);
		*(uint32_t *)field = (uint32_t)number;
		return 0;
	case SWITCH:
		if (set_switch(field, value) < 0)
			return wrong(row, value, err, errlen, "'yes' or 'no'");
		return 0;
	case OBSERVER:
		if (set_observer(field, value) < 0)
			return wrong(row, value, err, errlen, "'auto', 'trampoline', 'tracepoint' or 'none'");
		return 0;
	}
	return -EINVAL;
}

int config_defaults(struct config *ret_config)
{
	struct config c = {
		.pin_dir = strdup(FL_PIN_DIR),
		.run_dir = strdup(paths_run_dir()),
		.max_pairs = FL_MAX_PAIRS_DEFAULT,
		.socket_opt_in = true,
		.bulk_leaves = true,
		.observe_reads = 16,
		.drain_timeout = 10,
		.observer = CONFIG_OBSERVER_AUTO,
		.yields = { FL_Y_ALL, YIELDS_DEFAULT },
	};

	if (!c.pin_dir || !c.run_dir) {
		config_free(&c);
		return -ENOMEM;
	}
	*ret_config = c;
	return 0;
}
