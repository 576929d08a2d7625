/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A cgroup v1 limit on TCP's memory: where plain TCP waits, a spliced pair waits, and never says ENOMEM.
 */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/time.h>

#define LIMIT "2097152"

static int open_limited(struct pair *p, bool eager)
{
	struct memory memory;
	int r = memory_new(&memory, LIMIT);

	if (r < 0)
		return r;
	r = memory_enter(&memory);
	if (r == 0)
		r = pair_dial(p, &(struct dial){ .kind = V4, .opt = { eager, eager } });
	memory_leave(&memory);
	memory_free(&memory);
	return r;
}

struct reader {
	struct pair *p;
	uint64_t bytes;
	int result;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct pollfd wait = { .fd = r->p->fd[SERVER], .events = POLLIN };
	int n = 0;

	while (r->p->got[CLIENT] < r->bytes && (n >= 0 || n == -EAGAIN)) {
		if (poll(&wait, 1, 3 * PATIENCE_MS) != 1) {
			r->result = -ETIMEDOUT;
			return NULL;
		}
		n = (int)pair_try_recv(r->p, CLIENT, 100000, 0);
	}
	r->result = n == -EAGAIN || n > 0 ? 0 : n;
	return NULL;
}

/* A blocking sender towards a reader that keeps reading: how many calls failed with ENOMEM. */
static int count_refusals(struct pair *p, uint64_t bytes)
{
	struct reader r = { .p = p, .bytes = p->sent[CLIENT] + bytes };
	char *mem = malloc(300000);
	uint64_t random = 9;
	int refused = 0, fd = p->fd[CLIENT];
	pthread_t thread;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &r), 0);
	while (p->sent[CLIENT] < r.bytes) {
		uint64_t len = rnd_size(&random, 300000), left = r.bytes - p->sent[CLIENT];
		ssize_t n;

		len = len < left ? len : left;
		pattern_fill(mem, len, p->seed, p->sent[CLIENT]);
		n = send(fd, mem, len, MSG_NOSIGNAL);
		if (n < 0 && errno != ENOMEM)
			break;
		refused += n < 0;
		p->sent[CLIENT] += n > 0 ? n : 0;
	}
	pthread_join(thread, NULL);
	free(mem);
	ok(r.result);
	assert_int_equal(p->got[CLIENT], r.bytes);
	return refused;
}

static int limited(bool eager)
{
	int rcvbuf = 4 << 20, sndbuf = 200000, refused;
	uint64_t before;
	struct pair p;

	ok(open_limited(&p, eager));
	/* the receiver may reach the limit; the sender alone does not, or TCP can deliver no more than a crumb per RTO */
	setsockopt(p.fd[SERVER], SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf));
	setsockopt(p.fd[CLIENT], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	if (eager)
		ok(pair_warm(&p));
	before = spliced(p.fd[CLIENT]);
	assert_true(env.plain || !eager || before > 0);
	/* unread up to what the limit lets in: EAGAIN, then everything is there */
	refused = pair_fill(&p, CLIENT, 30000) < 0;
	ok(pair_drain(&p, CLIENT));
	assert_true(env.plain || !eager || spliced(p.fd[CLIENT]) > before);
	refused += count_refusals(&p, 16 << 20);
	if (eager)
		print_message("%llu bytes spliced of %llu\n", (unsigned long long)spliced(p.fd[CLIENT]),
			      (unsigned long long)p.sent[CLIENT]);
	if (eager) {
		ok(opt_in(p.fd[CLIENT], 0));
		expect_state(p.fd[CLIENT], FASTLO_STATE_TCP);
		expect_reason(p.fd[SERVER], FL_R_WITHDRAWN);
	}
	pair_close(&p);
	return refused;
}

static void limit_of_tcp_memory(void **state)
{
	struct memory memory;

	(void)state;
	if (memory_new(&memory, LIMIT) < 0) {
		print_message("no cgroup v1 memory.kmem.tcp.limit_in_bytes here, skipping\n");
		skip();
	}
	memory_free(&memory);
	assert_int_equal(limited(false), 0);
	assert_int_equal(limited(true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limit_of_tcp_memory),
	};

	return run_group(tests, group_up, group_down);
}
