/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where verbs get what they show: the daemon for what it knows, its pins for everything about pairs.
 * A pinned iterator is read like a file: every open runs the program over all slots once.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
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
	if (r == -ETIMEDOUT)
		return ctl_fail(CTL_REFUSED, "cannot reach fastlod at '%s/%s': no answer in %d s", dir,
				PATHS_CONTROL, CONTROL_TIMEOUT_S);
	return ctl_fail(CTL_REFUSED, "cannot talk to fastlod at '%s/%s': %s", dir, PATHS_CONTROL, strerror(-r));
}

const char *ctl_string(struct json_object *json, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(json, key, &value) || !value)
		return "";
	return json_object_get_string(value);
}

int ctl_call(struct json_object *request, struct json_object **ret_reply)
{
	struct json_object *reply, *value;
	int r, code = CTL_REFUSED;

	r = control_call(paths_run_dir(), request, &reply);
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

int ctl_ask(const char *verb, struct json_object **ret_reply)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "verb", json_object_new_string(verb));
	return ctl_call(request, ret_reply);
}

static int pin_failed(const char *path, int r)
{
	const char *hint = "";

	if (r == -EACCES || r == -EPERM)
		hint = " (needs root)";
	else if (r == -EPROTO)
		hint = " (fastlod is of another version)";
	return ctl_fail(CTL_REFUSED, "cannot read '%s': %s%s", path, strerror(-r), hint);
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

int ctl_records(const char *pin_dir, struct fl_record **ret_records, size_t *ret_n)
{
	char path[PATH_MAX], *data = NULL;
	size_t len = 0;
	int fd, r;

	snprintf(path, sizeof(path), "%s/list", pin_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return pin_failed(path, -errno);
	r = read_all(fd, &data, &len);
	close(fd);
	if (r < 0)
		return pin_failed(path, r);
	if (len % sizeof(struct fl_record) != 0) {
		free(data);
		return pin_failed(path, -EPROTO);
	}
	*ret_records = (struct fl_record *)data;
	*ret_n = len / sizeof(struct fl_record);
	return CTL_OK;
}

int ctl_counters(const char *pin_dir, const char *map, uint64_t *ret_values, uint32_t n)
{
	int cpus = libbpf_num_possible_cpus(), fd, cpu, r = 0;
	char path[PATH_MAX];
	uint64_t *per_cpu;
	uint32_t key;

	snprintf(path, sizeof(path), "%s/%s", pin_dir, map);
	if (cpus < 0)
		return pin_failed(path, cpus);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return pin_failed(path, -errno);
	per_cpu = calloc((size_t)cpus, sizeof(*per_cpu));
	if (!per_cpu)
		r = -ENOMEM;
	memset(ret_values, 0, n * sizeof(*ret_values));
	for (key = 0; key < n && !r; key++) {
		/* a daemon of another version may count fewer things: those are 0 */
		if (bpf_map_lookup_elem(fd, &key, per_cpu) < 0 && errno != ENOENT)
			r = -errno;
		for (cpu = 0; cpu < cpus && !r; cpu++)
			ret_values[key] += per_cpu[cpu];
		if (!r)
			memset(per_cpu, 0, (size_t)cpus * sizeof(*per_cpu));
	}
	free(per_cpu);
	close(fd);
	return r < 0 ? pin_failed(path, r) : CTL_OK;
}

int ctl_pairs(struct fl_record **ret_records, size_t *ret_n)
{
	struct json_object *status;
	int code;

	code = ctl_ask("status", &status);
	if (code)
		return code;
	code = ctl_records(ctl_string(status, "pin_dir"), ret_records, ret_n);
	json_object_put(status);
	return code;
}
