/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What fastlod finds when it starts and did not make so: stale or damaged files (for pins see test_bad_pins.c); and
 * policies for cgroups that are not there. One clear line, nothing changed, nothing lost.
 */
#include "check.h"

#include <stdlib.h>
#include <sys/stat.h>
static void stale_files_of_a_killed_one(void **state)
{
	char path[256], text[64];

	(void)state;
	ok(env_kill());
	snprintf(path, sizeof(path), "%s/control", env.run);
	assert_return_code(access(path, F_OK), errno);
	snprintf(path, sizeof(path), "%s/fastlod.pid", env.run);
	ok(file_write(path, "1\n")); /* somebody lives there, and is no fastlod */
	ok(env_restart());
	ok(file_read(path, text, sizeof(text)));
	assert_int_equal(atoi(text), env_daemon());
	assert_int_equal(env_ctl(NULL, "status", NULL), 0);
}

static void the_lock_is_no_file(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/nofile", env.dir);
	assert_return_code(mkdir(path, 0755), errno);
	snprintf(path, sizeof(path), "%s/nofile/fastlod.pid", env.dir);
	assert_return_code(mkdir(path, 0755), errno);
	check_start_refused("nofile", path);
}

/* Policies that were added by hand, damaged: said, and the rest works. */
static void remembered_policies_are_damaged(void **state)
{
	static const char *const texts[] = { "", "{", "[]x", "{}", "[1,{\"name\":\"x\"}]" };
	char path[256], said[4096];

	(void)state;
	snprintf(path, sizeof(path), "%s/policies.json", env.run);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ok(env_kill());
		ok(file_write(path, texts[i]));
		ok(env_restart());
		ok(file_read(env.log, said, sizeof(said)));
		print_message("%s", said);
		assert_true(i == 2 || strstr(said, "policies.json"));
		assert_int_equal(env_ctl(NULL, "status", NULL), 0);
	}
}

static int64_t matched(const char *policy)
{
	struct json_object *list = NULL, *name, *cgroups;
	int64_t n = -1;

	assert_int_equal(env_ctl(&list, "policy", "list", NULL), 0);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *p = json_object_array_get_idx(list, i);

		if (json_object_object_get_ex(p, "name", &name) && strcmp(json_object_get_string(name), policy) == 0 &&
		    json_object_object_get_ex(p, "cgroups", &cgroups))
			n = json_object_get_int64(cgroups);
	}
	json_object_put(list);
	return n;
}

static void await_matched(const char *policy, int64_t n)
{
	for (int64_t until = now_ms() + PATIENCE_MS; matched(policy) != n;)
		assert_true(tick(until));
}

/* It applies when the cgroup comes, again when it comes again, and open connections outlive it. */
static void a_cgroup_that_comes_and_goes(void **state)
{
	char dir[400];
	struct pair p;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/later", env.cgroup);
	assert_int_equal(env_ctl(NULL, "policy", "add", "later", "--cgroup", dir + strlen(env.mount), "--engage", "eager",
				 NULL), 0);
	assert_int_equal(matched("later"), 0);
	for (int round = 0; round < 3; round++) {
		assert_return_code(mkdir(dir, 0755), errno);
		await_matched("later", 1);
		ok(env_join(dir));
		ok(pair_open(&p, V4, false, false));
		ok(pair_warm(&p));
		ok(pair_send(&p, CLIENT, 1000));
		ok(env_join(env.app));
		assert_return_code(rmdir(dir), errno);
		await_matched("later", 0);
		ok(pair_drain(&p, CLIENT));
		ok(pair_pingpong(&p, 20, 300));
		pair_close(&p);
	}
	assert_int_equal(env_ctl(NULL, "policy", "remove", "later", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stale_files_of_a_killed_one),
		cmocka_unit_test(the_lock_is_no_file),
		cmocka_unit_test(remembered_policies_are_damaged),
		cmocka_unit_test(a_cgroup_that_comes_and_goes),
	};

	return run_group(tests, group_up, group_down);
}
