/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The opt-in contract of fastlo.h: every errno of its table, what a refused call leaves behind (nothing),
 * inheritance through accept, and withdrawal.
 */
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include "traffic.h"

static int tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static int set(int fd, int option, const void *value, socklen_t len)
{
	return setsockopt(fd, SOL_FASTLO, option, value, len);
}

static int enabled(int fd)
{
	int on = -1;
	socklen_t len = sizeof(on);

	assert_return_code(getsockopt(fd, SOL_FASTLO, FASTLO_ENABLE, &on, &len), errno);
	assert_int_equal(len, sizeof(on));
	return on;
}

/* A new socket's state: refused calls must leave it like this. */
static void check_untouched(int fd)
{
	assert_int_equal(enabled(fd), 0);
	assert_int_equal(info(fd).state, FASTLO_STATE_OFF);
	assert_int_equal(info(fd).pair, 0);
}

static void reads_back(void **state)
{
	int fd = tcp(), on = 1, off = 0;

	(void)state;
	check_untouched(fd);
	assert_return_code(set(fd, FASTLO_ENABLE, &on, sizeof(on)), errno);
	assert_int_equal(enabled(fd), 1);
	assert_return_code(set(fd, FASTLO_ENABLE, &on, sizeof(on)), errno);
	assert_int_equal(enabled(fd), 1);
	assert_return_code(set(fd, FASTLO_ENABLE, &off, sizeof(off)), errno);
	check_untouched(fd);
	close(fd);
}

static void wrong_size(void **state)
{
	int fd = tcp();
	char value[4096] = { 1 };
	const socklen_t sizes[] = { 0, 1, 3, 5, 8, 64, 4096 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		fails(set(fd, FASTLO_ENABLE, value, sizes[i]), EINVAL);
	fails(set(fd, FASTLO_ENABLE, value, (socklen_t)-1), EINVAL);
	check_untouched(fd);
	close(fd);
}

static void wrong_value(void **state)
{
	const int values[] = { 2, -1, 256, 1 << 24 | 1, 1 << 24 };
	int fd = tcp(), on = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		fails(set(fd, FASTLO_ENABLE, &values[i], sizeof(int)), EINVAL);
	check_untouched(fd);
	assert_return_code(set(fd, FASTLO_ENABLE, &on, sizeof(on)), errno);
	fails(set(fd, FASTLO_ENABLE, &values[0], sizeof(int)), EINVAL);
	assert_int_equal(enabled(fd), 1);
	close(fd);
}

static void unknown_option(void **state)
{
	const int options[] = { 0, 3, 64, -1, 1 << 16 | 1 };
	int fd = tcp(), value = 1;
	struct fastlo_info i = { 0 };
	socklen_t len;

	(void)state;
	for (size_t n = 0; n < sizeof(options) / sizeof(options[0]); n++) {
		fails(set(fd, options[n], &value, sizeof(value)), EINVAL);
		len = sizeof(value);
		fails(getsockopt(fd, SOL_FASTLO, options[n], &value, &len), EINVAL);
	}
	fails(set(fd, FASTLO_INFO, &i, sizeof(i)), EINVAL);
	fails(set(fd, FASTLO_INFO, &value, sizeof(value)), EINVAL);
	check_untouched(fd);
	close(fd);
}

static void info_size(void **state)
{
	int fd = tcp();
	char room[256];
	socklen_t len;

	(void)state;
	for (socklen_t n = 0; n < FASTLO_INFO_SIZE_V1; n += 11) {
		len = n;
		fails(getsockopt(fd, SOL_FASTLO, FASTLO_INFO, room, &len), EINVAL);
	}
	len = FASTLO_INFO_SIZE_V1 - 1;
	fails(getsockopt(fd, SOL_FASTLO, FASTLO_INFO, room, &len), EINVAL);
	/* a newer program's larger struct: what there is, and its size */
	memset(room, 0x5a, sizeof(room));
	len = sizeof(room);
	assert_return_code(getsockopt(fd, SOL_FASTLO, FASTLO_INFO, room, &len), errno);
	assert_int_equal(len, FASTLO_INFO_SIZE_V1);
	assert_int_equal(room[FASTLO_INFO_SIZE_V1], 0x5a);
	close(fd);
}

static void not_tcp(void **state)
{
	const int kinds[][3] = {
		{ AF_INET, SOCK_DGRAM, 0 },   { AF_INET6, SOCK_DGRAM, 0 },
		{ AF_UNIX, SOCK_STREAM, 0 },  { AF_UNIX, SOCK_DGRAM, 0 },
		{ AF_INET, SOCK_RAW, IPPROTO_ICMP }, { AF_INET, SOCK_RAW, IPPROTO_TCP },
		{ AF_INET, SOCK_STREAM, IPPROTO_MPTCP },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = socket(kinds[i][0], kinds[i][1] | SOCK_CLOEXEC, kinds[i][2]);
		int on = 1, off = 0;

		if (fd < 0 && kinds[i][2] == IPPROTO_MPTCP)
			continue; /* not in this kernel */
		assert_true(fd >= 0);
		fails(set(fd, FASTLO_ENABLE, &on, sizeof(on)), EOPNOTSUPP);
		fails(set(fd, FASTLO_ENABLE, &off, sizeof(off)), EOPNOTSUPP);
		close(fd);
	}
}

static void connected(void **state)
{
	struct pair p;
	int on = 1, off = 0;

	(void)state;
	ok(pair_open(&p, V4, false, false));
	for (int side = 0; side < 2; side++) {
		fails(set(p.fd[side], FASTLO_ENABLE, &on, sizeof(on)), EISCONN);
		check_untouched(p.fd[side]);
		assert_return_code(set(p.fd[side], FASTLO_ENABLE, &off, sizeof(off)), errno);
	}
	ok(pair_pingpong(&p, 8, 4096));
	assert_int_equal(spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]), 0);
	pair_close(&p);
}

static void connecting(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd, old, on = 1;

	(void)state;
	ok(netns_own());
	ok(netns_enter(netns_own(), &old));
	fd = tcp();
	netns_leave(old);
	inet_pton(AF_INET, OWN_NOBODY, &to.sin_addr);
	fails(connect(fd, (void *)&to, sizeof(to)), EINPROGRESS);
	fails(set(fd, FASTLO_ENABLE, &on, sizeof(on)), EISCONN);
	check_untouched(fd);
	close(fd);
}

static void bad_pointer(void **state)
{
	char *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	socklen_t len = sizeof(struct fastlo_info);
	int fd = tcp(), value;

	(void)state;
	fails(set(fd, FASTLO_ENABLE, hole, sizeof(int)), EFAULT);
	fails(set(fd, FASTLO_ENABLE, NULL, sizeof(int)), EFAULT);
	fails(getsockopt(fd, SOL_FASTLO, FASTLO_INFO, hole, &len), EFAULT);
	/* the kernel hands a length that it cannot read to the program as 0 */
	fails(getsockopt(fd, SOL_FASTLO, FASTLO_ENABLE, &value, (socklen_t *)(void *)hole), EINVAL);
	check_untouched(fd);
	close(fd);
	munmap(hole, 4096);
}

static void not_a_socket(void **state)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), on = 1;

	(void)state;
	fails(set(fd, FASTLO_ENABLE, &on, sizeof(on)), ENOTSOCK);
	close(fd);
	fails(set(fd, FASTLO_ENABLE, &on, sizeof(on)), EBADF);
	fails(set(-1, FASTLO_ENABLE, &on, sizeof(on)), EBADF);
}

/* Nobody serves it: getsockopt fails as for a level that nothing has ever used. */
static void check_get_unknown(int fd, int option)
{
	struct fastlo_info room;
	socklen_t len = sizeof(room);
	int unserved;

	assert_int_equal(getsockopt(fd, SOL_FASTLO + 1, option, &room, &len), -1);
	unserved = errno;
	fails(getsockopt(fd, SOL_FASTLO, option, &room, &len), unserved);
}

static void outside_the_cgroup(void **state)
{
	int fd, six, on = 1;

	(void)state;
	skip_if_served_from_outside();
	ok(env_join(env.home));
	fd = tcp();
	six = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok(env_join(env.app));
	fails(set(fd, FASTLO_ENABLE, &on, sizeof(on)), ENOPROTOOPT);
	fails(set(six, FASTLO_ENABLE, &on, sizeof(on)), ENOPROTOOPT);
	check_get_unknown(fd, FASTLO_ENABLE);
	close(fd);
	close(six);
}

static void inherited(void **state)
{
	struct pair p;
	int on = 1, off = 0;

	(void)state;
	/* on the listener after listen(), before accept */
	ok(pair_open(&p, V4, true, false));
	assert_return_code(set(p.listener, FASTLO_ENABLE, &on, sizeof(on)), errno);
	assert_int_equal(enabled(p.listener), 1);
	assert_int_equal(enabled(p.fd[SERVER]), 0);
	pair_close(&p);

	ok(pair_open(&p, V4, true, true));
	assert_int_equal(enabled(p.fd[SERVER]), 1);
	/* what the listener does later does not reach its children */
	assert_return_code(set(p.listener, FASTLO_ENABLE, &off, sizeof(off)), errno);
	assert_int_equal(enabled(p.fd[SERVER]), 1);
	ok(pair_warm(&p));
	pair_close(&p);
}

static void withdrawn_before_connect(void **state)
{
	struct dial d = { .kind = V4, .opt = { true, true } };
	struct pair p = { .fd = { -1, -1 } };
	struct sockaddr_storage addr;
	socklen_t len;
	uint16_t port;
	int off = 0;

	(void)state;
	ok(pair_listen(&d, &p.listener, &port));
	p.fd[CLIENT] = tcp();
	ok(opt_in(p.fd[CLIENT], 1));
	assert_return_code(set(p.fd[CLIENT], FASTLO_ENABLE, &off, sizeof(off)), errno);
	kind_addr(V4, CLIENT, port, &addr, &len);
	if (connect(p.fd[CLIENT], (void *)&addr, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	ok(pair_accept(&p));
	ok(pair_pingpong(&p, 16, 1000));
	assert_int_equal(info(p.fd[CLIENT]).state, FASTLO_STATE_OFF);
	assert_int_equal(spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]), 0);
	expect_reason(p.fd[SERVER], FL_R_PEER_NOT_OPTED_IN);
	pair_close(&p);
}

/* side withdraws in the middle of a two-way stream */
static void withdraw_live(int side)
{
	uint64_t before[2];
	struct traffic *t;
	struct pair p;

	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	ok(traffic_start(&t, &p, &(struct traffic_opts){ .seed = 1 + side, .max_send = 20000 }));
	ok(traffic_more(t, 4 << 20));
	assert_true(spliced(p.fd[CLIENT]) > 0 && spliced(p.fd[SERVER]) > 0);
	ok(opt_in(p.fd[side], 0));
	ok(traffic_more(t, 4 << 20));
	ok(traffic_stop(t));
	for (int i = 0; i < 2; i++) {
		expect_state(p.fd[i], FASTLO_STATE_TCP);
		expect_reason(p.fd[i], FL_R_WITHDRAWN);
		before[i] = spliced(p.fd[i]);
	}
	assert_int_equal(enabled(p.fd[side]), 0);
	ok(pair_pump(&p, CLIENT, 1 << 20, 5000));
	ok(pair_pump(&p, SERVER, 1 << 20, 5000));
	ok(pair_pingpong(&p, 32, 100));
	for (int i = 0; i < 2; i++)
		assert_int_equal(spliced(p.fd[i]), before[i]);
	pair_close(&p);
}

static void withdrawn_live(void **state)
{
	(void)state;
	withdraw_live(CLIENT);
	withdraw_live(SERVER);
}

static void withdrawn_with_unread_bytes(void **state)
{
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	for (int side = 0; side < 2; side++) {
		uint64_t before = spliced(p.fd[side]);

		for (int i = 0; i < 20; i++)
			ok(pair_send(&p, side, 500));
		assert_int_equal(spliced(p.fd[side]) - before, 10000);
	}
	ok(opt_in(p.fd[CLIENT], 0));
	ok(pair_send(&p, CLIENT, 3000));
	ok(pair_send(&p, SERVER, 3000));
	ok(pair_drain(&p, CLIENT));
	ok(pair_drain(&p, SERVER));
	expect_state(p.fd[CLIENT], FASTLO_STATE_TCP);
	expect_state(p.fd[SERVER], FASTLO_STATE_TCP);
	ok(pair_pingpong(&p, 32, 1000));
	pair_close(&p);
}

static void without_fastlod(void **state)
{
	int fd, on = 1;

	(void)state;
	skip_if_served_from_outside();
	fd = tcp();
	assert_int_equal(env_sigterm_and_wait(), 0);
	fails(set(fd, FASTLO_ENABLE, &on, sizeof(on)), ENOPROTOOPT);
	check_get_unknown(fd, FASTLO_ENABLE);
	check_get_unknown(fd, FASTLO_INFO);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back),
		cmocka_unit_test(wrong_size),
		cmocka_unit_test(wrong_value),
		cmocka_unit_test(unknown_option),
		cmocka_unit_test(info_size),
		cmocka_unit_test(not_tcp),
		cmocka_unit_test(connected),
		cmocka_unit_test(connecting),
		cmocka_unit_test(bad_pointer),
		cmocka_unit_test(not_a_socket),
		cmocka_unit_test(outside_the_cgroup),
		cmocka_unit_test(inherited),
		cmocka_unit_test(withdrawn_before_connect),
		cmocka_unit_test(withdrawn_live),
		cmocka_unit_test(withdrawn_with_unread_bytes),
		cmocka_unit_test(without_fastlod),
	};

	return run_group(tests, group_up, group_down);
}
