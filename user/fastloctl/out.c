/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Output: for people, or with -j exactly one JSON document on stdout, whatever happens.
 */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "log.h"

#define ERROR_MAX 1024

static bool json_wanted;

void ctl_set_json(bool json)
{
	json_wanted = json;
}

bool ctl_json(void)
{
	return json_wanted;
}

int ctl_print(struct json_object *json)
{
	puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(json);
	return fflush(stdout) == 0 ? CTL_OK : CTL_REFUSED;
}

int ctl_fail(int code, const char *fmt, ...)
{
	struct json_object *json;
	char text[ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!json_wanted) {
		log_err("%s", text);
		return code;
	}
	json = json_object_new_object();
	json_object_object_add(json, "error", json_object_new_string(text));
	json_object_object_add(json, "code", json_object_new_int(code));
	ctl_print(json);
	return code;
}

char *ctl_bytes(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, len, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buf;
}

int ctl_no_arguments(int argc, char **argv)
{
	if (argc <= 1)
		return CTL_OK;
	return ctl_fail(CTL_USAGE, "%s: unknown argument '%s'%s", argv[0], argv[1],
			argv[1][0] == '-' ? " (options go before the verb)" : "");
}
