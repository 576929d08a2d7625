/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A real control server with a stub instead of the daemon, in a child process and a directory of the test's own.
 */
#ifndef FASTLO_TESTS_CONTROL_SERVER_H
#define FASTLO_TESTS_CONTROL_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"
#include "control_call.h"
#include "control_verbs.h"

static char base[] = "/tmp/fastlo-control-XXXXXX";
static char run_dir[64];
static char added[128]; /* the stub's policy */
static pid_t server;

static struct json_object *stub_status(void *arg)
{
	struct json_object *json = json_object_new_object();

	(void)arg;
	json_object_object_add(json, "pid", json_object_new_int((int)getpid()));
	json_object_object_add(json, "pin_dir", json_object_new_string("/x"));
	return json;
}

static struct json_object *stub_list(void *arg)
{
	struct json_object *list = json_object_new_array();

	(void)arg;
	if (*added)
		json_object_array_add(list, json_object_new_string(added));
	return list;
}

static int stub_add(void *arg, const struct policy *p, char *err, size_t errlen)
{
	(void)arg;
	if (strcmp(p->name, "full") == 0) {
		snprintf(err, errlen, "cannot add policy 'full': no room");
		return -ENOSPC;
	}
	snprintf(added, sizeof(added), "%s:%u:%s", p->name, p->port, policy_origin_name(p->origin));
	return 0;
}

static int stub_remove(void *arg, const char *name, char *err, size_t errlen)
{
	(void)arg;
	(void)name;
	(void)err;
	(void)errlen;
	return -ENOENT;
}

static int stub_drain(void *arg, char *err, size_t errlen)
{
	(void)arg;
	(void)err;
	(void)errlen;
	return 0;
}

static int stub_resume(void *arg, char *err, size_t errlen)
{
	(void)arg;
	(void)err;
	(void)errlen;
	return -EBUSY;
}

/* a descriptor that yields "records" */
static int stub_records(void *arg)
{
	int fds[2];

	(void)arg;
	if (pipe(fds) < 0)
		return -errno;
	if (write(fds[1], "records", 7) != 7)
		return -EIO;
	close(fds[1]);
	return fds[0];
}

static int stub_counters(void *arg, struct json_object *reply)
{
	(void)arg;
	json_object_object_add(reply, "totals", json_object_new_int(7));
	return 0;
}

static const struct control_ops ops = { stub_status, stub_list,   stub_add,     stub_remove,
					stub_drain,  stub_resume, stub_records, stub_counters };

static void serve(int ready)
{
	struct control *c;
	sd_event *event;
	int r;

	r = sd_event_new(&event);
	if (r >= 0)
		r = control_listen(event, run_dir, &ops, NULL, &c);
	if (write(ready, &r, sizeof(r)) != sizeof(r) || r < 0)
		_exit(1);
	sd_event_loop(event);
	_exit(0);
}

static int set_up(void **state)
{
	int ready[2], r = -1;

	(void)state;
	if (!mkdtemp(base) || pipe(ready) < 0)
		return -1;
	snprintf(run_dir, sizeof(run_dir), "%s/run", base);
	server = fork();
	if (server == 0)
		serve(ready[1]);
	close(ready[1]);
	if (read(ready[0], &r, sizeof(r)) != sizeof(r))
		r = -1;
	close(ready[0]);
	return r;
}

static int tear_down(void **state)
{
	char path[128];

	(void)state;
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	snprintf(path, sizeof(path), "%s/control", run_dir);
	unlink(path);
	rmdir(run_dir);
	return rmdir(base);
}

/* The reply to a request given as text, over the socket. */
static struct json_object *call(const char *text)
{
	struct json_object *request = json_tokener_parse(text), *reply = NULL;

	assert_non_null(request);
	assert_int_equal(control_call(run_dir, request, &reply), 0);
	json_object_put(request);
	return reply;
}

static void status_goes_round(void **state)
{
	struct json_object *reply = call("{\"verb\":\"status\"}");

	(void)state;
	assert_true(json_object_get_boolean(json_object_object_get(reply, "ok")));
	assert_int_equal(json_object_get_int(json_object_object_get(reply, "pid")), server);
	assert_string_equal(json_object_get_string(json_object_object_get(reply, "pin_dir")), "/x");
	json_object_put(reply);
}

#endif
