/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Habits that are shown only once a pair is spliced: each stops the pair for good, its reason is kept, and both
 * ends are plain TCP from then on, with every byte in its place.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define OBSERVED "[policy habits]\ncgroup = @CGROUP@\n"

static int observed_up(void **state)
{
	(void)state;
	return env_up(OBSERVED);
}

static void take(struct pair *p, const void *mem, ssize_t n)
{
	assert_true(n > 0);
	assert_int_equal(pattern_check(mem, n, p->seed + CLIENT, p->got[CLIENT]), -1);
	p->got[CLIENT] += n;
}

static void receive(struct pair *p, int flags)
{
	char mem[256];

	ok(pair_send(p, CLIENT, sizeof(mem)));
	take(p, mem, recv(p->fd[SERVER], mem, sizeof(mem), flags));
}

static void waits_for_all(struct pair *p)
{
	receive(p, MSG_WAITALL);
}

static void blocks(struct pair *p)
{
	fcntl(p->fd[SERVER], F_SETFL, fcntl(p->fd[SERVER], F_GETFL) & ~O_NONBLOCK);
	receive(p, 0);
	fcntl(p->fd[SERVER], F_SETFL, fcntl(p->fd[SERVER], F_GETFL) | O_NONBLOCK);
}

static void truncates(struct pair *p)
{
	receive(p, MSG_TRUNC);
}

static void asks_for_urgent(struct pair *p)
{
	char one;

	assert_int_equal(recv(p->fd[SERVER], &one, 1, MSG_OOB), -1);
}

static void sends_urgent(struct pair *p)
{
	char one;

	assert_int_equal(send(p->fd[CLIENT], "!", 1, MSG_OOB), 1);
	for (int64_t until = now_ms() + PATIENCE_MS; recv(p->fd[SERVER], &one, 1, MSG_OOB) != 1;)
		assert_true(tick(until));
}

/* IP_TTL means nothing to TCP, which takes the message as it is. */
static void sends_control(struct pair *p)
{
	char mem[64], control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { mem, sizeof(mem) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_len = CMSG_LEN(sizeof(int));
	h->cmsg_level = IPPROTO_IP;
	h->cmsg_type = IP_TTL;
	pattern_fill(mem, sizeof(mem), p->seed + CLIENT, p->sent[CLIENT]);
	assert_int_equal(sendmsg(p->fd[CLIENT], &m, 0), sizeof(mem));
	p->sent[CLIENT] += sizeof(mem);
	ok(pair_drain(p, CLIENT));
}

static void stamps_sends(struct pair *p)
{
	int on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE, off = 0;

	assert_return_code(setsockopt(p->fd[CLIENT], SOL_SOCKET, SO_TIMESTAMPING, &on, sizeof(on)), errno);
	ok(pair_pingpong(p, 1, 100));
	assert_return_code(setsockopt(p->fd[CLIENT], SOL_SOCKET, SO_TIMESTAMPING, &off, sizeof(off)), errno);
}

/* SO_RCVLOWAT makes one message go over TCP, where splice(2) finds it; later ones show that nobody returned it. */
static void splices(struct pair *p)
{
	int pipe_fd[2], lowat = 2, one = 1;
	char mem[1000];

	assert_return_code(pipe(pipe_fd), errno);
	assert_return_code(setsockopt(p->fd[SERVER], SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat)), errno);
	ok(pair_send(p, CLIENT, sizeof(mem)));
	for (int64_t until = now_ms() + PATIENCE_MS;
	     splice(p->fd[SERVER], NULL, pipe_fd[1], NULL, sizeof(mem), SPLICE_F_NONBLOCK) != sizeof(mem);)
		assert_true(tick(until));
	take(p, mem, read(pipe_fd[0], mem, sizeof(mem)));
	assert_return_code(setsockopt(p->fd[SERVER], SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)), errno);
	for (int64_t until = now_ms() + PATIENCE_MS; info(p->fd[CLIENT]).reason != FL_R_UNSEEN_READER;) {
		ok(pair_pingpong(p, 1, 100));
		assert_true(env.plain || tick(until));
		if (env.plain)
			break;
	}
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static int watch_by_edge(int fd)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), errno);
	return ep;
}

static void is_watched_by_edge(struct pair *p)
{
	int ep = watch_by_edge(p->fd[SERVER]);

	receive(p, 0);
	close(ep);
}

static void is_signalled(struct pair *p)
{
	fcntl(p->fd[SERVER], F_SETFL, fcntl(p->fd[SERVER], F_GETFL) | O_ASYNC);
	receive(p, 0);
	fcntl(p->fd[SERVER], F_SETFL, fcntl(p->fd[SERVER], F_GETFL) & ~O_ASYNC);
}

static const struct habit {
	const char *name;
	void (*show)(struct pair *p);
	unsigned int reason;
	bool observed_only;
} habits[] = {
	{ "MSG_WAITALL", waits_for_all, FL_R_MSG_WAITALL, false },
	{ "a blocking receive", blocks, FL_R_BLOCKING_READ, true },
	{ "MSG_TRUNC", truncates, FL_R_MSG_TRUNC, false },
	{ "asking for urgent data", asks_for_urgent, FL_R_MSG_OOB, false },
	{ "sending urgent data", sends_urgent, FL_R_MSG_OOB, false },
	{ "a control message", sends_control, FL_R_SEND_CONTROL, false },
	{ "transmit timestamps", stamps_sends, FL_R_TX_TIMESTAMP, false },
	{ "splice(2)", splices, FL_R_UNSEEN_READER, false },
	{ "EPOLLET", is_watched_by_edge, FL_R_EDGE_TRIGGERED, false },
	{ "O_ASYNC", is_signalled, FL_R_EDGE_TRIGGERED, false },
};

static void check_plain(struct pair *p, unsigned int reason)
{
	uint64_t before[2];

	for (int side = 0; side < 2; side++) {
		expect_state(p->fd[side], FASTLO_STATE_TCP);
		expect_reason(p->fd[side], reason);
		before[side] = spliced(p->fd[side]);
	}
	ok(pair_pingpong(p, 50, 100));
	ok(pair_pump(p, CLIENT, 200000, 3000));
	ok(pair_pump(p, SERVER, 200000, 3000));
	for (int side = 0; side < 2; side++)
		assert_int_equal(spliced(p->fd[side]), before[side]);
}

static void each_stops(bool eager)
{
	for (size_t i = 0; i < sizeof(habits) / sizeof(habits[0]); i++) {
		const struct habit *h = &habits[i];
		struct pair p;

		if (h->observed_only && eager)
			continue;
		print_message("%s\n", h->name);
		ok(pair_open(&p, i % KINDS, eager, eager));
		ok(pair_warm(&p));
		assert_true(env.plain || (spliced(p.fd[CLIENT]) && spliced(p.fd[SERVER])));
		h->show(&p);
		check_plain(&p, h->reason);
		pair_close(&p);
	}
}

static void observed(void **state)
{
	(void)state;
	each_stops(false);
}

static void eager(void **state)
{
	(void)state;
	ok(env_join(env.cgroup)); /* outside of the policy */
	each_stops(true);
	ok(env_join(env.app));
}

/* A burst that does not fit into half of the receive buffer, read as nginx reads: a short read was the last one. */
static void read_by_edge(void **state)
{
	int ep, unsent, unread;
	struct epoll_event e;
	struct pair p;
	ssize_t n;

	(void)state;
	ok(pair_open(&p, V4, false, false));
	ep = watch_by_edge(p.fd[SERVER]);
	ok(pair_pingpong(&p, 100, 100));
	while (epoll_wait(ep, &e, 1, 0) > 0)
		;
	for (int i = 0; i < 70; i++)
		assert_int_equal(ok(pair_try_send(&p, CLIENT, 1000, 0)), 1000);
	for (int64_t until = now_ms() + PATIENCE_MS; ioctl(p.fd[CLIENT], SIOCOUTQ, &unsent) == 0 && unsent;)
		assert_true(tick(until));
	assert_return_code(ioctl(p.fd[SERVER], FIONREAD, &unread), errno);
	assert_int_equal(unread, 70000);
	while (p.got[CLIENT] < p.sent[CLIENT]) {
		assert_int_equal(epoll_wait(ep, &e, 1, PATIENCE_MS), 1);
		do
			n = pair_try_recv(&p, CLIENT, 1 << 20, 0);
		while (n == 1 << 20);
		assert_true(n > 0 || n == -EAGAIN);
	}
	if (!env.plain)
		expect_reason(p.fd[CLIENT], FL_R_EDGE_TRIGGERED);
	assert_int_equal(spliced(p.fd[CLIENT]), 0);
	close(ep);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(observed),
		cmocka_unit_test(eager),
		cmocka_unit_test(read_by_edge),
	};

	return run_group(tests, observed_up, group_down);
}
