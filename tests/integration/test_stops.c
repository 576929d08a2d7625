/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why and how a pair stops: reasons that stay are not hidden by those that pass, every release comes to its
 * end, and a stream that splice cannot carry safely stays on TCP.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

static void open_spliced(struct pair *p, enum kind k, bool opt)
{
	ok(pair_open(p, k, opt, opt));
	ok(pair_warm(p));
	for (int side = 0; side < 2 && !env.plain; side++) {
		assert_int_equal(info(p->fd[side]).state, FASTLO_STATE_SPLICED);
		assert_true(spliced(p->fd[side]) > 0);
	}
}

/* Released, for this reason, and both directions carry on over TCP alone. */
static void check_stopped(struct pair *p, unsigned int reason)
{
	uint64_t before[2];

	for (int side = 0; side < 2; side++) {
		expect_state(p->fd[side], FASTLO_STATE_TCP);
		expect_reason(p->fd[side], reason);
		before[side] = spliced(p->fd[side]);
	}
	ok(pair_pingpong(p, 30, 100));
	ok(pair_pump(p, CLIENT, 200000, 3000));
	ok(pair_pump(p, SERVER, 200000, 3000));
	for (int side = 0; side < 2; side++) {
		assert_int_equal(spliced(p->fd[side]), before[side]);
		assert_int_equal(info(p->fd[side]).reason, env.plain ? 0 : reason);
	}
}

static void spliced_send(struct pair *p, int from, size_t len)
{
	uint64_t before = spliced(p->fd[from]);

	ok(pair_send(p, from, len));
	assert_true(env.plain || spliced(p->fd[from]) == before + len);
}

static void policy_add(const char *engage)
{
	assert_int_equal(env_ctl(NULL, "policy", "add", "p", "--cgroup", env.rel, "--engage", engage, NULL), 0);
}

static void policy_remove(void)
{
	assert_int_equal(env_ctl(NULL, "policy", "remove", "p", NULL), 0);
}

static void await(int fd, short events)
{
	assert_int_equal(poll(&(struct pollfd){ fd, events, 0 }, 1, PATIENCE_MS), 1);
}

static void read_urgent(int from, int to, bool eager, char *said)
{
	ssize_t n;

	assert_int_equal(send(from, "ab", 2, MSG_DONTWAIT), 2);
	assert_int_equal(send(from, "!", 1, MSG_DONTWAIT | MSG_OOB), 1);
	assert_int_equal(send(from, "cd", 2, MSG_DONTWAIT), 2);
	if (eager)
		expect_state(to, FASTLO_STATE_DRAINING);
	await(to, POLLPRI);
	for (size_t got = 0; got < 4; got += n) {
		await(to, POLLIN);
		n = recv(to, said + got, 4 - got, MSG_DONTWAIT);
		assert_true(n > 0);
	}
}

/* The urgent byte is returned by no plain receive: nothing must wait for it. */
static void urgent_while_unread(void **state)
{
	(void)state;
	for (int from = 0; from < 2; from++) {
		char said[2][8] = { "", "" };
		struct pair p;

		ok(pair_open(&p, V4, false, false));
		read_urgent(p.fd[from], p.fd[!from], false, said[0]);
		pair_close(&p);
		open_spliced(&p, V4, true);
		read_urgent(p.fd[from], p.fd[!from], !env.plain, said[1]);
		assert_string_equal(said[0], "abcd");
		assert_string_equal(said[1], said[0]);
		check_stopped(&p, FL_R_MSG_OOB);
		pair_close(&p);
	}
}

/* Bytes that nobody saw being read leave the books open for ever: a release must not wait for them. */
static void withdrawn_after_splice2(void **state)
{
	int pipe_fd[2], lowat = 2, one = 1;
	char mem[1000];

	(void)state;
	assert_return_code(pipe2(pipe_fd, O_CLOEXEC), errno);
	for (int from = 0; from < 2; from++) {
		struct pair p;
		int to;

		open_spliced(&p, V4, true);
		to = p.fd[!from];
		assert_return_code(setsockopt(to, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat)), errno);
		ok(pair_send(&p, from, sizeof(mem)));
		await(to, POLLIN);
		assert_int_equal(splice(to, NULL, pipe_fd[1], NULL, sizeof(mem), SPLICE_F_NONBLOCK), sizeof(mem));
		assert_int_equal(read(pipe_fd[0], mem, sizeof(mem)), sizeof(mem));
		assert_int_equal(pattern_check(mem, sizeof(mem), p.seed + from, p.got[from]), -1);
		p.got[from] += sizeof(mem);
		assert_return_code(setsockopt(to, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)), errno);
		ok(opt_in(p.fd[from], 0));
		check_stopped(&p, FL_R_WITHDRAWN);
		pair_close(&p);
	}
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* Drained and resumed, with something else happening in between; another pair shows when it is over. */
static void stopped_during_drain(bool remove, unsigned int reason)
{
	struct pair p, witness;

	if (remove)
		policy_add("eager");
	open_spliced(&p, V4, !remove);
	open_spliced(&witness, V6, true);
	assert_int_equal(env_ctl(NULL, "drain", NULL), 0);
	check_stopped(&p, FL_R_DRAINING);
	if (remove)
		policy_remove();
	else
		ok(opt_in(p.fd[CLIENT], 0));
	assert_int_equal(env_ctl(NULL, "resume", NULL), 0);
	ok(pair_warm(&witness));
	check_stopped(&p, reason);
	pair_close(&witness);
	pair_close(&p);
}

static void withdrawn_during_drain(void **state)
{
	(void)state;
	stopped_during_drain(false, FL_R_WITHDRAWN);
}

static void policy_removed_during_drain(void **state)
{
	(void)state;
	stopped_during_drain(true, FL_R_POLICY_REMOVED);
}

static void policy_comes_back_while_unread(void **state)
{
	struct pair p;

	(void)state;
	for (int from = 0; from < 2; from++) {
		policy_add(from ? "observed" : "eager");
		open_spliced(&p, V4, false);
		spliced_send(&p, from, 600);
		policy_remove();
		expect_state(p.fd[CLIENT], FASTLO_STATE_DRAINING);
		policy_add("eager");
		expect_state(p.fd[CLIENT], FASTLO_STATE_DRAINING);
		ok(pair_drain(&p, from));
		ok(pair_warm(&p));
		policy_remove();
		check_stopped(&p, FL_R_POLICY_REMOVED);
		pair_close(&p);
	}
}

/* tcp_bpf_recvmsg() says 0 to an empty receive where tcp_recvmsg() says EAGAIN. */
static void wait_out_of_sockmap(int fd)
{
	for (int64_t until = now_ms() + PATIENCE_MS; recv(fd, &until, 0, MSG_DONTWAIT) != -1;)
		assert_true(tick(until));
}

static void withdrawn_while_half(void **state)
{
	struct dial d = { .kind = V4, .opt = { true, true }, .defer_accept = 5, .not_accepted = true };
	struct pair p;

	(void)state;
	for (int round = 0; round < 20; round++) {
		ok(pair_dial(&p, &d));
		expect_reason(p.fd[CLIENT], FL_R_PEER_NOT_OPTED_IN);
		ok(opt_in(p.fd[CLIENT], 0));
		ok(pair_send(&p, CLIENT, 100));
		ok(pair_accept(&p));
		ok(pair_drain(&p, CLIENT));
		check_stopped(&p, FL_R_WITHDRAWN);
		assert_int_equal(spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]), 0);
		wait_out_of_sockmap(p.fd[CLIENT]);
		wait_out_of_sockmap(p.fd[SERVER]);
		pair_close(&p);
	}
}

#define BIG 60000 /* copying the first record takes long enough for the second reader to find it, too */
struct readers {
	int fd;
	atomic_int ready, go, taken, tid[2], record[2];
	atomic_bool over;
};

/* Takes one record and works on it: reads no more. */
static void *reader_main(void *arg)
{
	struct readers *r = arg;
	int me = atomic_fetch_add(&r->ready, 1), at;
	char mem[BIG];
	ssize_t n;

	r->tid[me] = (int)syscall(SYS_gettid);
	while (!r->go)
		;
	do
		n = recv(r->fd, mem, sizeof(mem), 0);
	while (n < 0 && errno == EAGAIN && !r->over);
	at = atomic_fetch_add(&r->taken, 1);
	r->record[at] = n == (at ? 64 : BIG) ? mem[0] : -1;
	r->tid[me] = 0;
	return NULL;
}

static bool wait_taken(struct readers *r, int n)
{
	for (int64_t until = now_ms() + PATIENCE_MS / 4; r->taken < n && tick(until);)
		;
	return r->taken >= n;
}

/* Both find the same TCP record; who does not get it is parked inside tcp_recvmsg(). */
static bool readers_round(struct pair *p, struct readers *r)
{
	char first[BIG] = { 1 }, second[64] = { 2 };
	int lowat = 2, one = 1, queued = 1;
	struct timeval limit = { .tv_sec = 1 };
	pthread_t thread[2];
	bool good;

	*r = (struct readers){ .fd = p->fd[SERVER] };
	fcntl(r->fd, F_SETFL, fcntl(r->fd, F_GETFL) & ~O_NONBLOCK);
	setsockopt(r->fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat));
	assert_int_equal(send(p->fd[CLIENT], first, BIG, MSG_DONTWAIT), BIG);
	setsockopt(r->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	while (queued && tick(now_ms() + 1000))
		assert_return_code(ioctl(p->fd[CLIENT], SIOCOUTQ, &queued), errno);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, reader_main, r), 0);
	while (!r->tid[0] || !r->tid[1])
		sched_yield();
	r->go = 1;
	good = wait_taken(r, 1);
	for (int64_t until = now_ms() + PATIENCE_MS; good && tick(until);)
		if (thread_asleep(r->tid[0] ? r->tid[0] : r->tid[1]))
			break;
	assert_int_equal(send(p->fd[CLIENT], second, 64, MSG_DONTWAIT), 64);
	good = wait_taken(r, 2);
	r->over = true;
	setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (!good)
		shutdown(p->fd[CLIENT], SHUT_RDWR);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	return good;
}

static void two_blocking_readers(void **state)
{
	int hung = 0;

	(void)state;
	for (int round = 0; round < 30; round++) {
		struct readers r;
		struct pair p;

		open_spliced(&p, V4, true);
		hung += !readers_round(&p, &r);
		assert_int_equal(r.record[0], 1);
		assert_true(r.record[1] == 2 || hung);
		pair_close(&p);
	}
	assert_int_equal(hung, 0);
}

static void peeking_with_waitall(void **state)
{
	(void)state;
	for (int from = 0; from < 2; from++) {
		struct pair p;

		open_spliced(&p, V4, true);
		spliced_send(&p, from, 3000);
		assert_int_equal(ok(pair_try_recv(&p, from, 2000, MSG_PEEK | MSG_WAITALL)), 2000);
		expect_reason(p.fd[from], FL_R_MSG_WAITALL);
		expect_state(p.fd[from], FASTLO_STATE_DRAINING);
		ok(pair_send(&p, from, 3000));
		ok(pair_drain(&p, from));
		check_stopped(&p, FL_R_MSG_WAITALL);
		pair_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urgent_while_unread),
		cmocka_unit_test(withdrawn_after_splice2),
		cmocka_unit_test(withdrawn_during_drain),
		cmocka_unit_test(policy_removed_during_drain),
		cmocka_unit_test(policy_comes_back_while_unread),
		cmocka_unit_test(withdrawn_while_half),
		cmocka_unit_test(two_blocking_readers),
		cmocka_unit_test(peeking_with_waitall),
	};

	return run_group(tests, group_up, group_down);
}
