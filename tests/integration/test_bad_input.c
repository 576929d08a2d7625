/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What fastlod finds when it starts and did not make so: stale or foreign files, damaged pins, a read-only bpffs; and
 * policies for cgroups that are not there. One clear line, nothing changed, nothing lost.
 */
#include "check.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <bpf/bpf.h>

static void check_line(int status, const char *said, const char *word)
{
	const char *end = strchr(said, '\n');

	print_message("%s", said);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
	assert_non_null(strstr(said, word));
	assert_true(end && end[1] == '\0');
}

/* A fastlod of other places (`name`, below the environment's) or of these (NULL) is refused, in one line. */
static void check_refused(const char *name, const char *word)
{
	char text[1024], said[4096];
	int status;

	if (name)
		snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s/%s\nrun_dir = %s/%s\ncgroup = %s\n", env.bpffs, name,
			 env.dir, name, env.cgroup);
	else
		ok(file_read(env.config, text, sizeof(text)));
	status = env_try_daemon(text, 0, said, sizeof(said));
	check_line(status, said, word);
}

static void open_unread(struct pair *p)
{
	ok(pair_open(p, V4, true, true));
	ok(pair_warm(p));
	ok(pair_send(p, CLIENT, 1000));
	ok(pair_send(p, SERVER, 1000));
}

/* What fastlod left at work, still is. */
static void check_at_work(struct pair *p)
{
	uint64_t before = spliced(p->fd[CLIENT]);

	ok(pair_drain(p, CLIENT));
	ok(pair_drain(p, SERVER));
	ok(pair_pingpong(p, 10, 300));
	assert_true(spliced(p->fd[CLIENT]) > before);
	ok(pair_send(p, CLIENT, 1000));
	ok(pair_send(p, SERVER, 1000));
}

static void finish(struct pair *p)
{
	ok(env_restart());
	ok(pair_drain(p, CLIENT));
	ok(pair_drain(p, SERVER));
	ok(pair_warm(p));
	pair_close(p);
}

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
	check_refused("nofile", path);
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

static void bpffs_writable(bool yes)
{
	assert_return_code(mount(NULL, env.bpffs, NULL, MS_REMOUNT | (yes ? 0 : MS_RDONLY), NULL), errno);
}

static void read_only_bpffs(void **state)
{
	struct pair p;

	(void)state;
	open_unread(&p);
	ok(env_kill());
	bpffs_writable(false);
	check_refused("ro", "Read-only file system");
	check_refused(NULL, "Read-only file system");
	check_at_work(&p);
	bpffs_writable(true);
	finish(&p);
}

static void foreign_pins(void **state)
{
	char dir[256], path[300];
	int fd;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/foreign", env.bpffs);
	assert_return_code(mkdir(dir, 0700), errno);
	snprintf(path, sizeof(path), "%s/data_ctl", dir);
	fd = ok(bpf_map_create(BPF_MAP_TYPE_HASH, "foreign", 4, 64, 1, NULL));
	assert_return_code(bpf_obj_pin(fd, path), errno);
	check_refused("foreign", "not what a fastlod pins there");
	assert_return_code(unlink(path), errno);
	close(fd);
	fd = ok(bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 64, 1, NULL)); /* one that can't be mapped */
	assert_return_code(bpf_obj_pin(fd, path), errno);
	check_refused("foreign", "not what a fastlod pins there");
	assert_return_code(access(path, F_OK), errno);
	assert_return_code(unlink(path), errno);
	close(fd);
	assert_return_code(rmdir(dir), errno);
}

static void a_pinned_map_of_another_shape(void **state)
{
	static const char *const names[] = { "fl_slots", "fl_progs", "fl_policy" };
	struct pair p;

	(void)state;
	open_unread(&p);
	ok(env_kill());
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[256];
		int own, other;

		snprintf(path, sizeof(path), "%s/%s", env.pins, names[i]);
		own = ok(bpf_obj_get(path));
		other = ok(bpf_map_create(BPF_MAP_TYPE_HASH, "other", 8, 24, 7, NULL));
		assert_return_code(unlink(path), errno);
		assert_return_code(bpf_obj_pin(other, path), errno);
		check_refused(NULL, path);
		check_at_work(&p);
		assert_return_code(unlink(path), errno);
		assert_return_code(bpf_obj_pin(own, path), errno);
		close(own);
		close(other);
	}
	finish(&p);
}

/* Whatever the first word says, the set is fastlod's, and is drained as one of another ABI. */
static void a_damaged_version(void **state)
{
	static const uint32_t words[] = { 0, 1, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct fl_ctl *ctl;
		char path[256];
		struct pair p;
		int fd;

		open_unread(&p);
		ok(env_kill());
		snprintf(path, sizeof(path), "%s/data_ctl", env.pins);
		fd = ok(bpf_obj_get(path));
		ctl = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(ctl, MAP_FAILED);
		ctl->abi = words[i];
		munmap(ctl, 4096);
		close(fd);
		ok(env_start());
		expect_state(p.fd[CLIENT], FASTLO_STATE_DRAINING);
		ok(pair_drain(&p, CLIENT));
		ok(pair_drain(&p, SERVER));
		for (int64_t until = now_ms() + PATIENCE_MS; !ok(env_ready());)
			assert_true(tick(until));
		ok(pair_pingpong(&p, 10, 300));
		pair_close(&p);
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
		cmocka_unit_test(read_only_bpffs),
		cmocka_unit_test(foreign_pins),
		cmocka_unit_test(a_pinned_map_of_another_shape),
		cmocka_unit_test(a_damaged_version),
		cmocka_unit_test(a_cgroup_that_comes_and_goes),
	};

	return run_group(tests, group_up, group_down);
}
