/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Limits on TCP's memory, of a cgroup and of the host: where plain TCP waits, an opted-in pair waits, and never says
 * ENOMEM.
 */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/time.h>

/* The server is in there alone: a socket counts where it is accepted. */
static int open_limited(struct pair *p, bool eager, const struct memory *memory)
{
	int rcvbuf = 64 << 20, sndbuf = 200000, r;

	r = pair_dial(p, &(struct dial){ .kind = V4, .opt = { eager, eager }, .not_accepted = true });
	if (r == 0)
		r = memory_enter(memory);
	if (r == 0)
		r = pair_accept(p);
	memory_leave(memory);
	/* the receiver may reach the limit; the sender alone does not, or TCP can deliver no more than a crumb per RTO */
	setsockopt(p->fd[SERVER], SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf));
	setsockopt(p->fd[CLIENT], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
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

#define STREAM (16 << 20)

/* Unread up to what the limit lets in, then a stream: how many calls failed with ENOMEM. */
static int up_to_the_limit(struct pair *p, uint64_t *ret_spliced)
{
	int refused = pair_fill(p, CLIENT, 30000) == -ENOMEM;
	uint64_t before;

	ok(pair_drain(p, CLIENT));
	before = spliced(p->fd[CLIENT]);
	refused += count_refusals(p, STREAM);
	*ret_spliced = spliced(p->fd[CLIENT]) - before;
	return refused;
}

static void plain_waits(const struct memory *memory)
{
	uint64_t n;
	struct pair p;

	ok(open_limited(&p, false, memory));
	assert_int_equal(up_to_the_limit(&p, &n), 0);
	pair_close(&p);
}

/* Such a limit refuses at once. No look ahead is certain, so nothing is spliced under one. */
static void limit_of_tcp_memory(void **state)
{
	struct memory memory;
	struct pair p;
	uint64_t n;

	(void)state;
	if (memory_new(&memory, "2097152") < 0) {
		print_message("no cgroup v1 memory.kmem.tcp.limit_in_bytes here, skipping\n");
		skip();
	}
	plain_waits(&memory);
	ok(open_limited(&p, true, &memory));
	assert_int_equal(up_to_the_limit(&p, &n), 0);
	expect_reason(p.fd[CLIENT], FL_R_MEMORY);
	expect_state(p.fd[CLIENT], FASTLO_STATE_TCP);
	expect_state(p.fd[SERVER], FASTLO_STATE_TCP);
	assert_int_equal(spliced(p.fd[CLIENT]), 0);
	/* one that is taken away may come back */
	ok(memory_write(&memory, "memory.kmem.tcp.limit_in_bytes", "-1"));
	ok(pair_pingpong(&p, 100, 100));
	assert_int_equal(spliced(p.fd[CLIENT]), 0);
	pair_close(&p);
	memory_free(&memory);
}

/* The kernel reclaims for this one first: spliced, but not near it. */
static void limit_of_all_memory(void **state)
{
	struct memory memory;
	struct pair p;
	uint64_t n;

	(void)state;
	if (memory_new_max(&memory, "16777216") < 0) {
		print_message("no memory controller in cgroup v2 here, skipping\n");
		skip();
	}
	plain_waits(&memory);
	ok(open_limited(&p, true, &memory));
	ok(pair_warm(&p));
	assert_int_equal(up_to_the_limit(&p, &n), 0);
	print_message("%llu bytes of the stream spliced\n", (unsigned long long)n);
	assert_true(env.plain || env_stat("reasons.memory") > 0);
	/* a message that was charged in part would keep the books open, and the pair on TCP */
	assert_true(env.plain || n > STREAM / 4);
	ok(opt_in(p.fd[CLIENT], 0));
	expect_state(p.fd[CLIENT], FASTLO_STATE_TCP);
	expect_reason(p.fd[SERVER], FL_R_WITHDRAWN);
	pair_close(&p);
	memory_free(&memory);
}

/* The host's own limit comes down to below what is in use: from there on every charge would fail. */
static void limit_of_the_host(void **state)
{
	int rcvbuf = 8 << 20; /* each CPU keeps a megabyte that it does not tell of */
	struct pair p, other;
	int64_t counted;
	ssize_t n = 0;

	(void)state;
	if (tcp_mem_borrow() < 0) {
		print_message("net.ipv4.tcp_mem cannot be set here, skipping\n");
		skip();
	}
	ok(pair_open(&other, V4, false, false));
	setsockopt(other.fd[SERVER], SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf));
	ok(pair_fill(&other, CLIENT, 60000));
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	counted = env_stat("reasons.memory");
	ok(pair_send(&p, SERVER, 100)); /* unread, it leaves its receiver the rest of a page to send from */
	ok(tcp_mem_write("1 1 1"));
	for (int i = 0; i < 100 && n >= 0; i++)
		n = pair_try_send(&p, CLIENT, 100, 0);
	tcp_mem_give_back();
	if (n < 0)
		assert_int_equal(n, -EAGAIN);
	ok(pair_drain(&p, CLIENT));
	ok(pair_drain(&p, SERVER));
	assert_true(env.plain || env_stat("reasons.memory") > counted);
	/* and all is as before */
	ok(pair_warm(&p));
	pair_close(&p);
	pair_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limit_of_tcp_memory),
		cmocka_unit_test(limit_of_all_memory),
		cmocka_unit_test(limit_of_the_host),
	};

	return run_group(tests, group_up, group_down);
}
