/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Much of everything: events that find the ring full, 10,000 policies, programs that fork all the time (for many pairs
 * see test_many.c). Figures are printed, none is judged.
 */
#include "check.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define READY_PAIRS 1000
#define POLICIES 10000
#define FIRST_PORT 20000
#define FORKS 300

static void close_pairs(struct pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pair_close(&p[i]);
	free(p);
}

/* Nobody empties the ring, thousands of events are lost, and the periodic sweep finds what they would have told. */
static void a_full_ring_loses_no_pair(void **state)
{
	int64_t admitted = env_stat("admitted"), until;
	int64_t lost = ok(table_lost_events()), full;
	struct pair *p = calloc(READY_PAIRS, sizeof(*p));
	char dir[400];

	(void)state;
	assert_int_equal(env_ctl(NULL, "policy", "add", "seen", "--cgroup", env.rel, "--engage", "observed", NULL), 0);
	assert_non_null(p);
	for (size_t i = 0; i < READY_PAIRS; i++)
		ok(pair_open(&p[i], V4, false, false));
	assert_return_code(kill(env_daemon(), SIGSTOP), errno);
	/* cgroups that come and go are events, too */
	snprintf(dir, sizeof(dir), "%s/fill", env.cgroup);
	for (int i = 0; i < 20000 && table_lost_events() == lost; i++) {
		assert_return_code(mkdir(dir, 0755), errno);
		assert_return_code(rmdir(dir), errno);
	}
	full = table_lost_events();
	assert_true(full > lost);
	for (size_t i = 0; i < READY_PAIRS; i++)
		ok(pair_pingpong(&p[i], 20, 64));
	assert_true(table_lost_events() - full >= READY_PAIRS);
	assert_return_code(kill(env_daemon(), SIGCONT), errno);
	for (until = now_ms() + 4 * PATIENCE_MS; env_stat("admitted") < admitted + 2 * READY_PAIRS;)
		assert_true(tick(until));
	for (size_t i = 0; i < READY_PAIRS; i++) {
		ok(pair_pingpong(&p[i], 5, 64));
		assert_true(spliced(p[i].fd[CLIENT]) > 0 && spliced(p[i].fd[SERVER]) > 0);
	}
	print_message("%lld events lost, %d pairs found again\n", (long long)(table_lost_events() - lost), READY_PAIRS);
	close_pairs(p, READY_PAIRS);
	assert_int_equal(env_ctl(NULL, "policy", "remove", "seen", NULL), 0);
}

static int64_t policies(void)
{
	struct json_object *list = NULL;
	int64_t n;

	assert_int_equal(env_ctl(&list, "policy", "list", NULL), 0);
	n = (int64_t)json_object_array_length(list);
	json_object_put(list);
	return n;
}

static void reload_and_await(int64_t n, const char *what)
{
	int64_t began = now_ms(), until = began + 6 * PATIENCE_MS;

	assert_return_code(kill(env_daemon(), SIGHUP), errno);
	while (policies() != n)
		assert_true(tick(until));
	print_message("%s: %lld ms, a list included\n", what, (long long)(now_ms() - began));
}

static void ten_thousand_policies(void **state)
{
	static const int64_t places[] = { 0, POLICIES / 2, POLICIES - 1 };
	char own[4096], *text = malloc(POLICIES * 64 + sizeof(own));
	struct dial d = { .kind = V4 };
	struct pair p;
	int64_t began;
	size_t n;

	(void)state;
	ok(file_read(env.config, own, sizeof(own)));
	n = (size_t)snprintf(text, sizeof(own), "%s", own);
	for (int i = 0; i < POLICIES; i++)
		n += (size_t)snprintf(text + n, 64, "[policy p%d]\nport = %d\nengage = eager\n", i, FIRST_PORT + i);
	ok(file_write(env.config, text));
	free(text);
	reload_and_await(POLICIES, "10,000 policies by reload");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		d.port[SERVER] = (uint16_t)(FIRST_PORT + places[i]);
		ok(pair_dial(&p, &d));
		ok(pair_warm(&p));
		pair_close(&p);
	}
	d.port[SERVER] = FIRST_PORT - 1;
	ok(pair_dial(&p, &d));
	ok(pair_pingpong(&p, 20, 64));
	assert_int_equal(info(p.fd[CLIENT]).tx_spliced_bytes, 0);
	pair_close(&p);
	began = now_ms();
	for (int i = 0; i < 10; i++) {
		char name[16], port[16];

		snprintf(name, sizeof(name), "hand%d", i);
		snprintf(port, sizeof(port), "%d", 1000 + i);
		assert_int_equal(env_ctl(NULL, "policy", "add", name, "--port", port, NULL), 0);
		assert_int_equal(env_ctl(NULL, "policy", "remove", name, NULL), 0);
	}
	print_message("one more added or removed: %lld ms\n", (long long)(now_ms() - began) / 20);
	ok(file_write(env.config, own));
	reload_and_await(0, "all removed by reload");
}

/* Its sockets are in many processes at once, most of which go at once. */
static void storm_child(struct pair *p)
{
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			_exit(0);
	_exit(pair_pingpong(p, 5, 500) < 0);
}

static void fork_storm(void **state)
{
	struct pair *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(env_ctl(NULL, "policy", "add", "seen", "--cgroup", env.rel, "--engage", "observed", NULL), 0);
	ok(pair_open(p, V4, false, false));
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			storm_child(p);
		assert_int_equal(ok(proc_wait(pid, PATIENCE_MS)), 0);
	}
	ok(pair_warm(p));
	pair_close(p);
	munmap(p, sizeof(*p));
	assert_int_equal(env_ctl(NULL, "policy", "remove", "seen", NULL), 0);
}

static int up(void **state)
{
	struct rlimit files;

	(void)state;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	return env_up("max_pairs_per_uid = 0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_ring_loses_no_pair),
		cmocka_unit_test(ten_thousand_policies),
		cmocka_unit_test(fork_storm),
	};

	return run_group(tests, up, group_down);
}
