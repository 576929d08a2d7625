/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One user's share of the table: who has it stays TCP with what more it opens, others are spliced as before; the
 * share comes back with the connections, and survives fastlod's death. A socket is of the file system user id
 * that made it.
 */
#include "check.h"

#include <signal.h>
#include <sys/fsuid.h>

#define GREEDY 64091
#define MODEST 64092
#define SHARE 3

static int share_up(void **state)
{
	(void)state;
	return env_up("max_pairs = 8\nmax_pairs_per_uid = 3\n");
}

static void open_as(struct pair *p, uid_t client, uid_t server, enum kind k)
{
	struct dial d = { .kind = k, .opt = { true, true } };
	uint16_t port;
	int r;

	memset(p, 0, sizeof(*p));
	p->fd[SERVER] = -1;
	setfsuid(server);
	r = pair_listen(&d, &p->listener, &port);
	setfsuid(client);
	if (r == 0)
		r = pair_connect(&d, port, &p->fd[CLIENT]);
	setfsuid(0);
	ok(r);
	ok(pair_accept(p));
}

static void check_refused(struct pair *p)
{
	expect_reason(p->fd[CLIENT], FL_R_UID_FULL);
	assert_int_equal(info(p->fd[CLIENT]).state, FASTLO_STATE_TCP);
	ok(pair_pingpong(p, 20, 1000));
	assert_int_equal(spliced(p->fd[CLIENT]) + spliced(p->fd[SERVER]), 0);
}

static void others_are_unharmed(void **state)
{
	struct pair greedy[SHARE + 3], modest[SHARE];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < SHARE + 3; i++)
			open_as(&greedy[i], GREEDY, GREEDY, i % 2 ? V6 : V4);
		for (int i = 0; i < SHARE; i++) {
			open_as(&modest[i], MODEST, MODEST, i % KINDS);
			ok(pair_warm(&modest[i]));
		}
		for (int i = 0; i < SHARE; i++)
			ok(pair_warm(&greedy[i]));
		for (int i = SHARE; i < SHARE + 3; i++) {
			check_refused(&greedy[i]);
			expect_reason(greedy[i].fd[SERVER], FL_R_UID_FULL);
		}
		assert_int_equal(env_stat("pairs"), 2 * SHARE);
		for (int i = 0; i < SHARE + 3; i++)
			pair_close(&greedy[i]);
		for (int i = 0; i < SHARE; i++)
			pair_close(&modest[i]);
	}
	assert_int_equal(env_stat("pairs"), 0);
	assert_true(env_stat("reasons.uid_full") >= 3 * 3 * 2);
	assert_int_equal(env_stat("reasons.table_full"), -1); /* never met */
}

static void one_that_ends_makes_room_for_one(void **state)
{
	struct pair p[SHARE], q;

	(void)state;
	for (int i = 0; i < SHARE; i++)
		open_as(&p[i], GREEDY, GREEDY, V4);
	for (int i = 0; i < 20; i++) {
		open_as(&q, GREEDY, GREEDY, V4);
		check_refused(&q);
		pair_close(&q);
		pair_close(&p[i % SHARE]);
		open_as(&p[i % SHARE], GREEDY, GREEDY, V4);
		ok(pair_warm(&p[i % SHARE]));
	}
	for (int i = 0; i < SHARE; i++)
		pair_close(&p[i]);
}

/* Whoever connects pays: a server's share is not used up by its clients. */
static void a_client_takes_from_its_own_share(void **state)
{
	struct pair p[2 * SHARE];

	(void)state;
	for (int i = 0; i < 2 * SHARE; i++) {
		open_as(&p[i], i < SHARE ? GREEDY : MODEST, 0, V4);
		ok(pair_warm(&p[i]));
	}
	for (int i = 0; i < 2 * SHARE; i++)
		pair_close(&p[i]);
}

static int64_t most_per_uid(void)
{
	struct json_object *status = NULL, *value = NULL;
	int64_t n = -1;

	assert_int_equal(env_ctl(&status, "status", NULL), 0);
	if (json_object_object_get_ex(status, "max_pairs_per_uid", &value))
		n = json_object_get_int64(value);
	json_object_put(status);
	return n;
}

static void the_share_survives_a_crash_and_follows_a_reload(void **state)
{
	int64_t until = now_ms() + PATIENCE_MS;
	struct pair p[SHARE], q;
	char text[8192];
	int n;

	(void)state;
	for (int i = 0; i < SHARE; i++)
		open_as(&p[i], GREEDY, GREEDY, V4);
	ok(env_kill());
	ok(env_restart());
	open_as(&q, GREEDY, GREEDY, V4);
	check_refused(&q);
	pair_close(&q);
	n = ok(file_read(env.config, text, sizeof(text)));
	assert_non_null(strstr(text, "max_pairs_per_uid = 3\n"));
	memcpy(strstr(text, "max_pairs_per_uid = 3\n"), "max_pairs_per_uid = 0\n", 22);
	assert_true(n > 0);
	ok(file_write(env.config, text));
	assert_int_equal(most_per_uid(), SHARE);
	assert_return_code(kill(env_daemon(), SIGHUP), errno);
	while (most_per_uid() != 0)
		assert_true(tick(until));
	open_as(&q, GREEDY, GREEDY, V4);
	ok(pair_warm(&q));
	pair_close(&q);
	for (int i = 0; i < SHARE; i++)
		pair_close(&p[i]);
}

static void a_quarter_by_default(void **state)
{
	(void)state;
	env_down();
	assert_int_equal(env_up("max_pairs = 8\n"), 0);
	assert_int_equal(most_per_uid(), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_are_unharmed),
		cmocka_unit_test(one_that_ends_makes_room_for_one),
		cmocka_unit_test(a_client_takes_from_its_own_share),
		cmocka_unit_test(the_share_survives_a_crash_and_follows_a_reload),
		cmocka_unit_test(a_quarter_by_default),
	};

	return run_group(tests, share_up, group_down);
}
