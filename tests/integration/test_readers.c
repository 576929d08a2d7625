/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Readers that block, or wait for all that they asked for: observed pairs stay TCP for good, unless their policy allows blocking;
 * eager ones must come through.
 */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/time.h>

#include "traffic.h"

#define OBSERVED "[policy observed]\ncgroup = @CGROUP@\n"
#define READS 16 /* observe_reads, the default */

static int observed_up(void **state)
{
	(void)state;
	return env_up(OBSERVED);
}

static void make_blocking(struct pair *p, int side)
{
	/* only so that a failing test ends: a healthy receive never waits that long */
	struct timeval limit = { .tv_sec = 2 * PATIENCE_MS / 1000 };

	fcntl(p->fd[side], F_SETFL, fcntl(p->fd[side], F_GETFL) & ~O_NONBLOCK);
	setsockopt(p->fd[side], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static void check_never(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		struct fastlo_info i = info(p->fd[side]);

		assert_int_equal(i.tx_spliced_bytes, 0);
		assert_int_not_equal(i.state, FASTLO_STATE_SPLICED);
	}
}

/* The side's own way to read what the other one sent: verified, all of it. */
static void read_with(struct pair *p, int side, int flags)
{
	int from = !side;
	char mem[4096];

	while (p->got[from] < p->sent[from]) {
		size_t want = p->sent[from] - p->got[from];
		ssize_t n = recv(p->fd[side], mem, want < sizeof(mem) ? want : sizeof(mem), flags);

		assert_true(n > 0);
		assert_int_equal(pattern_check(mem, n, p->seed + from, p->got[from]), -1);
		p->got[from] += n;
	}
}

static void blocking_reader(void **state)
{
	struct pair p;

	(void)state;
	for (int side = 0; side < 2; side++)
		for (int when = 0; when < 2; when++) {
			ok(pair_open(&p, V4, false, false));
			make_blocking(&p, side);
			/* from the start, or just before the reads would have been enough */
			ok(pair_pingpong(&p, when ? READS - 1 : 0, 100));
			for (int i = 0; i < 30; i++) {
				ok(pair_send(&p, !side, 100));
				read_with(&p, side, 0);
				ok(pair_send(&p, side, 100));
				ok(pair_drain(&p, side));
			}
			check_never(&p);
			expect_reason(p.fd[side], FL_R_BLOCKING_READ);
			expect_reason(p.fd[!side], FL_R_BLOCKING_READ);
			expect_state(p.fd[side], FASTLO_STATE_TCP);
			ok(pair_pump(&p, CLIENT, 1 << 20, 2000));
			check_never(&p);
			pair_close(&p);
		}
}

/* An engaged pair whose owner starts to block goes back to TCP. */
static void blocks_later(void **state)
{
	uint64_t before[2];
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, false, false));
	ok(pair_warm(&p));
	make_blocking(&p, SERVER);
	ok(pair_send(&p, CLIENT, 1000));
	read_with(&p, SERVER, 0);
	for (int side = 0; side < 2; side++) {
		expect_state(p.fd[side], FASTLO_STATE_TCP);
		expect_reason(p.fd[side], FL_R_BLOCKING_READ);
		before[side] = spliced(p.fd[side]);
	}
	for (int i = 0; i < 30; i++) {
		ok(pair_send(&p, CLIENT, 1000));
		read_with(&p, SERVER, 0);
		ok(pair_pump(&p, SERVER, 1000, 100));
	}
	for (int side = 0; side < 2; side++)
		assert_int_equal(spliced(p.fd[side]), before[side]);
	pair_close(&p);
}

static void waitall_reader(void **state)
{
	struct pair p;

	(void)state;
	for (int side = 0; side < 2; side++) {
		ok(pair_open(&p, V4, false, false));
		for (int i = 0; i < 30; i++) {
			ok(pair_send(&p, !side, 100));
			read_with(&p, side, MSG_WAITALL);
			ok(pair_send(&p, side, 100));
			ok(pair_drain(&p, side));
		}
		check_never(&p);
		expect_reason(p.fd[CLIENT], FL_R_MSG_WAITALL);
		pair_close(&p);
	}
}

struct waitall {
	struct pair *p;
	uint64_t bytes;
	int result;
};

static void *waitall_main(void *arg)
{
	struct waitall *w = arg;
	uint64_t random = 7, at = w->p->got[CLIENT], end = at + w->bytes;
	char *mem = malloc(1 << 18);

	while (at < end && w->result == 0) {
		size_t len = rnd_size(&random, 1 << 18);
		ssize_t n;

		if (len > end - at)
			len = end - at;
		n = recv(w->p->fd[SERVER], mem, len, MSG_WAITALL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue; /* the documented deviation of an eager socket */
		if (n <= 0)
			w->result = n ? -errno : -ECONNRESET;
		else if (pattern_check(mem, n, w->p->seed, at) >= 0)
			w->result = -EBADMSG;
		at += n > 0 ? n : 0;
	}
	free(mem);
	return NULL;
}

/* An eager socket is admitted before anybody knows how it reads: its stream must be intact all the same. */
static void eager_waitall_reader(void **state)
{
	struct waitall w = { .bytes = 64 << 20 };
	uint64_t random = 11;
	pthread_t reader;
	struct pair p;

	(void)state;
	for (int warm = 0; warm < 2; warm++) {
		ok(pair_open(&p, V4, true, true));
		if (warm)
			ok(pair_warm(&p));
		make_blocking(&p, SERVER);
		w.p = &p;
		assert_int_equal(pthread_create(&reader, NULL, waitall_main, &w), 0);
		for (uint64_t left = w.bytes; left;) {
			size_t len = rnd_size(&random, 100000);

			len = len < left ? len : left;
			if (pair_send(&p, CLIENT, len) < 0) {
				pair_dump(stderr, &p);
				shutdown(p.fd[SERVER], SHUT_RDWR);
				pthread_join(reader, NULL);
				fail_msg("the sender hangs with %llu bytes left", (unsigned long long)left);
			}
			left -= len;
		}
		pthread_join(reader, NULL);
		ok(w.result);
		p.got[CLIENT] = p.sent[CLIENT];
		ok(pair_pingpong(&p, 10, 1000));
		pair_close(&p);
	}
}

static void blocking_allowed(void **state)
{
	uint64_t before[2];
	struct traffic *t;
	struct pair p;

	(void)state;
	env_down();
	assert_int_equal(env_up(OBSERVED "blocking = allow\n"), 0);
	ok(pair_open(&p, V4, false, false));
	make_blocking(&p, CLIENT);
	make_blocking(&p, SERVER);
	for (int i = 0; i < 2 * READS; i++)
		for (int from = 0; from < 2; from++) {
			ok(pair_send(&p, from, 100));
			read_with(&p, !from, 0);
		}
	ok(pair_warm(&p));
	for (int side = 0; side < 2; side++)
		before[side] = spliced(p.fd[side]);
	ok(traffic_start(&t, &p, &(struct traffic_opts){ .bytes = 32 << 20,
								  .flags = TRAFFIC_BLOCKING | TRAFFIC_CATCHUP }));
	ok(traffic_stop(t));
	for (int side = 0; side < 2; side++) {
		struct fastlo_info i = info(p.fd[side]);

		print_message("blocking both ways: %llu bytes spliced, %llu over TCP\n",
			      (unsigned long long)(i.tx_spliced_bytes - before[side]),
			      (unsigned long long)i.tx_tcp_bytes);
		assert_true(i.tx_spliced_bytes - before[side] > 1 << 20);
		assert_true(i.state == FASTLO_STATE_SPLICED || i.state == FASTLO_STATE_YIELDING);
	}
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocking_reader),
		cmocka_unit_test(blocks_later),
		cmocka_unit_test(waitall_reader),
		cmocka_unit_test(eager_waitall_reader),
		cmocka_unit_test(blocking_allowed),
	};

	return run_group(tests, observed_up, group_down);
}
