/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control socket: requests over the real server and client, in a directory of the test's own,
 * with a stub instead of the daemon. The server runs in a child process.
 */
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

static void replies(struct json_object *reply, const char *expected)
{
	assert_string_equal(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(reply);
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

static void a_policy_goes_round(void **state)
{
	(void)state;
	replies(call("{\"verb\":\"policy_add\",\"policy\":{\"name\":\"a\",\"port\":80,\"origin\":\"run\"}}"), "{\"ok\":true}");
	replies(call("{\"verb\":\"policy_list\"}"), "{\"ok\":true,\"policies\":[\"a:80:run\"]}");
}

static void records_come_as_a_descriptor(void **state)
{
	struct json_object *request = json_tokener_parse("{\"verb\":\"records\"}"), *reply = NULL;
	char text[16] = "";
	int fd = -1;

	(void)state;
	assert_int_equal(control_call_fd(run_dir, request, &reply, &fd), 0);
	replies(reply, "{\"ok\":true}");
	assert_int_equal(read(fd, text, sizeof(text)), 7);
	assert_string_equal(text, "records");
	assert_int_equal(read(fd, text, sizeof(text)), 0); /* the server keeps none of it */
	close(fd);
	/* nobody wants it: no descriptor stays behind */
	assert_int_equal(control_call(run_dir, request, &reply), 0);
	replies(reply, "{\"ok\":true}");
	json_object_put(request);
	replies(call("{\"verb\":\"counters\"}"), "{\"ok\":true,\"totals\":7}");
}

static void refusals_carry_a_sentence_and_a_code(void **state)
{
	(void)state;
	replies(call("{\"verb\":\"policy_add\",\"policy\":{\"name\":\"full\",\"port\":80}}"),
		"{\"ok\":false,\"error\":\"cannot add policy 'full': no room\",\"code\":2}");
	replies(call("{\"verb\":\"policy_remove\",\"name\":\"b\"}"),
		"{\"ok\":false,\"error\":\"cannot remove policy 'b': there is none of that name\",\"code\":2}");
	replies(call("{\"verb\":\"resume\"}"), "{\"ok\":false,\"error\":\"Device or resource busy\",\"code\":2}");
	replies(call("{\"verb\":\"fly\"}"), "{\"ok\":false,\"error\":\"'fly' is not a verb\",\"code\":2}");
	replies(call("{\"verb\":\"policy_add\",\"policy\":{\"name\":\"a\",\"port\":0}}"),
		"{\"ok\":false,\"error\":\"port: '0' is not a number from 1 to 65535\",\"code\":2}");
	replies(call("{\"verb\":\"policy_add\",\"policy\":{\"name\":\"a\",\"port\":1,\"origin\":\"config\"}}"),
		"{\"ok\":false,\"error\":\"origin: 'config' is not 'control' or 'run'\",\"code\":2}");
}

static void malformed_requests_are_answered(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "5", "null", "{}", "{\"verb\":5}", "\x80\xff", "{\"verb\":\"status\"",
					     "[[[[[[[[[[[[[[[[[[[[" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int fd;
		struct json_object *reply = control_answer(&ops, NULL, texts[i], true, &fd);

		assert_non_null(reply);
		assert_int_equal(fd, -1);
		assert_false(json_object_get_boolean(json_object_object_get(reply, "ok")));
		assert_true(strlen(json_object_get_string(json_object_object_get(reply, "error"))) > 0);
		json_object_put(reply);
	}
}

static void changes_need_privilege_questions_do_not(void **state)
{
	static const char *const changes[] = { "policy_add", "policy_remove", "drain", "resume" };
	static const char *const words[] = { "policy add", "policy remove", "drain", "resume" };
	char text[64], expected[128];
	struct json_object *reply;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		snprintf(text, sizeof(text), "{\"verb\":\"%s\"}", changes[i]);
		snprintf(expected, sizeof(expected),
			 "{\"ok\":false,\"error\":\"%s: permission denied: needs root\",\"code\":2}", words[i]);
		replies(control_answer(&ops, NULL, text, false, &fd), expected);
	}
	reply = control_answer(&ops, NULL, "{\"verb\":\"status\"}", false, &fd);
	assert_true(json_object_get_boolean(json_object_object_get(reply, "ok")));
	json_object_put(reply);
}

static int dial(void)
{
	struct sockaddr_un addr;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(control_address(run_dir, &addr), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void silent_and_slow_clients_stall_nobody(void **state)
{
	int fd[8], i;

	(void)state;
	for (i = 0; i < 8; i++) {
		fd[i] = dial();
		if (i % 2)
			assert_int_equal(write(fd[i], "{\"ver", 5), 5);
	}
	status_goes_round(NULL);
	for (i = 0; i < 8; i++)
		close(fd[i]);
	status_goes_round(NULL);
}

static void too_many_clients_are_turned_away_and_come_back(void **state)
{
	int fd[CONTROL_CLIENTS_MAX + 8], i;
	char byte;

	(void)state;
	for (i = 0; i < CONTROL_CLIENTS_MAX + 8; i++)
		fd[i] = dial();
	assert_int_equal(read(fd[CONTROL_CLIENTS_MAX + 7], &byte, 1), 0); /* closed at once */
	for (i = 0; i < CONTROL_CLIENTS_MAX + 8; i++) {
		shutdown(fd[i], SHUT_WR);
		while (read(fd[i], &byte, 1) > 0) /* until the server has let go of it */
			;
		close(fd[i]);
	}
	status_goes_round(NULL);
}

static void a_request_without_a_newline_ends_with_the_stream(void **state)
{
	char reply[256];
	int fd = dial();
	ssize_t n;

	(void)state;
	assert_int_equal(write(fd, "{\"verb\":\"drain\"}", 16), 16);
	shutdown(fd, SHUT_WR);
	n = read(fd, reply, sizeof(reply) - 1);
	assert_true(n > 0);
	reply[n] = '\0';
	assert_string_equal(reply, "{\"ok\":true}\n");
	close(fd);
}

static void a_request_without_end_is_dropped(void **state)
{
	static char junk[CONTROL_REQUEST_MAX];
	int fd = dial();
	char byte;

	(void)state;
	memset(junk, 'x', sizeof(junk));
	send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
	send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
	assert_true(read(fd, &byte, 1) <= 0);
	close(fd);
	status_goes_round(NULL);
}

static void a_second_server_is_refused_and_the_first_is_named(void **state)
{
	struct control *c = NULL;
	sd_event *event;
	pid_t pid = 0;

	(void)state;
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(control_listen(event, run_dir, &ops, NULL, &c), -EADDRINUSE);
	assert_null(c);
	sd_event_unref(event);
	assert_int_equal(control_owner(run_dir, &pid), 0);
	assert_int_equal(pid, server);
	status_goes_round(NULL);
}

/* Whose group it is: tests/integration/test_privileges.c. */
static void the_socket_is_not_for_others(void **state)
{
	char path[128];
	struct stat st;

	(void)state;
	assert_int_equal(stat(run_dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	snprintf(path, sizeof(path), "%s/control", run_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void without_a_daemon_the_call_says_so(void **state)
{
	struct json_object *request = json_object_new_object(), *reply = NULL;
	char longer[200];
	pid_t pid;

	(void)state;
	assert_int_equal(control_call("/nonexistent", request, &reply), -ENOENT);
	assert_null(reply);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(control_call(longer, request, &reply), -ENAMETOOLONG);
	json_object_put(request);
	/* last of all: a socket that outlived its server */
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	server = 0;
	assert_int_equal(control_owner(run_dir, &pid), -ECONNREFUSED);
}

static void a_stale_socket_is_replaced_and_removed(void **state)
{
	struct control *c = NULL;
	sd_event *event;
	char path[128];

	(void)state;
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(control_listen(event, run_dir, &ops, NULL, &c), 0);
	control_free(c);
	control_free(NULL);
	sd_event_unref(event);
	snprintf(path, sizeof(path), "%s/control", run_dir);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_goes_round),
		cmocka_unit_test(a_policy_goes_round),
		cmocka_unit_test(records_come_as_a_descriptor),
		cmocka_unit_test(refusals_carry_a_sentence_and_a_code),
		cmocka_unit_test(malformed_requests_are_answered),
		cmocka_unit_test(changes_need_privilege_questions_do_not),
		cmocka_unit_test(silent_and_slow_clients_stall_nobody),
		cmocka_unit_test(too_many_clients_are_turned_away_and_come_back),
		cmocka_unit_test(a_request_without_a_newline_ends_with_the_stream),
		cmocka_unit_test(a_request_without_end_is_dropped),
		cmocka_unit_test(a_second_server_is_refused_and_the_first_is_named),
		cmocka_unit_test(the_socket_is_not_for_others),
		cmocka_unit_test(without_a_daemon_the_call_says_so),
		cmocka_unit_test(a_stale_socket_is_replaced_and_removed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
