/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's store of policies and its sync, over a made-up map that counts every write. What needs
 * real cgroups makes its own below ours, and is skipped where root or cgroup2 is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup.h"
#include "policies.h"

#define SECOND 1000000000ULL

struct fake {
	struct fl_policy_key keys[128];
	struct fl_policy values[128];
	int n, updates, removes, fail_updates;
};

static int fake_find(struct fake *f, const struct fl_policy_key *key)
{
	int i;

	for (i = 0; i < f->n; i++)
		if (memcmp(&f->keys[i], key, sizeof(*key)) == 0)
			return i;
	return -1;
}

static int fake_update(void *arg, const struct fl_policy_key *key, const struct fl_policy *value)
{
	struct fake *f = arg;
	int i = fake_find(f, key);

	if (f->fail_updates > 0 && f->fail_updates--)
		return -E2BIG;
	f->updates++;
	if (i < 0) {
		i = f->n++;
		assert_true(f->n <= 128);
	}
	f->keys[i] = *key;
	f->values[i] = *value;
	return 0;
}

static int fake_remove(void *arg, const struct fl_policy_key *key)
{
	struct fake *f = arg;
	int i = fake_find(f, key);

	f->removes++;
	if (i < 0)
		return -ENOENT;
	f->n--;
	f->keys[i] = f->keys[f->n];
	f->values[i] = f->values[f->n];
	return 0;
}

static int fake_next(void *arg, const struct fl_policy_key *prev, struct fl_policy_key *ret_key)
{
	struct fake *f = arg;
	int i = prev ? fake_find(f, prev) + 1 : 0;

	if (i >= f->n)
		return -ENOENT;
	*ret_key = f->keys[i];
	return 0;
}

struct fixture {
	struct policies *p;
	struct fake fake;
	struct policies_map map;
	uint32_t shapes;
	bool changed;
	char err[POLICY_ERROR_MAX];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->p = policies_new("/nonexistent");
	f->map = (struct policies_map){ fake_update, fake_remove, fake_next, &f->fake };
	*state = f;
	return f->p ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	policies_free(f->p);
	free(f);
	return 0;
}

static void add(struct fixture *f, const char *name, const char *cgroup, uint16_t port, bool eager)
{
	struct policy p = { .cgroup = (char *)(uintptr_t)cgroup, .has_port = port, .port = port, .eager = eager };

	snprintf(p.name, sizeof(p.name), "%s", name);
	assert_int_equal(policies_add(f->p, &p, f->err, sizeof(f->err)), 0);
}

static int sync_it(struct fixture *f)
{
	f->fake.updates = 0;
	f->fake.removes = 0;
	f->changed = false;
	return policies_sync_map(f->p, &f->map, &f->shapes, &f->changed);
}

static void a_name_is_taken_once(void **state)
{
	struct fixture *f = *state;
	struct policy p = { .name = "a", .has_port = true, .port = 2 };

	add(f, "a", NULL, 1, false);
	assert_int_equal(policies_add(f->p, &p, f->err, sizeof(f->err)), -EEXIST);
	assert_string_equal(f->err, "cannot add policy 'a': there is one of that name");
	assert_int_equal(policies_remove(f->p, "b"), -ENOENT);
	assert_int_equal(policies_remove(f->p, "a"), 0);
	assert_int_equal(policies_count(f->p), 0);
	assert_int_equal(policies_add(f->p, &p, f->err, sizeof(f->err)), 0);
}

static void an_incomplete_policy_is_not_stored(void **state)
{
	struct fixture *f = *state;
	struct policy p = { .name = "a" };

	assert_int_equal(policies_add(f->p, &p, f->err, sizeof(f->err)), -EINVAL);
	assert_int_equal(policies_count(f->p), 0);
}

static void there_is_a_limit(void **state)
{
	struct fixture *f = *state;
	struct policy p = { .has_uid = true };
	int i, r = 0;

	for (i = 0; i <= FL_MAX_POLICIES && !r; i++) {
		snprintf(p.name, sizeof(p.name), "p%d", i);
		p.uid = (uint32_t)i;
		r = policies_add(f->p, &p, f->err, sizeof(f->err));
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(policies_count(f->p), FL_MAX_POLICIES);
	assert_string_equal(f->err, "cannot add policy 'p16384': there are 16384 already");
}

static void sync_writes_the_difference_only(void **state)
{
	struct fixture *f = *state;

	add(f, "a", NULL, 1, false);
	add(f, "b", NULL, 2, true);
	assert_int_equal(sync_it(f), 0);
	assert_true(f->changed);
	assert_int_equal(f->fake.updates, 2);
	assert_int_equal(f->shapes, 1U << FL_SHAPE_PORT);
	assert_int_equal(sync_it(f), 0);
	assert_false(f->changed);
	assert_int_equal(f->fake.updates + f->fake.removes, 0);
	policies_remove(f->p, "a");
	assert_int_equal(sync_it(f), 0);
	assert_true(f->changed);
	assert_int_equal(f->fake.updates, 0);
	assert_int_equal(f->fake.removes, 1);
	assert_int_equal(f->fake.n, 1);
	assert_int_equal(f->fake.keys[0].port, 2);
	assert_int_equal(f->fake.values[0].flags, FL_F_EAGER);
}

static void what_an_earlier_daemon_left_goes_or_is_renewed(void **state)
{
	struct fixture *f = *state;
	struct fl_policy_key stale = { .shape = FL_SHAPE_PORT, .port = 9 };
	struct fl_policy_key kept = { .shape = FL_SHAPE_PORT, .port = 1 };
	struct fl_policy value = { .flags = FL_F_BLOCKING, .id = 1 };

	fake_update(&f->fake, &stale, &value);
	fake_update(&f->fake, &kept, &value);
	add(f, "a", NULL, 1, false);
	assert_int_equal(sync_it(f), 0);
	assert_true(f->changed);
	assert_int_equal(f->fake.n, 1);
	assert_int_equal(f->fake.keys[0].port, 1);
	assert_int_equal(f->fake.values[0].flags, 0);
}

static void of_two_with_one_key_the_first_wins(void **state)
{
	struct fixture *f = *state;

	add(f, "a", NULL, 1, true);
	add(f, "b", NULL, 1, false);
	assert_int_equal(sync_it(f), 0);
	assert_int_equal(f->fake.n, 1);
	assert_int_equal(f->fake.values[0].flags, FL_F_EAGER);
	policies_remove(f->p, "a");
	assert_int_equal(sync_it(f), 0);
	assert_int_equal(f->fake.n, 1);
	assert_int_equal(f->fake.values[0].flags, 0);
}

static void a_failed_write_is_reported_and_tried_again(void **state)
{
	struct fixture *f = *state;

	add(f, "a", NULL, 1, false);
	add(f, "b", NULL, 2, false);
	f->fake.fail_updates = 1;
	assert_int_equal(sync_it(f), -E2BIG);
	assert_true(f->changed);
	assert_int_equal(f->fake.n, 1);
	assert_int_equal(sync_it(f), 0);
	assert_int_equal(f->fake.updates, 1);
	assert_int_equal(f->fake.n, 2);
}

static void json_says_how_many_cgroups_match(void **state)
{
	struct fixture *f = *state;
	struct json_object *list, *p;

	add(f, "none", "/no/such", 0, false);
	add(f, "b", NULL, 2, true);
	sync_it(f);
	list = policies_to_json(f->p);
	assert_int_equal(json_object_array_length(list), 2);
	p = json_object_array_get_idx(list, 0);
	assert_string_equal(json_object_get_string(json_object_object_get(p, "name")), "none");
	assert_int_equal(json_object_get_int(json_object_object_get(p, "cgroups")), 0);
	p = json_object_array_get_idx(list, 1);
	assert_string_equal(json_object_get_string(json_object_object_get(p, "engage")), "eager");
	json_object_put(list);
}

/* A cgroup below our own; false where there is none to be had. */
static bool make_cgroup(char **ret_mount, char **ret_rel, char *abs, size_t len)
{
	char *own;

	if (cgroup_mount_find(ret_mount) < 0)
		return false;
	if (cgroup_of_pid(*ret_mount, 0, &own) < 0) {
		free(*ret_mount);
		return false;
	}
	assert_true(asprintf(ret_rel, "%s/fastlo-run-test-%d", strcmp(own, "/") ? own : "", (int)getpid()) > 0);
	free(own);
	snprintf(abs, len, "%s%s", *ret_mount, *ret_rel);
	if (mkdir(abs, 0755) < 0) {
		free(*ret_mount);
		free(*ret_rel);
		return false;
	}
	return true;
}

static pid_t sleeper_in(const char *abs)
{
	char path[4200];
	pid_t pid;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", abs);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%d", (int)pid);
	assert_int_equal(fclose(f), 0);
	return pid;
}

static void a_glob_is_one_key_per_cgroup(void **state)
{
	struct fixture *f = *state;
	char *mount, *rel, abs[4096], child[4200];
	uint64_t id;

	if (!make_cgroup(&mount, &rel, abs, sizeof(abs)))
		skip(); /* needs root and cgroup2 */
	policies_free(f->p);
	f->p = policies_new(mount);
	snprintf(child, sizeof(child), "%s/*", rel);
	add(f, "a", child, 80, false);
	add(f, "none", "/no/such", 0, false);
	assert_int_equal(sync_it(f), 0);
	assert_int_equal(f->fake.n, 0);
	assert_int_equal(f->shapes, 0);
	snprintf(child, sizeof(child), "%s/new", abs);
	assert_int_equal(mkdir(child, 0755), 0);
	assert_int_equal(sync_it(f), 0);
	assert_int_equal(f->fake.n, 1);
	assert_int_equal(cgroup_id_of(child, &id), 0);
	assert_true(f->fake.keys[0].cgroup == id);
	assert_int_equal(f->fake.keys[0].port, 80);
	assert_int_equal(f->shapes, 1U << (FL_SHAPE_CGROUP | FL_SHAPE_PORT));
	assert_int_equal(cgroup_remove(abs), 0);
	assert_int_equal(access(abs, F_OK), -1);
	assert_int_equal(sync_it(f), 0);
	assert_int_equal(f->fake.n, 0);
	assert_true(f->changed);
	free(rel);
	free(mount);
}

static void run_policies_go_when_their_cgroup_is_empty(void **state)
{
	struct policy policy = { .name = "run-1", .origin = POLICY_RUN };
	char *mount, abs[4096], err[POLICY_ERROR_MAX];
	struct policies *p;
	pid_t pid;

	(void)state;
	if (!make_cgroup(&mount, &policy.cgroup, abs, sizeof(abs)))
		skip(); /* needs root and cgroup2 */
	p = policies_new(mount);
	assert_int_equal(policies_add(p, &policy, err, sizeof(err)), 0);
	/* nobody has joined yet: not before the grace is over */
	assert_int_equal(policies_reap(p, 0), 0);
	assert_int_equal(policies_reap(p, UINT64_MAX), 1);
	assert_int_equal(access(abs, F_OK), -1);
	assert_int_equal(mkdir(abs, 0755), 0);
	assert_int_equal(policies_add(p, &policy, err, sizeof(err)), 0);
	pid = sleeper_in(abs);
	assert_int_equal(policies_reap(p, UINT64_MAX), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(policies_reap(p, 0), 1);
	assert_int_equal(access(abs, F_OK), -1);
	assert_int_equal(policies_count(p), 0);
	policies_free(p);
	policy_free(&policy);
	free(mount);
}

static void run_policies_whose_cgroup_vanished_go_others_stay(void **state)
{
	struct fixture *f = *state;
	struct policy p = { .name = "r", .cgroup = (char *)"/fastlo-run-none", .origin = POLICY_RUN };

	assert_int_equal(policies_add(f->p, &p, f->err, sizeof(f->err)), 0);
	p.origin = POLICY_CONTROL;
	strcpy(p.name, "c");
	assert_int_equal(policies_add(f->p, &p, f->err, sizeof(f->err)), 0);
	p.origin = POLICY_RUN;
	p.cgroup = (char *)"/not-ours";
	strcpy(p.name, "n");
	assert_int_equal(policies_add(f->p, &p, f->err, sizeof(f->err)), 0);
	assert_int_equal(policies_reap(f->p, 100 * SECOND), 1);
	assert_int_equal(policies_remove(f->p, "r"), -ENOENT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_name_is_taken_once),
		T(an_incomplete_policy_is_not_stored),
		T(there_is_a_limit),
		T(sync_writes_the_difference_only),
		T(what_an_earlier_daemon_left_goes_or_is_renewed),
		T(a_glob_is_one_key_per_cgroup),
		T(of_two_with_one_key_the_first_wins),
		T(a_failed_write_is_reported_and_tried_again),
		T(json_says_how_many_cgroups_match),
		T(run_policies_go_when_their_cgroup_is_empty),
		T(run_policies_whose_cgroup_vanished_go_others_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
