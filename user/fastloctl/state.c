/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where verbs get what they show: from the daemon, since its pins are its own. Of pairs it only hands over an
 * iterator, which is read like a file; the program runs over the slots in the reader's time.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control_call.h"
#include "ctl.h"
#include "paths.h"

static int call_failed(int r)
{
	const char *dir = paths_run_dir();

	if (r == -ENOENT || r == -ECONNREFUSED)
		return ctl_fail(CTL_ABSENT, "cannot reach fastlod at '%s/%s': %s (is it running?)", dir,
				PATHS_CONTROL, strerror(-r));
	if (r == -EACCES || r == -EPERM)
		return ctl_fail(CTL_REFUSED, "cannot reach fastlod at '%s/%s': %s (needs root or group '%s')", dir,
				PATHS_CONTROL, strerror(-r), PATHS_GROUP);
	if (r == -ETIMEDOUT)
		return ctl_fail(CTL_REFUSED, "cannot reach fastlod at '%s/%s': no answer in time", dir,
				PATHS_CONTROL);
	return ctl_fail(CTL_REFUSED, "cannot talk to fastlod at '%s/%s': %s", dir, PATHS_CONTROL, strerror(-r));
}

const char *ctl_string(struct json_object *json, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(json, key, &value) || !value)
		return "";
	return json_object_get_string(value);
}

/* request is released */
static int call(struct json_object *request, struct json_object **ret_reply, int *ret_fd)
{
	struct json_object *reply, *value;
	int r, code = CTL_REFUSED;

	r = control_call_fd(paths_run_dir(), request, &reply, ret_fd);
	json_object_put(request);
	if (r < 0)
		return call_failed(r);
	if (json_object_object_get_ex(reply, "ok", &value) && json_object_get_boolean(value)) {
		json_object_object_del(reply, "ok");
		*ret_reply = reply;
		return CTL_OK;
	}
	if (json_object_object_get_ex(reply, "code", &value) && json_object_get_int(value) > 0)
		code = json_object_get_int(value);
	ctl_fail(code, "%s", ctl_string(reply, "error"));
	json_object_put(reply);
	return code;
}

int ctl_call(struct json_object *request, struct json_object **ret_reply)
{
	int fd = -1, code = call(request, ret_reply, &fd);

	if (fd >= 0)
		close(fd);
	return code;
}

static struct json_object *verb_request(const char *verb)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "verb", json_object_new_string(verb));
	return request;
}

int ctl_ask(const char *verb, struct json_object **ret_reply)
{
	return ctl_call(verb_request(verb), ret_reply);
}

/* Whole records in *ret_data, or a negative errno. */
static int read_all(int fd, char **ret_data, size_t *ret_len)
{
	size_t len = 0, size = 64 << 10;
	char *data = malloc(size);

	while (data) {
		ssize_t n;

		if (size - len < 32 << 10) {
			char *more = realloc(data, size * 2);

			if (!more)
				break;
			data = more;
			size *= 2;
		}
		n = read(fd, data + len, size - len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN)) /* EAGAIN: it has seen many slots, and goes on */
			continue;
		if (n < 0) {
			int r = -errno;

			free(data);
			return r;
		}
		if (n == 0) {
			*ret_data = data;
			*ret_len = len;
			return 0;
		}
		len += (size_t)n;
	}
	free(data);
	return -ENOMEM;
}

int ctl_pairs(struct fl_record **ret_records, size_t *ret_n)
{
	struct json_object *reply;
	char *data = NULL;
	size_t len = 0;
	int fd = -1, r, code = call(verb_request("records"), &reply, &fd);

	if (code)
		return code;
	json_object_put(reply);
	r = fd < 0 ? -EPROTO : read_all(fd, &data, &len);
	if (fd >= 0)
		close(fd);
	if (r == 0 && len % sizeof(struct fl_record) != 0) {
		free(data);
		r = -EPROTO;
	}
	if (r < 0)
		return ctl_fail(CTL_REFUSED, "cannot read the pairs: %s%s", strerror(-r),
				r == -EPROTO ? " (fastlod is of another version)" : "");
	*ret_records = (struct fl_record *)data;
	*ret_n = len / sizeof(struct fl_record);
	return CTL_OK;
}

/* A daemon of another version may count fewer things (those are 0) or more. */
static void take_numbers(struct json_object *reply, const char *key, uint64_t *ret_values, size_t n)
{
	struct json_object *list = json_object_object_get(reply, key);

	memset(ret_values, 0, n * sizeof(*ret_values));
	for (size_t i = 0; i < n && json_object_is_type(list, json_type_array); i++)
		ret_values[i] = json_object_get_uint64(json_object_array_get_idx(list, i));
}

int ctl_counters(uint64_t ret_totals[FL_T_MAX], uint64_t ret_reasons[FL_R_MAX])
{
	struct json_object *reply;
	int code = ctl_ask("counters", &reply);

	if (code)
		return code;
	take_numbers(reply, "totals", ret_totals, FL_T_MAX);
	take_numbers(reply, "reasons", ret_reasons, FL_R_MAX);
	json_object_put(reply);
	return CTL_OK;
}
