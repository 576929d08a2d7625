/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `fastloctl doctor` on the live kernel: its own pair is really spliced and released, and what it says of the
 * kernel agrees with what the test sees with its own eyes.
 */
#include "check.h"

#include <stdlib.h>
#include <sys/ioctl.h>

#define DOCTOR_TEXT (1 << 16)

/* From within the served cgroup, unlike env_ctl(). */
static struct json_object *doctor(const char *run_dir, int *ret_status)
{
	char command[1024], *text = calloc(1, DOCTOR_TEXT);
	struct json_object *list;
	FILE *f;

	snprintf(command, sizeof(command), "FASTLO_RUN_DIR=%s '%s/fastloctl' -j doctor", run_dir, env.bin);
	f = popen(command, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, DOCTOR_TEXT - 1, f) > 0);
	*ret_status = WEXITSTATUS(pclose(f));
	list = json_tokener_parse(text);
	assert_true(json_object_is_type(list, json_type_array));
	free(text);
	return list;
}

static const char *verdict(struct json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *f = json_object_array_get_idx(list, i);

		if (strcmp(json_object_get_string(json_object_object_get(f, "name")), name) == 0)
			return json_object_get_string(json_object_object_get(f, "verdict"));
	}
	return "missing";
}

static void finds_a_working_splice(void **state)
{
	struct json_object *list;
	int status;

	(void)state;
	list = doctor(env.run, &status);
	assert_int_equal(status, 0);
	assert_string_equal(verdict(list, "btf"), "good");
	assert_string_equal(verdict(list, "cgroup2"), "good");
	assert_string_equal(verdict(list, "fastlod"), "good");
	assert_string_equal(verdict(list, "splice"), "good");
	assert_string_equal(verdict(list, "release"), "good");
	json_object_put(list);
}

/* FIONREAD with 500 spliced, then 500 TCP bytes unread. */
static void agrees_about_fionread(void **state)
{
	int unread[2] = { -1, -1 }, low = 2, status;
	struct json_object *list;
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	for (int tcp = 0; tcp < 2; tcp++) {
		uint64_t before = spliced(p.fd[CLIENT]);

		if (tcp)
			assert_return_code(setsockopt(p.fd[SERVER], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)), errno);
		ok(pair_send(&p, CLIENT, 500));
		assert_int_equal(spliced(p.fd[CLIENT]) - before, tcp ? 0 : 500);
		assert_return_code(ioctl(p.fd[SERVER], FIONREAD, &unread[tcp]), errno);
		ok(pair_drain(&p, CLIENT));
	}
	pair_close(&p);
	list = doctor(env.run, &status);
	assert_string_equal(verdict(list, "fionread_spliced"), unread[0] == 500 ? "good" : "differs");
	assert_string_equal(verdict(list, "fionread_tcp"), unread[1] == 500 ? "good" : "differs");
	json_object_put(list);
}

static void without_a_daemon_it_looks_at_the_host(void **state)
{
	struct json_object *list;
	int status;

	(void)state;
	list = doctor("/nowhere/at/all", &status);
	assert_int_equal(status, 3);
	assert_string_equal(verdict(list, "btf"), "good");
	assert_string_equal(verdict(list, "fastlod"), "untried");
	assert_string_equal(verdict(list, "splice"), "missing");
	json_object_put(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_working_splice),
		cmocka_unit_test(agrees_about_fionread),
		cmocka_unit_test(without_a_daemon_it_looks_at_the_host),
	};

	return run_group(tests, group_up, group_down);
}
