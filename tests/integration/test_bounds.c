/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A stopped reader bounds its sender as TCP does: what a non-blocking sender gets accepted stays within
 * twice plain TCP's in the same run, writability follows the reader, everything accepted arrives, and
 * tiny messages do not pile up.
 */
#include "check.h"

#include <bpf/bpf.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#define ROUNDS 3
#define SLACK 65536

/* epoll, since its edge is what a missed wake-up loses */
static void expect_writable(struct pair *p, int from)
{
	struct epoll_event want = { .events = EPOLLOUT | EPOLLET }, got;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, p->fd[from], &want), errno);
	/* a full socket has no edge, once all that still moved has come to rest; the reader makes one */
	while (epoll_wait(ep, &got, 1, 20) == 1)
		ok(pair_fill(p, from, 1000));
	ok(pair_drain(p, from));
	assert_int_equal(epoll_wait(ep, &got, 1, PATIENCE_MS), 1);
	assert_true(got.events & EPOLLOUT);
	close(ep);
}

/* What a stopped reader's sender gets accepted; then all of it is read, and the pair still works. */
static int64_t accepted(bool fast, enum kind k, size_t msg, int from)
{
	struct dial d = { .kind = k, .opt = { fast, fast } };
	struct fastlo_info before, after;
	struct pair p;
	int64_t total;

	/* filled byte by byte, default buffers take a minute, and an emulated kernel an hour */
	if (msg == 1)
		d.rcvbuf = d.sndbuf = 32768;
	ok(pair_dial(&p, &d));
	if (fast)
		ok(pair_warm(&p));
	else
		ok(pair_pingpong(&p, 3, 64));
	before = info(p.fd[from]);
	total = ok(pair_fill(&p, from, msg));
	after = info(p.fd[from]);
	if (!fast)
		assert_int_equal(after.tx_spliced_bytes, 0);
	else if (msg <= 4096)
		assert_true(after.tx_spliced_bytes > before.tx_spliced_bytes);
	expect_writable(&p, from);
	before = info(p.fd[from]);
	ok(pair_pump(&p, from, 1 << 20, 1000));
	if (fast)
		assert_true(spliced(p.fd[from]) > before.tx_spliced_bytes);
	pair_close(&p);
	return total;
}

static void stopped_reader(size_t msg)
{
	for (int from = 0; from < 2; from++) {
		int64_t plain = 0, fast = 0;

		for (int i = 0; i < ROUNDS; i++) {
			int64_t a = accepted(false, i % 2, msg, from), b = accepted(true, i % 2, msg, from);

			plain = a > plain ? a : plain;
			fast = b > fast ? b : fast;
		}
		print_message("%zu-byte messages: plain TCP takes %lld bytes, fastlo %lld\n", msg, (long long)plain,
			      (long long)fast);
		assert_true(fast <= 2 * plain + SLACK);
	}
}

static void stopped_reader_1(void **state)
{
	(void)state;
	stopped_reader(1);
}

static void stopped_reader_100(void **state)
{
	(void)state;
	stopped_reader(100);
}

static void stopped_reader_4k(void **state)
{
	(void)state;
	stopped_reader(4096);
}

static void stopped_reader_64k(void **state)
{
	(void)state;
	stopped_reader(65536);
}

static void stopped_reader_1m(void **state)
{
	(void)state;
	stopped_reader(1 << 20);
}

static int rcvbuf_of(int fd)
{
	int size = 0;
	socklen_t len = sizeof(size);

	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len), errno);
	return size;
}

/* A little more than half of what a connection begins with: spliced if nothing is unread, and only then. */
static void one_large_message(void **state)
{
	struct pair p;
	size_t size;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	size = (size_t)rcvbuf_of(p.fd[SERVER]) / 2 + 10;
	for (int unread = 0; unread < 2; unread++) {
		uint64_t before = spliced(p.fd[CLIENT]);

		if (unread)
			ok(pair_send(&p, CLIENT, 1));
		ok(pair_send(&p, CLIENT, size));
		assert_true(env.plain || spliced(p.fd[CLIENT]) - before == (unread ? 1 : size));
		ok(pair_drain(&p, CLIENT));
	}
	pair_close(&p);
}

/* Each spliced message costs the kernel about 1 KiB that nothing accounts for. */
static void unread_tiny_messages(void **state)
{
	const int buffers[] = { 0, 4096, 65536, 1 << 20 };
	struct fastlo_info a, b;
	struct pair p;

	(void)state;
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		int64_t bound;
		ssize_t n = 0;

		ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .rcvbuf = buffers[i] }));
		ok(pair_warm(&p));
		a = info(p.fd[CLIENT]);
		bound = rcvbuf_of(p.fd[SERVER]) / 256;
		for (int64_t sent = 0; sent < 4 * bound && n != -EAGAIN; sent++) {
			n = pair_try_send(&p, CLIENT, 1, 0);
			if (n != -EAGAIN)
				ok(n);
		}
		b = info(p.fd[CLIENT]);
		print_message("rcvbuf %d: %llu messages spliced and unread\n", rcvbuf_of(p.fd[SERVER]),
			      (unsigned long long)(b.tx_spliced_msgs - a.tx_spliced_msgs));
		assert_true(b.tx_spliced_msgs > a.tx_spliced_msgs);
		assert_true((int64_t)(b.tx_spliced_msgs - a.tx_spliced_msgs) <= (bound > 8 ? bound : 8));
		ok(pair_drain(&p, CLIENT));
		ok(pair_warm(&p));
		pair_close(&p);
	}
}

/* A reader that is only slower than the sender: never more unread than the bound either. */
static void slow_reader_of_tiny_messages(void **state)
{
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	for (int round = 0; round < 2000; round++) {
		for (int i = 0; i < 20; i++) {
			ssize_t n = pair_try_send(&p, CLIENT, 1, 0);

			if (n != -EAGAIN)
				ok(n);
		}
		ok(pair_recv(&p, CLIENT, p.sent[CLIENT] - p.got[CLIENT] < 15 ? 1 : 15));
	}
	ok(pair_drain(&p, CLIENT));
	ok(pair_warm(&p));
	pair_close(&p);
}

/* What the programs read; the test may change it. */
static struct fl_ctl *ctl_map(void)
{
	char path[200];
	void *mem;
	int fd;

	snprintf(path, sizeof(path), "%s/data_ctl", env.pins);
	fd = bpf_obj_get(path);
	assert_return_code(fd, -fd);
	mem = mmap(NULL, sizeof(struct fl_ctl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	close(fd);
	return mem;
}

/*
 * A kernel that does not count spliced bytes in sk_rmem_alloc: the books bound the sender. This kernel counts them as well, so
 * together they leave half of the room.
 */
static void bounded_by_the_books(void **state)
{
	struct fl_ctl *ctl;
	uint64_t unread[2];
	struct pair p;

	(void)state;
	if (env.plain)
		return;
	ctl = ctl_map();
	assert_int_equal(ctl->abi, FL_ABI_VERSION);
	for (int blind = 0; blind < 2; blind++) {
		ctl->rmem_blind = blind;
		ok(pair_open(&p, V4, true, true));
		ok(pair_warm(&p));
		unread[blind] = spliced(p.fd[CLIENT]);
		assert_true(ok(pair_fill(&p, CLIENT, 1000)) > 0);
		unread[blind] = spliced(p.fd[CLIENT]) - unread[blind];
		ok(pair_drain(&p, CLIENT));
		ok(pair_warm(&p));
		pair_close(&p);
	}
	ctl->rmem_blind = 0;
	munmap(ctl, sizeof(*ctl));
	print_message("spliced and unread: %llu, with the books asked, too: %llu\n", (unsigned long long)unread[0],
		      (unsigned long long)unread[1]);
	assert_in_range(unread[1], 1000, unread[0] * 3 / 4);
}

/* A line of names and a line of numbers in /proc/net/netstat. */
static int64_t netstat(const char *counter)
{
	char text[16384], *names, *numbers, *name, *number, *at[2];

	ok(file_read("/proc/thread-self/net/netstat", text, sizeof(text)));
	names = strstr(text, "TcpExt:");
	numbers = names ? strstr(names + 1, "TcpExt:") : NULL;
	assert_non_null(numbers);
	numbers[-1] = '\0';
	*strchrnul(numbers, '\n') = '\0';
	name = strtok_r(names, " ", &at[0]);
	number = strtok_r(numbers, " ", &at[1]);
	for (; name && number; name = strtok_r(NULL, " ", &at[0]), number = strtok_r(NULL, " ", &at[1]))
		if (strcmp(name, counter) == 0)
			return strtoll(number, NULL, 10);
	return 0;
}

static void set_lowat(int fd, int bytes)
{
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)), errno);
}

/* Segments dropped for want of room, in three fillings of a receiver whose window a stream has opened. */
static int64_t dropped(bool fast, int ns, int rcvbuf, size_t msg)
{
	struct pair p;
	int64_t n;

	ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { fast, fast }, .ns = ns, .rcvbuf = rcvbuf }));
	if (fast)
		ok(pair_warm(&p));
	set_lowat(p.fd[SERVER], 2); /* a reason to yield */
	ok(pair_pump(&p, CLIENT, 16 << 20, 65536));
	set_lowat(p.fd[SERVER], 1);
	if (fast)
		ok(pair_warm(&p));
	n = netstat("TCPRcvQDrop") + netstat("RcvPruned");
	for (int round = 0; round < 3; round++) {
		ok(pair_send(&p, CLIENT, 1000)); /* spliced, and so is what fits */
		ok(pair_fill(&p, CLIENT, msg));
		ok(pair_drain(&p, CLIENT));
	}
	n = netstat("TCPRcvQDrop") + netstat("RcvPruned") - n;
	print_message("rcvbuf %d, messages of %zu, %s: %lld segments dropped\n", rcvbuf_of(p.fd[SERVER]), msg,
		      fast ? "fastlo" : "plain TCP", (long long)n);
	pair_close(&p);
	return n;
}

/*
 * TCP's window, once a stream has opened it, is nearly the whole buffer, and what was promised is not taken back. So
 * spliced bytes may only take what it leaves; else the segments that follow them are dropped.
 */
static void room_for_the_promised_window(void **state)
{
	const int buffers[] = { 65536, 262144, 0 };
	const size_t msgs[] = { 65536, 4096 };
	int ns, old;

	(void)state;
	ok(netns_new(&ns));
	ok(netns_enter(ns, &old));
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]) * 2; i++)
		assert_true(dropped(true, ns, buffers[i / 2], msgs[i % 2]) <=
			    dropped(false, ns, buffers[i / 2], msgs[i % 2]));
	netns_leave(old);
	close(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stopped_reader_1),
		cmocka_unit_test(stopped_reader_100),
		cmocka_unit_test(stopped_reader_4k),
		cmocka_unit_test(stopped_reader_64k),
		cmocka_unit_test(stopped_reader_1m),
		cmocka_unit_test(one_large_message),
		cmocka_unit_test(unread_tiny_messages),
		cmocka_unit_test(room_for_the_promised_window),
		cmocka_unit_test(slow_reader_of_tiny_messages),
		cmocka_unit_test(bounded_by_the_books),
	};

	return run_group(tests, group_up_staying, group_down);
}
