/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control socket itself: clients that are slow, silent, many or endless; a second server; a stale socket.
 */
#include "control_server.h"

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
