/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cgroup lookups. The walk is tested over plain directories of the test's own; what needs cgroup2 and
 * root is skipped without them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup.h"

static char tree[] = "/tmp/fastlo-cgroup-XXXXXX";

struct seen {
	char paths[64][256];
	int n, stop_at;
};

/* Keeps what follows the tree. */
static int see(const char *abs_path, void *arg)
{
	struct seen *s = arg;

	assert_true(s->n < 64);
	assert_memory_equal(abs_path, tree, strlen(tree));
	snprintf(s->paths[s->n++], sizeof(s->paths[0]), "%s", abs_path + strlen(tree));
	return s->n == s->stop_at ? 77 : 0;
}

static bool saw(const struct seen *s, const char *path)
{
	int i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->paths[i], path) == 0)
			return true;
	return false;
}

static const char *const dirs[] = { "/class", "/class/net", "/class/rtc", "/clock", "/other", "/other/net" };

static int make_tree(void **state)
{
	char path[128];
	size_t i;
	FILE *f;

	(void)state;
	if (!mkdtemp(tree))
		return -1;
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", tree, dirs[i]);
		if (mkdir(path, 0755) < 0)
			return -1;
	}
	snprintf(path, sizeof(path), "%s/class/nat", tree);
	f = fopen(path, "we"); /* a file is no cgroup */
	return f ? fclose(f) : -1;
}

static int remove_tree(void **state)
{
	char path[128];
	size_t i;

	(void)state;
	snprintf(path, sizeof(path), "%s/class/nat", tree);
	unlink(path);
	for (i = sizeof(dirs) / sizeof(dirs[0]); i-- > 0;) {
		snprintf(path, sizeof(path), "%s%s", tree, dirs[i]);
		rmdir(path);
	}
	return rmdir(tree);
}

static void a_literal_path_matches_itself_only(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(cgroup_walk(tree, "/class/net", see, &s), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.paths[0], "/class/net");
	assert_int_equal(cgroup_walk(tree, "/class/nat", see, &s), 0);
	assert_int_equal(s.n, 1);
}

static void slashes_and_the_mount_prefix_do_not_matter(void **state)
{
	char prefixed[128], root[128];
	const char *same[] = { "/class/net/", "//class//net", prefixed };
	size_t i;

	(void)state;
	snprintf(prefixed, sizeof(prefixed), "%s/class/n*", tree);
	snprintf(root, sizeof(root), "%s/", tree);
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct seen s = { 0 };

		assert_int_equal(cgroup_walk(root, same[i], see, &s), 0);
		assert_int_equal(s.n, 1);
		assert_string_equal(s.paths[0], "/class/net");
	}
}

static void the_root_is_the_mount(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(cgroup_walk(tree, "/", see, &s), 0);
	assert_int_equal(cgroup_walk(tree, tree, see, &s), 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.paths[0], "");
	assert_string_equal(s.paths[1], "");
}

static void a_star_stays_within_one_component(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(cgroup_walk(tree, "/cl*", see, &s), 0);
	assert_int_equal(s.n, 2);
	assert_true(saw(&s, "/class") && saw(&s, "/clock"));
}

static void a_glob_in_the_middle_and_classes_work(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(cgroup_walk(tree, "/c?a[r-t]s/net", see, &s), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.paths[0], "/class/net");
	assert_int_equal(cgroup_walk(tree, "/*/net", see, &s), 0);
	assert_int_equal(s.n, 3);
	assert_true(saw(&s, "/other/net"));
}

static void what_does_not_exist_matches_nothing(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(cgroup_walk(tree, "/no/such", see, &s), 0);
	assert_int_equal(cgroup_walk(tree, "/no-such*/x", see, &s), 0);
	assert_int_equal(cgroup_walk("/nonexistent", "/*", see, &s), 0);
	assert_int_equal(s.n, 0);
}

static void a_backslash_is_an_ordinary_character(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(cgroup_walk(tree, "/cl\\ass*", see, &s), 0);
	assert_int_equal(s.n, 0);
}

static void a_pattern_longer_than_any_path_matches_nothing(void **state)
{
	struct seen s = { 0 };
	char pattern[9000];

	(void)state;
	memset(pattern, 'x', sizeof(pattern));
	pattern[0] = '/';
	pattern[sizeof(pattern) - 1] = '\0';
	assert_int_equal(cgroup_walk(tree, pattern, see, &s), 0);
	pattern[1] = '*';
	assert_int_equal(cgroup_walk(tree, pattern, see, &s), 0);
	assert_int_equal(s.n, 0);
}

static void the_callback_can_stop_the_walk(void **state)
{
	struct seen s = { .stop_at = 1 };

	(void)state;
	assert_int_equal(cgroup_walk(tree, "/*", see, &s), 77);
	assert_int_equal(s.n, 1);
}

static void an_id_of_another_filesystem_is_refused(void **state)
{
	uint64_t id = 5;

	(void)state;
	assert_true(cgroup_id_of("/nonexistent", &id) == -ENOENT);
	assert_true(cgroup_id_of("/tmp", &id) < 0);
	assert_true(cgroup_id_of("/proc/self", &id) < 0);
	assert_int_equal(id, 5);
}

static int find_in(const char *mountinfo, char **ret)
{
	char path[] = "/tmp/fastlo-mountinfo-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, mountinfo, strlen(mountinfo)), strlen(mountinfo));
	close(fd);
	r = cgroup_mount_find_in(path, ret);
	unlink(path);
	return r;
}

static void the_mount_of_the_whole_hierarchy_is_preferred(void **state)
{
	char *path = NULL;

	(void)state;
	assert_int_equal(find_in("20 1 0:1 / / rw - ext4 /dev/a rw\n"
				 "30 20 0:9 /sub /part rw,nosuid shared:7 - cgroup2 cgroup2 rw\n"
				 "31 20 0:9 / /a\\040b/unified rw shared:8 master:1 - cgroup2 cgroup2 rw,nsdelegate\n",
				 &path),
			 0);
	assert_string_equal(path, "/a b/unified");
	free(path);
}

static void a_part_of_the_hierarchy_is_better_than_nothing(void **state)
{
	char *path = NULL;

	(void)state;
	assert_int_equal(find_in("30 20 0:9 /sub /part rw - cgroup2 none rw", &path), 0);
	assert_string_equal(path, "/part");
	free(path);
}

static void no_cgroup2_is_enoent(void **state)
{
	char *path = (char *)1;

	(void)state;
	assert_int_equal(find_in("30 20 0:9 / /c rw - cgroup cgroup rw\nrubbish\n - cgroup2 x\n1 2 - cgroup2 \n", &path),
			 -ENOENT);
	assert_ptr_equal(path, (char *)1);
	assert_int_equal(cgroup_mount_find_in("/nonexistent", &path), -ENOENT);
}

static void ids_and_paths_are_each_others_inverse(void **state)
{
	char *mount, *own, *rel, abs[4096];
	uint64_t id;
	int r;

	(void)state;
	if (cgroup_mount_find(&mount) < 0 || geteuid() != 0)
		skip(); /* needs cgroup2 and CAP_DAC_READ_SEARCH */
	assert_int_equal(cgroup_of_pid(mount, 0, &own), 0);
	assert_true(own[0] == '/');
	snprintf(abs, sizeof(abs), "%s%s", mount, own);
	if (cgroup_id_of(abs, &id) == 0) { /* else we are in a cgroup namespace's outside */
		r = cgroup_path_of(mount, id, &rel);
		assert_int_equal(r, 0);
		assert_string_equal(rel, own);
		free(rel);
		assert_true(cgroup_path_of(mount, UINT64_MAX, &rel) < 0);
	}
	free(own);
	free(mount);
}

static void a_process_that_is_not_there_has_no_cgroup(void **state)
{
	char *rel = (char *)1;

	(void)state;
	assert_true(cgroup_of_pid("/x", 0x7ffffff0, &rel) < 0);
	assert_ptr_equal(rel, (char *)1);
}

int main(void)
{
	const struct CMUnitTest walk[] = {
		cmocka_unit_test(a_literal_path_matches_itself_only),
		cmocka_unit_test(slashes_and_the_mount_prefix_do_not_matter),
		cmocka_unit_test(the_root_is_the_mount),
		cmocka_unit_test(a_star_stays_within_one_component),
		cmocka_unit_test(a_glob_in_the_middle_and_classes_work),
		cmocka_unit_test(what_does_not_exist_matches_nothing),
		cmocka_unit_test(a_backslash_is_an_ordinary_character),
		cmocka_unit_test(a_pattern_longer_than_any_path_matches_nothing),
		cmocka_unit_test(the_callback_can_stop_the_walk),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_of_another_filesystem_is_refused),
		cmocka_unit_test(the_mount_of_the_whole_hierarchy_is_preferred),
		cmocka_unit_test(a_part_of_the_hierarchy_is_better_than_nothing),
		cmocka_unit_test(no_cgroup2_is_enoent),
		cmocka_unit_test(ids_and_paths_are_each_others_inverse),
		cmocka_unit_test(a_process_that_is_not_there_has_no_cgroup),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return failed + cmocka_run_group_tests(walk, make_tree, remove_tree);
}
