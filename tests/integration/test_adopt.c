/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections that were open before their policy: adopted under traffic, released when the policy goes,
 * adopted again, and every byte of the stream in its place throughout.
 */
#include "check.h"

#include <json-c/json.h>
#include <pthread.h>
#include <stdatomic.h>

#include "traffic.h"

#define LATE_PORT 21999
#define quoted(x) #x
#define str(x) quoted(x)

static int add_policy(const char *engage)
{
	return env_ctl(NULL, "policy", "add", "late", "--cgroup", env.rel, "--engage", engage, NULL);
}

static int remove_policy(void)
{
	return env_ctl(NULL, "policy", "remove", "late", NULL);
}

/* Both ends' counters grow by more than `some` bytes while traffic runs; a stream may leave the sockmap for up to eight seconds. */
static int wait_spliced(struct pair *p, uint64_t some)
{
	uint64_t first[2] = { spliced(p->fd[CLIENT]), spliced(p->fd[SERVER]) };
	int64_t until = now_ms() + 3 * PATIENCE_MS;

	do {
		if (info(p->fd[CLIENT]).tx_spliced_bytes > first[CLIENT] + some &&
		    info(p->fd[SERVER]).tx_spliced_bytes > first[SERVER] + some)
			return 0;
	} while (tick(until));
	pair_dump(stderr, p);
	return -ETIMEDOUT;
}

/* TCP or no part of fastlo at all any more; draining, yielding and the like are not there yet. */
static int wait_plain(struct pair *p, int side)
{
	int64_t until = now_ms() + PATIENCE_MS;

	do {
		unsigned int s = info(p->fd[side]).state;

		if (s == FASTLO_STATE_TCP || s == FASTLO_STATE_OFF)
			return 0;
	} while (tick(until));
	pair_dump(stderr, p);
	return -ETIMEDOUT;
}

/* With traffic running or not: not one more byte past TCP. */
static void check_released(struct pair *p, struct traffic *t, uint64_t some)
{
	uint64_t before[2];

	for (int side = 0; side < 2; side++) {
		ok(wait_plain(p, side));
		before[side] = spliced(p->fd[side]);
	}
	if (t)
		ok(traffic_more(t, some));
	else
		ok(pair_pingpong(p, 50, 1000));
	for (int side = 0; side < 2; side++)
		assert_true(spliced(p->fd[side]) <= before[side]);
}

static void open_with_bytes_in_flight(struct pair *p, enum kind k)
{
	ok(pair_open(p, k, false, false));
	ok(pair_pingpong(p, 10, 500));
	for (int from = 0; from < 2; from++)
		for (int i = 0; i < 30; i++)
			ok(pair_send(p, from, 1 + i * 50));
	ok(pair_recv(p, CLIENT, 1000));
	for (int side = 0; side < 2; side++)
		assert_int_equal(info(p->fd[side]).state, FASTLO_STATE_OFF);
}

/* One thread, so that what is in flight at the moment of adoption is known. */
static void adopted_with_bytes_in_flight(void **state)
{
	const char *const engages[] = { "observed", "eager" };
	struct pair p;

	(void)state;
	for (int e = 0; e < 2; e++)
		for (enum kind k = 0; k < KINDS; k++) {
			open_with_bytes_in_flight(&p, k);
			assert_int_equal(add_policy(engages[e]), 0);
			ok(pair_send(&p, CLIENT, 3000));
			ok(pair_send(&p, SERVER, 3000));
			ok(pair_recv(&p, SERVER, 1234));
			ok(pair_send(&p, SERVER, 3000));
			ok(pair_drain(&p, SERVER));
			ok(pair_drain(&p, CLIENT));
			ok(pair_warm(&p));
			/* leave spliced bytes unread when the policy goes */
			ok(pair_send(&p, CLIENT, 2000));
			ok(pair_send(&p, SERVER, 2000));
			assert_int_equal(remove_policy(), 0);
			ok(pair_send(&p, CLIENT, 2000));
			ok(pair_send(&p, SERVER, 2000));
			ok(pair_drain(&p, CLIENT));
			ok(pair_drain(&p, SERVER));
			check_released(&p, NULL, 0);
			assert_int_equal(add_policy(engages[e]), 0);
			ok(pair_warm(&p));
			assert_int_equal(remove_policy(), 0);
			check_released(&p, NULL, 0);
			pair_close(&p);
		}
}

static void stream(const char *engage, bool processes, size_t max_send)
{
	/* by the megabyte, messages of 35 bytes on average take an emulated kernel a quarter of an hour */
	uint64_t some = max_send < 1000 ? 256 << 10 : 4 << 20;
	struct traffic_opts o = { .seed = 3, .max_send = max_send, .max_recv = 100000, .flags = TRAFFIC_CATCHUP };
	struct traffic *t;
	struct pair p;

	open_with_bytes_in_flight(&p, V4);
	ok((processes ? traffic_fork : traffic_start)(&t, &p, &o));
	ok(traffic_more(t, some));
	for (int round = 0; round < 5; round++) {
		assert_int_equal(add_policy(engage), 0);
		ok(wait_spliced(&p, 100000));
		ok(traffic_more(t, some));
		assert_int_equal(remove_policy(), 0);
		check_released(&p, t, 2 * some);
	}
	ok(traffic_stop(t));
	ok(pair_pingpong(&p, 50, 1000));
	pair_close(&p);
}

static void adopted_under_traffic_observed(void **state)
{
	(void)state;
	stream("observed", false, 20000);
	stream("observed", false, 200);
}

static void adopted_under_traffic_eager(void **state)
{
	(void)state;
	stream("eager", false, 20000);
}

static void adopted_under_traffic_of_two_processes(void **state)
{
	(void)state;
	stream("observed", true, 20000);
}

/*
 * A receive that completes while the sweep takes the pair back in is counted like any other: one that is not leaves
 * the books open for good (`unseen_reader`). They meet once in a hundred rounds or so.
 */
static void adopted_many_times(void **state)
{
	struct traffic_opts o = { .seed = 4, .max_send = 100, .max_recv = 100, .flags = TRAFFIC_CATCHUP };
	int64_t until = now_ms() + PATIENCE_MS;
	struct traffic *t;
	struct pair p;

	(void)state;
	open_with_bytes_in_flight(&p, V4);
	ok(traffic_start(&t, &p, &o));
	for (int round = 0; round < 500 && tick(until); round++) {
		assert_int_equal(add_policy("observed"), 0);
		ok(wait_spliced(&p, 0));
		assert_int_equal(remove_policy(), 0);
		for (int side = 0; side < 2; side++)
			ok(wait_plain(&p, side));
	}
	ok(traffic_stop(t));
	pair_close(&p);
}

/*
 * Adopted while somebody is parked in a receive: rule 3. A round may be over before fastlod has come to it; one in
 * which both directions were spliced is enough.
 */
static void adopted_while_blocking(void **state)
{
	struct traffic_opts o = { .bytes = 256 << 20, .flags = TRAFFIC_BLOCKING | TRAFFIC_CATCHUP };
	int64_t until = now_ms() + 6 * PATIENCE_MS;
	struct traffic *t;
	struct pair p;
	bool both;

	(void)state;
	do {
		open_with_bytes_in_flight(&p, V4);
		ok(traffic_start(&t, &p, &o));
		ok(traffic_more(t, 1 << 20));
		assert_int_equal(env_ctl(NULL, "policy", "add", "late", "--cgroup", env.rel, "--engage", "eager",
					 "--blocking", "allow", NULL), 0);
		ok(traffic_stop(t));
		both = spliced(p.fd[CLIENT]) > 0 && spliced(p.fd[SERVER]) > 0;
		assert_int_equal(remove_policy(), 0);
		check_released(&p, NULL, 0);
		pair_close(&p);
	} while (!both && tick(until));
	assert_true(both);
}

/* A connection whose other end is outside every policy is left alone. */
static void half_in_policy(void **state)
{
	struct dial d = { .kind = V4 };
	struct pair p = { .fd = { -1, -1 }, .seed = 99 };
	uint16_t port;

	(void)state;
	ok(env_join(env.home));
	ok(pair_listen(&d, &p.listener, &port));
	ok(env_join(env.app));
	ok(pair_connect(&d, port, &p.fd[CLIENT]));
	ok(pair_accept(&p));
	ok(pair_pingpong(&p, 10, 100));
	assert_int_equal(add_policy("eager"), 0);
	ok(pair_pingpong(&p, 100, 100));
	assert_int_equal(spliced(p.fd[CLIENT]), 0);
	ok(pair_pump(&p, CLIENT, 1 << 20, 3000));
	assert_int_equal(spliced(p.fd[CLIENT]), 0);
	assert_int_equal(remove_policy(), 0);
	pair_close(&p);
}

/* A policy by port alone, and a connection of a cgroup that this fastlod was not given: not its business. */
static void outside_the_cgroup(void **state)
{
	struct json_object *list = NULL;
	struct dial d = { .kind = V4, .port = { [SERVER] = LATE_PORT } };
	struct pair p;

	(void)state;
	ok(env_join(env.home));
	ok(pair_dial(&p, &d));
	ok(pair_pingpong(&p, 10, 100));
	assert_int_equal(env_ctl(NULL, "policy", "add", "late", "--port", str(LATE_PORT), NULL), 0);
	ok(pair_pingpong(&p, 10, 100));
	assert_int_equal(env_ctl(&list, "list", NULL), 0);
	assert_int_equal(json_object_array_length(list), 0);
	json_object_put(list);
	assert_int_equal(remove_policy(), 0);
	pair_close(&p);
	ok(env_join(env.app));
}

struct flap {
	struct pair p;
	atomic_int times; /* that it was found spliced after it had not been */
	atomic_bool spliced; /* as last found */
	atomic_int result;
	atomic_bool *stop;
};

static void *flap_main(void *arg)
{
	struct flap *f = arg;

	while (!*f->stop && f->result == 0) {
		bool is;

		f->result = pair_pingpong(&f->p, 1, 64);
		is = info(f->p.fd[CLIENT]).state == FASTLO_STATE_SPLICED;
		f->times += is && !f->spliced;
		f->spliced = is;
	}
	return NULL;
}

static void await_found(struct flap f[2], bool spliced)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (!f[0].result && !f[1].result && (f[0].spliced != spliced || f[1].spliced != spliced) && tick(until))
		;
}

/* Every other time the policy goes, or comes back, before anybody may have noticed. */
static void flapping_policy(void **state)
{
	int64_t admitted = env_stat("admitted"), released = env_stat("released");
	atomic_bool stop = false;
	struct flap f[2] = { { .stop = &stop }, { .stop = &stop } };
	pthread_t thread[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		ok(pair_open(&f[i].p, i ? V6 : V4, false, false));
		assert_int_equal(pthread_create(&thread[i], NULL, flap_main, &f[i]), 0);
	}
	for (int round = 0; round < 60 && !f[0].result && !f[1].result; round++) {
		assert_int_equal(add_policy("eager"), 0);
		if (round % 2)
			await_found(f, true);
		assert_int_equal(remove_policy(), 0);
		if (round % 4 == 1)
			await_found(f, false);
	}
	stop = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		ok(f[i].result);
		assert_true(f[i].times >= 10);
		expect_reason(f[i].p.fd[CLIENT], FL_R_POLICY_REMOVED);
		check_released(&f[i].p, NULL, 0);
		pair_close(&f[i].p);
	}
	assert_true(env_stat("admitted") - admitted >= 2 * 2 * 10);
	assert_true(env_stat("released") - released >= 2 * 2 * 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adopted_with_bytes_in_flight),
		cmocka_unit_test(adopted_under_traffic_observed),
		cmocka_unit_test(adopted_under_traffic_eager),
		cmocka_unit_test(adopted_under_traffic_of_two_processes),
		cmocka_unit_test(adopted_many_times),
		cmocka_unit_test(adopted_while_blocking),
		cmocka_unit_test(half_in_policy),
		cmocka_unit_test(outside_the_cgroup),
		cmocka_unit_test(flapping_policy),
	};

	return run_group(tests, group_up, group_down);
}
