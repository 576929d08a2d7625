/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pins that fastlod did not leave so: foreign, damaged, incomplete, removed or hidden while it runs, on a read-only
 * bpffs or on none. One clear line, and nothing lost: neither the open pairs nor what is unread.
 */
#include "check.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

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
	check_start_refused("ro", "Read-only file system");
	check_start_refused(NULL, "Read-only file system");
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
	check_start_refused("foreign", "not what a fastlod pins there");
	assert_return_code(unlink(path), errno);
	close(fd);
	fd = ok(bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 64, 1, NULL)); /* one that can't be mapped */
	assert_return_code(bpf_obj_pin(fd, path), errno);
	check_start_refused("foreign", "not what a fastlod pins there");
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
		check_start_refused(NULL, path);
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

static bool log_has(const char *words)
{
	char text[16384];

	return file_read(env.log, text, sizeof(text)) > 0 && strstr(text, words);
}

static void remove_pin(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", env.pins, name);
	assert_return_code(unlink(path), errno);
}

/* Its own sweep, which is there, releases its pairs; then it starts anew. */
static void a_part_of_the_maps(void **state)
{
	struct pair p;

	(void)state;
	open_unread(&p);
	ok(env_kill());
	remove_pin("fl_uids");
	ok(env_start());
	expect_state(p.fd[CLIENT], FASTLO_STATE_DRAINING);
	ok(pair_drain(&p, CLIENT));
	ok(pair_drain(&p, SERVER));
	for (int64_t until = now_ms() + PATIENCE_MS; !ok(env_ready());)
		assert_true(tick(until));
	assert_true(log_has("holds only a part of the maps: draining it"));
	ok(pair_pingpong(&p, 10, 300));
	pair_close(&p);
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	pair_close(&p);
}

static void links_are_missing(void **state)
{
	static const char *const names[] = { "link_sockops", "link_setsockopt", "link_destroy", "link_sweep" };
	struct pair p;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		open_unread(&p);
		ok(env_kill());
		remove_pin(names[i]);
		finish(&p);
		assert_true(log_has("took over what was pinned"));
		ok(pair_open(&p, V6, true, true));
		ok(pair_warm(&p));
		pair_close(&p);
	}
}

/* fastlod looks after its pins with every sweep; this brings one about. */
static void sweep_now(void)
{
	assert_int_equal(env_ctl(NULL, "policy", "add", "by-hand", "--port", "9", NULL), 0);
	assert_int_equal(env_ctl(NULL, "policy", "remove", "by-hand", NULL), 0);
}

/* With the maps, what is unread would go when fastlod dies. */
static void pins_are_removed_meanwhile(void **state)
{
	struct pair p;

	(void)state;
	for (int with_directory = 0; with_directory < 2; with_directory++) {
		open_unread(&p);
		if (with_directory) {
			ok(tree_remove(env.pins));
		} else {
			remove_pin("fl_sock");
			remove_pin("link_sockops");
		}
		check_at_work(&p);
		sweep_now();
		assert_true(log_has("had been removed, made again"));
		check_start_refused("fastlo", "another fastlod, with another run_dir"); /* a new directory is locked, too */
		check_at_work(&p);
		ok(env_kill());
		check_at_work(&p);
		finish(&p);
		assert_true(log_has("took over what was pinned"));
	}
}

static void another_bpffs_over_it(void **state)
{
	struct pair p;

	(void)state;
	open_unread(&p);
	assert_return_code(mount("bpf", env.bpffs, "bpf", 0, NULL), errno);
	sweep_now();
	assert_true(log_has("had been removed, made again"));
	assert_true(env_has_pins());
	ok(env_kill());
	check_at_work(&p);
	finish(&p);
	assert_int_equal(ok(env_sigterm_and_wait()), 0);
	assert_false(env_has_pins());
	assert_return_code(umount(env.bpffs), errno);
	assert_false(env_has_pins());
	ok(env_restart());
}

static void no_bpffs(void **state)
{
	char text[1024], said[4096];
	int status;

	(void)state;
	snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s/plain\nrun_dir = %s/plain\ncgroup = %s\n", env.dir, env.dir,
		 env.cgroup);
	status = env_try_daemon(text, 0, said, sizeof(said));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
	assert_non_null(strstr(said, "is not on a BPF file system"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_only_bpffs),
		cmocka_unit_test(no_bpffs),
		cmocka_unit_test(another_bpffs_over_it),
		cmocka_unit_test(foreign_pins),
		cmocka_unit_test(a_pinned_map_of_another_shape),
		cmocka_unit_test(a_damaged_version),
		cmocka_unit_test(a_part_of_the_maps),
		cmocka_unit_test(links_are_missing),
		cmocka_unit_test(pins_are_removed_meanwhile),
	};

	return run_group(tests, group_up, group_down);
}
