/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlod's own life: it ends and is killed under traffic and no byte goes astray, it leaves nothing behind,
 * and it refuses to start with one clear line.
 */
#include "check.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "traffic.h"

static void check_exit(int status, int code)
{
	if (status < 0)
		fail_msg("it did not exit: %s", strerror(-status));
	if (!WIFEXITED(status))
		fail_msg("it died of signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

static void check_one_line(const char *said)
{
	size_t n = strlen(said);

	print_message("%s", said);
	assert_true(n > 1);
	assert_ptr_equal(strchr(said, '\n'), said + n - 1);
}

/* A configuration that would do, but for what the test makes of it. */
static void config_text(char *ret, size_t size, const char *cgroup, const char *more)
{
	snprintf(ret, size, "[fastlo]\npin_dir = %s/other\nrun_dir = %s/other\ncgroup = %s\n%s", env.bpffs, env.dir,
		 cgroup, more);
}

static void second_is_refused(void **state)
{
	char text[1024], said[4096], pid[16];

	(void)state;
	snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s\nrun_dir = %s\ncgroup = %s\n", env.pins, env.run,
		 env.cgroup);
	check_exit(env_try_daemon(text, 0, said, sizeof(said)), 2);
	check_one_line(said);
	snprintf(pid, sizeof(pid), "%d", env_daemon());
	assert_non_null(strstr(said, pid));
	/* the first one is none the worse */
	assert_return_code(kill(env_daemon(), 0), errno);
	assert_true(env_stat("pairs") >= 0);
	assert_true(env_has_pins());
}

/* What was spliced before the daemon went is delivered, what comes later goes over TCP. */
static void stopped_under_traffic(void **state)
{
	uint64_t before[2];
	struct traffic *t;
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	ok(traffic_start(&t, &p, &(struct traffic_opts){ .seed = 1, .max_send = 30000 }));
	ok(traffic_more(t, 8 << 20));
	assert_true(spliced(p.fd[CLIENT]) > 0 && spliced(p.fd[SERVER]) > 0);
	check_exit(env_sigterm_and_wait(), 0);
	assert_false(env_has_pins());
	before[0] = traffic_bytes(t);
	ok(traffic_more(t, 8 << 20));
	assert_true(traffic_bytes(t) > before[0]);
	ok(traffic_stop(t));
	ok(pair_pingpong(&p, 50, 1000));
	/* nobody is there to ask */
	assert_int_equal(info(p.fd[CLIENT]).state, ~0U);
	pair_close(&p);
	ok(env_restart());
}

static void stopped_with_unread_bytes(void **state)
{
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	for (int i = 0; i < 10; i++) {
		ok(pair_send(&p, CLIENT, 1000));
		ok(pair_send(&p, SERVER, 1000));
	}
	/* it waits for the reader; then it goes */
	assert_return_code(kill(env_daemon(), SIGTERM), errno);
	expect_state(p.fd[CLIENT], FASTLO_STATE_DRAINING);
	ok(pair_send(&p, CLIENT, 1000));
	ok(pair_send(&p, SERVER, 1000));
	ok(pair_drain(&p, CLIENT));
	ok(pair_drain(&p, SERVER));
	check_exit(proc_wait(env_daemon(), 3 * PATIENCE_MS), 0);
	assert_false(env_has_pins());
	ok(pair_pingpong(&p, 50, 1000));
	pair_close(&p);
	ok(env_restart());
}

static void stopped_again_and_again(void **state)
{
	struct traffic *t;
	struct pair p;

	(void)state;
	ok(pair_open(&p, V6, false, false));
	ok(traffic_fork(&t, &p, &(struct traffic_opts){ .seed = 2, .max_send = 30000 }));
	for (int round = 0; round < 5; round++) {
		assert_int_equal(env_ctl(NULL, "policy", "add", "late", "--cgroup", env.rel, "--engage", "eager",
					 NULL), 0);
		ok(traffic_more(t, 8 << 20));
		check_exit(env_sigterm_and_wait(), 0);
		assert_false(env_has_pins());
		ok(env_restart());
	}
	ok(traffic_stop(t));
	pair_close(&p);
}

/* Under traffic: both directions go on being spliced; a stream may have left the sockmap for up to eight seconds. */
static int wait_growth(struct pair *p)
{
	uint64_t first[2] = { spliced(p->fd[CLIENT]), spliced(p->fd[SERVER]) };
	int64_t until = now_ms() + 3 * PATIENCE_MS;

	do {
		if (spliced(p->fd[CLIENT]) > first[CLIENT] && spliced(p->fd[SERVER]) > first[SERVER])
			return 0;
	} while (tick(until));
	pair_dump(stderr, p);
	return -ETIMEDOUT;
}

/* Pins keep the programs and maps: the pair goes on, spliced, and the next fastlod takes it over. */
static void killed_and_restarted(void **state)
{
	struct traffic *t;
	struct pair p, q;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	/* a sender that never lets its reader catch up stays on TCP */
	ok(traffic_start(&t, &p, &(struct traffic_opts){ .seed = 3, .max_send = 30000, .flags = TRAFFIC_CATCHUP }));
	for (int round = 0; round < 5; round++) {
		ok(traffic_more(t, 4 << 20));
		ok(env_kill());
		assert_true(env_has_pins());
		ok(traffic_more(t, 4 << 20));
		ok(env_restart());
		ok(wait_growth(&p));
		ok(pair_open(&q, V6, true, true));
		ok(pair_warm(&q));
		pair_close(&q);
	}
	check_exit(env_sigterm_and_wait(), 0);
	assert_false(env_has_pins());
	ok(traffic_more(t, 4 << 20));
	ok(traffic_stop(t));
	pair_close(&p);
	ok(env_restart());
}

/* Pins whose names begin so */
static void unpin(const char *prefix)
{
	DIR *d = opendir(env.pins);
	struct dirent *e;
	char path[512];

	assert_non_null(d);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", env.pins, e->d_name);
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			assert_return_code(unlink(path), errno);
	}
	closedir(d);
}

/* Links are pinned last and removed first: with some maps and no link, nothing is at work, and it starts anew. */
static void killed_while_pinning(void **state)
{
	struct pair p;

	(void)state;
	ok(env_kill());
	unpin("link_");
	unpin("list");
	unpin("fl_p");
	ok(env_restart());
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	pair_close(&p);
	/* with links it is not fastlod's doing: drained (test_bad_pins), or refused if that can't be */
	ok(env_kill());
	unpin("fl_p");
	unpin("link_sweep");
	assert_int_equal(env_restart(), -ECHILD);
	assert_true(env_has_pins());
	unpin("l");
	unpin("fl_");
	unpin("data_");
	ok(env_restart());
}

static void drain_and_resume(void **state)
{
	uint64_t before;
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	assert_int_equal(env_ctl(NULL, "drain", NULL), 0);
	before = spliced(p.fd[CLIENT]);
	ok(pair_pingpong(&p, 100, 1000));
	assert_int_equal(spliced(p.fd[CLIENT]), before);
	expect_reason(p.fd[CLIENT], FL_R_DRAINING);
	assert_int_equal(env_ctl(NULL, "resume", NULL), 0);
	pair_close(&p);
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	pair_close(&p);
}

static void malformed_config(void **state)
{
	/* what is wrong, the line, and what must be quoted */
	static const struct {
		const char *more;
		int line;
		const char *value;
	} bad[] = {
		{ "max_pairs = 9x\n", 5, "9x" },
		{ "max_pairs = 0\n", 5, "0" },
		{ "no_such_key = 1\n", 5, "no_such_key" },
		{ "\n# fine\nsocket_opt_in = perhaps\n", 7, "perhaps" },
		{ "observer = magic\n", 5, "magic" },
		{ "[policy x]\nport = 70000\n", 6, "70000" },
		{ "[policy x]\ncgroup = /a\nengage = sometimes\n", 7, "sometimes" },
		{ "[nonsense]\na = 1\n", 5, "nonsense" },
		{ "just words\n", 5, "" },
	};
	char text[1024], said[4096], where[192];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config_text(text, sizeof(text), env.cgroup, bad[i].more);
		check_exit(env_try_daemon(text, 0, said, sizeof(said)), 1);
		check_one_line(said);
		snprintf(where, sizeof(where), "%s/try.conf:%d:", env.dir, bad[i].line);
		assert_non_null(strstr(said, where));
		assert_non_null(strstr(said, bad[i].value));
	}
}

static void without_capabilities(void **state)
{
	char text[1024], said[4096];

	(void)state;
	config_text(text, sizeof(text), env.cgroup, "");
	check_exit(env_try_daemon(text, 65534, said, sizeof(said)), 2);
	check_one_line(said);
	assert_non_null(strstr(said, "CAP_BPF"));
}

static void not_a_cgroup2(void **state)
{
	char text[1024], said[4096];

	(void)state;
	config_text(text, sizeof(text), env.dir, "");
	check_exit(env_try_daemon(text, 0, said, sizeof(said)), 2);
	check_one_line(said);
	assert_non_null(strstr(said, env.dir));
	config_text(text, sizeof(text), "/nowhere/at/all", "");
	check_exit(env_try_daemon(text, 0, said, sizeof(said)), 2);
	check_one_line(said);
	assert_non_null(strstr(said, "/nowhere/at/all"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(second_is_refused),
		cmocka_unit_test(stopped_under_traffic),
		cmocka_unit_test(stopped_with_unread_bytes),
		cmocka_unit_test(stopped_again_and_again),
		cmocka_unit_test(killed_and_restarted),
		cmocka_unit_test(killed_while_pinning),
		cmocka_unit_test(drain_and_resume),
		cmocka_unit_test(malformed_config),
		cmocka_unit_test(without_capabilities),
		cmocka_unit_test(not_a_cgroup2),
	};

	return run_group(tests, group_up, group_down);
}
