/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A later fastlod takes over open pairs: one of the same ABI whose sk_msg code is another (nothing ever fits into a
 * receive buffer), and one of another ABI, which drains what is pinned and starts anew. Both are built for this
 * test alone, see NEXT in the Makefile.
 */
#include "check.h"

#include <sys/wait.h>

#include "traffic.h"

#define UNREAD 1000
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define THIS_ABI TEXT(FL_ABI_VERSION)

static char own_bin[512];

static void use(const char *build)
{
	if (build)
		snprintf(env.bin, sizeof(env.bin), "%.480s/next/%s", own_bin, build);
	else
		snprintf(env.bin, sizeof(env.bin), "%s", own_bin);
}

static void drain_timeout(const char *seconds)
{
	char text[4096], *at;

	ok(file_read(env.config, text, sizeof(text)));
	at = strstr(text, "drain_timeout = ");
	assert_non_null(at);
	memcpy(at + strlen("drain_timeout = "), seconds, 2);
	ok(file_write(env.config, text));
}

static bool log_has(const char *words)
{
	char text[16384];

	return file_read(env.log, text, sizeof(text)) > 0 && strstr(text, words);
}

static void await_log(const char *words)
{
	for (int64_t until = now_ms() + PATIENCE_MS; !log_has(words);)
		assert_true(tick(until));
}

/* Traffic may take all the CPU that there is. */
static void await_ready(void)
{
	for (int64_t until = now_ms() + 6 * PATIENCE_MS; !ok(env_ready());)
		assert_true(tick(until));
}

static void start(const char *build)
{
	int r;

	use(build);
	r = env_restart();
	if (r < 0)
		env_log_dump(stderr);
	ok(r);
}

static void upgrade(const char *build)
{
	ok(env_kill());
	use(build);
	ok(env_start());
	await_ready();
}

static void send_both(struct pair *p)
{
	uint64_t before[2] = { spliced(p->fd[CLIENT]), spliced(p->fd[SERVER]) };

	for (int side = 0; side < 2; side++) {
		ok(pair_send(p, side, UNREAD));
		assert_int_equal(spliced(p->fd[side]), before[side] + UNREAD);
	}
}

static void drain_both(struct pair *p)
{
	ok(pair_drain(p, CLIENT));
	ok(pair_drain(p, SERVER));
}

/* The stub of an open socket jumps to the code of the fastlod that runs. */
static void other_code_reaches_open_pairs(void **state)
{
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	for (int round = 0; round < 3; round++) {
		uint64_t before;

		ok(pair_warm(&p));
		send_both(&p);
		before = spliced(p.fd[CLIENT]);
		upgrade("code");
		assert_int_equal(info(p.fd[CLIENT]).tx_spliced_bytes, before); /* the same pair, its books kept */
		drain_both(&p);
		ok(pair_pingpong(&p, 50, 300));
		assert_int_equal(spliced(p.fd[CLIENT]), before);
		expect_reason(p.fd[CLIENT], FL_R_RCVBUF);
		expect_reason(p.fd[SERVER], FL_R_RCVBUF);
		ok(pair_send(&p, CLIENT, UNREAD)); /* unread TCP bytes at the way back */
		upgrade(NULL);
		ok(pair_drain(&p, CLIENT));
	}
	ok(pair_warm(&p));
	pair_close(&p);
}

static void between_builds_under_traffic(const char *build, int rounds)
{
	struct traffic_opts o = { .seed = 11, .max_send = 30000, .flags = TRAFFIC_CATCHUP | TRAFFIC_PAUSE };
	struct traffic *t[2];
	struct pair p[2];

	ok(pair_open(&p[0], V4, true, true));
	ok(pair_warm(&p[0]));
	ok(pair_open(&p[1], V6, false, false)); /* the policy's */
	ok(traffic_start(&t[0], &p[0], &o));
	ok(traffic_fork(&t[1], &p[1], &o));
	for (int round = 0; round < rounds; round++) {
		upgrade(build);
		for (int i = 0; i < 2; i++)
			ok(traffic_more(t[i], 2 << 20));
		upgrade(NULL);
		for (int i = 0; i < 2; i++)
			ok(traffic_more(t[i], 2 << 20));
	}
	for (int i = 0; i < 2; i++)
		ok(traffic_stop(t[i]));
	ok(pair_warm(&p[1])); /* it came back to splice each time, or it would not now */
	for (int i = 0; i < 2; i++)
		pair_close(&p[i]);
}

static void other_code_under_traffic(void **state)
{
	(void)state;
	between_builds_under_traffic("code", 5);
}

static void other_abi_under_traffic(void **state)
{
	(void)state;
	between_builds_under_traffic("abi", 5);
}

/* It waits for the readers, removes the old set, and takes the pair over, by its policy. */
static void other_abi_drains_and_replaces(void **state)
{
	static const char *const builds[] = { "abi", NULL };
	uint64_t before;
	struct pair p;

	(void)state;
	assert_int_equal(env_ctl(NULL, "policy", "add", "by-hand", "--port", "9", NULL), 0);
	ok(pair_open(&p, V4, false, false));
	for (int i = 0; i < 2; i++) {
		ok(pair_warm(&p));
		send_both(&p);
		before = spliced(p.fd[CLIENT]);
		ok(env_kill());
		use(builds[i]);
		ok(env_start());
		await_log("draining it");
		expect_state(p.fd[CLIENT], FASTLO_STATE_DRAINING);
		ok(pair_send(&p, CLIENT, UNREAD));
		assert_int_equal(spliced(p.fd[CLIENT]), before);
		assert_int_equal(ok(env_ready()), 0);
		drain_both(&p);
		await_ready();
		assert_true(log_has("replaced what was pinned"));
		assert_true(log_has("2 policies")); /* the one by hand, too */
		ok(pair_pingpong(&p, 50, 300));
	}
	ok(pair_warm(&p));
	assert_int_equal(env_ctl(NULL, "policy", "remove", "by-hand", NULL), 0);
	pair_close(&p);
}

/* Refused, with what is left; the next start, of whichever ABI, goes on where it was. */
static void other_abi_with_a_reader_that_never_reads(void **state)
{
	static const char *const builds[] = { "abi", NULL };
	struct pair p;

	(void)state;
	drain_timeout(" 1");
	for (int i = 0; i < 2; i++) {
		ok(pair_open(&p, V4, true, true));
		ok(pair_warm(&p));
		send_both(&p);
		ok(env_kill());
		for (int tries = 0; tries < 2; tries++) {
			use("abi");
			assert_int_equal(env_restart(), -ECHILD);
			assert_true(log_has("1 pairs of ABI " THIS_ABI " in"));
			assert_true(env_has_pins());
			expect_state(p.fd[CLIENT], FASTLO_STATE_DRAINING);
		}
		ok(pair_send(&p, CLIENT, UNREAD));
		if (i == 0)
			drain_both(&p);
		start(builds[i]);
		drain_both(&p);
		ok(pair_pingpong(&p, 50, 300));
		pair_close(&p);
		upgrade(NULL);
	}
	drain_timeout("30");
}

/* SIGTERM while it waits is no failure, and leaves all as it is. */
static void stopped_while_it_drains(void **state)
{
	struct pair p;
	int status;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	send_both(&p);
	ok(env_kill());
	use("abi");
	ok(env_start());
	await_log("draining it");
	status = ok(env_sigterm_and_wait());
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(log_has("1 pairs of ABI " THIS_ABI " in"));
	assert_true(env_has_pins());
	start(NULL);
	drain_both(&p);
	ok(pair_warm(&p));
	pair_close(&p);
}

/* An old set that nobody can drain goes on as it is. */
static void other_abi_without_a_sweep_is_left_alone(void **state)
{
	char path[256];
	uint64_t before;
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	send_both(&p);
	before = spliced(p.fd[CLIENT]);
	ok(env_kill());
	snprintf(path, sizeof(path), "%s/" FL_SWEEP_PIN, env.pins);
	assert_return_code(unlink(path), errno);
	use("abi");
	assert_int_equal(env_restart(), -ECHILD);
	assert_true(log_has(FL_SWEEP_PIN));
	drain_both(&p);
	ok(pair_pingpong(&p, 10, 300));
	assert_true(spliced(p.fd[CLIENT]) > before);
	start(NULL);
	assert_return_code(access(path, F_OK), errno);
	pair_close(&p);
}

static int up(void **state)
{
	int r;

	(void)state;
	r = env_up("drain_timeout = 30\n[policy all]\ncgroup = @CGROUP@\nengage = eager\n");
	snprintf(own_bin, sizeof(own_bin), "%s", env.bin);
	return r;
}

static int down(void **state)
{
	use(NULL);
	return group_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_code_reaches_open_pairs),
		cmocka_unit_test(other_code_under_traffic),
		cmocka_unit_test(other_abi_drains_and_replaces),
		cmocka_unit_test(other_abi_under_traffic),
		cmocka_unit_test(other_abi_with_a_reader_that_never_reads),
		cmocka_unit_test(stopped_while_it_drains),
		cmocka_unit_test(other_abi_without_a_sweep_is_left_alone),
	};

	return run_group(tests, up, down);
}
