/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Observed pairs, opted in by a policy on this program's cgroup: ordinary TCP until both ends have shown
 * plain non-blocking reads, and for ever if one of them reads in a way that a sockmap would change.
 */
#include "check.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

#include "traffic.h"

#define OBSERVED "[policy observed]\ncgroup = @CGROUP@\n"
#define READS 16 /* observe_reads, the default */

static int observed_up(void **state)
{
	(void)state;
	return env_up(OBSERVED);
}

static void check_never(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		struct fastlo_info i = info(p->fd[side]);

		assert_int_equal(i.tx_spliced_bytes, 0);
		assert_int_not_equal(i.state, FASTLO_STATE_SPLICED);
	}
}

static void plain_reads_engage(void **state)
{
	struct pair p;

	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		ok(pair_open(&p, k, false, false));
		/* so far it has cost nothing, and nothing is known of it */
		for (int i = 0; i < FL_ENTER_SEGS - 1; i++) {
			ok(pair_pingpong(&p, 1, 100));
			for (int side = 0; side < 2; side++)
				assert_int_equal(info(p.fd[side]).state, FASTLO_STATE_OFF);
		}
		for (int i = 0; i < READS - 1; i++) {
			ok(pair_pingpong(&p, 1, 100));
			for (int side = 0; side < 2; side++) {
				assert_int_equal(info(p.fd[side]).state, FASTLO_STATE_OBSERVING);
				assert_int_equal(info(p.fd[side]).reason, FL_R_OBSERVING);
			}
		}
		check_never(&p);
		assert_int_equal(info(p.fd[CLIENT]).rx_returned_bytes, 100 * (READS - 2)); /* all but what was read to enter it */
		ok(pair_warm(&p));
		for (int from = 0; from < 2; from++) {
			uint64_t before = spliced(p.fd[from]);

			ok(pair_pump(&p, from, 1 << 20, 2000));
			assert_true(spliced(p.fd[from]) - before > 900000);
		}
		pair_close(&p);
	}
}

struct starter {
	struct pair *p;
	int side;
	_Atomic int *ready;
};

static void *starter_main(void *arg)
{
	struct starter *s = arg;
	char mem[1];

	atomic_fetch_add(s->ready, 1);
	while (atomic_load(s->ready) < 2)
		;
	while (recv(s->p->fd[s->side], mem, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
		;
	return NULL;
}

/* Both ends are due, and come in at the same moment: neither may miss the other. */
static void ends_that_meet(void **state)
{
	struct pair p;

	(void)state;
	for (int round = 0; round < 300; round++) {
		_Atomic int ready = 0;
		struct starter s[2] = { { &p, CLIENT, &ready }, { &p, SERVER, &ready } };
		pthread_t thread;

		ok(pair_open(&p, V4, false, false));
		for (int from = 0; from < 2; from++)
			for (int i = 0; i < FL_ENTER_SEGS; i++)
				ok(pair_send(&p, from, 10));
		assert_int_equal(pthread_create(&thread, NULL, starter_main, &s[CLIENT]), 0);
		starter_main(&s[SERVER]);
		pthread_join(thread, NULL);
		for (int side = 0; side < 2; side++) {
			p.got[side]++;
			assert_int_equal(info(p.fd[side]).state, FASTLO_STATE_OBSERVING);
		}
		if (round % 100 == 0)
			ok(pair_warm(&p));
		pair_close(&p);
	}
}

/* One end alone is not enough. */
static void silent_end_stays_tcp(void **state)
{
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, false, false));
	for (int i = 0; i < 50; i++) {
		ok(pair_send(&p, CLIENT, 100));
		ok(pair_drain(&p, CLIENT));
	}
	check_never(&p);
	expect_state(p.fd[CLIENT], FASTLO_STATE_OFF);
	expect_state(p.fd[SERVER], FASTLO_STATE_TCP);
	expect_reason(p.fd[SERVER], FL_R_PEER_NOT_OPTED_IN);
	pair_close(&p);
}

/* splice(2) out of the socket and through a pipe, which no observer sees */
static void splice_out(struct pair *p, int side, const int *pipe_fd)
{
	int from = !side;
	char mem[4096];

	while (p->got[from] < p->sent[from]) {
		ssize_t n = splice(p->fd[side], NULL, pipe_fd[1], NULL, sizeof(mem), SPLICE_F_NONBLOCK), m;

		if (n < 0 && errno == EAGAIN && tick(now_ms() + PATIENCE_MS))
			continue;
		assert_true(n > 0);
		for (; n; n -= m) {
			m = read(pipe_fd[0], mem, n);
			assert_true(m > 0);
			assert_int_equal(pattern_check(mem, m, p->seed + from, p->got[from]), -1);
			p->got[from] += m;
		}
	}
}

static void splice_reader(void **state)
{
	int pipe_fd[2];
	struct pair p;

	(void)state;
	assert_return_code(pipe2(pipe_fd, O_CLOEXEC), errno);
	for (int side = 0; side < 2; side++) {
		ok(pair_open(&p, V4, false, false));
		for (int i = 0; i < 60; i++) {
			ok(pair_send(&p, !side, 1 + i * 31));
			splice_out(&p, side, pipe_fd);
			ok(pair_send(&p, side, 100));
			ok(pair_drain(&p, side));
		}
		check_never(&p);
		pair_close(&p);
	}
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* Plain reads first, so that it is admitted; splice(2) for what came over TCP; then plain reads again. */
static void splice_then_plain(void **state)
{
	uint64_t before;
	int pipe_fd[2];
	struct pair p;

	(void)state;
	assert_return_code(pipe2(pipe_fd, O_CLOEXEC), errno);
	ok(pair_open(&p, V4, false, false));
	ok(pair_pingpong(&p, READS - 1, 100));
	ok(pair_send(&p, CLIENT, 5000));
	splice_out(&p, SERVER, pipe_fd);
	ok(pair_pingpong(&p, 200, 100));
	/* bytes that nobody saw being read: the direction to the splice(2) reader never engages */
	before = spliced(p.fd[CLIENT]);
	ok(pair_pump(&p, CLIENT, 1 << 20, 3000));
	assert_int_equal(before, 0);
	assert_int_equal(spliced(p.fd[CLIENT]), 0);
	pair_close(&p);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void rcvlowat_yields(void **state)
{
	int lowat = 100, one = 1;
	uint64_t before;
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, false, false));
	assert_return_code(setsockopt(p.fd[SERVER], SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat)), errno);
	ok(pair_pingpong(&p, 50, 200));
	assert_int_equal(spliced(p.fd[CLIENT]), 0);
	assert_return_code(setsockopt(p.fd[SERVER], SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)), errno);
	ok(pair_warm(&p));
	assert_return_code(setsockopt(p.fd[SERVER], SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat)), errno);
	before = spliced(p.fd[CLIENT]);
	ok(pair_pingpong(&p, 50, 200));
	assert_int_equal(spliced(p.fd[CLIENT]), before);
	assert_int_equal(info(p.fd[CLIENT]).reason, FL_R_RCVLOWAT);
	pair_close(&p);
}

static void short_connections_are_never_admitted(void **state)
{
	int64_t admitted = env_stat("admitted"), pairs = env_stat("pairs");
	struct pair p;

	(void)state;
	assert_true(admitted >= 0);
	for (int i = 0; i < 100; i++) {
		ok(pair_open(&p, i % KINDS, false, false));
		ok(pair_pingpong(&p, READS - 1, 1000));
		check_never(&p);
		pair_close(&p);
	}
	assert_int_equal(env_stat("admitted"), admitted);
	assert_true(pairs >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_reads_engage),
		cmocka_unit_test(ends_that_meet),
		cmocka_unit_test(silent_end_stays_tcp),
		cmocka_unit_test(splice_reader),
		cmocka_unit_test(splice_then_plain),
		cmocka_unit_test(rcvlowat_yields),
		cmocka_unit_test(short_connections_are_never_admitted),
	};

	return run_group(tests, observed_up, group_down);
}
