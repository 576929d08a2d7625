/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which two sockets become a pair: who opted in, by what address, in which network namespace, over which
 * route, and what happens when the table has no room.
 */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static void check_plain(struct pair *p)
{
	ok(pair_pump(p, CLIENT, 200000, 3000));
	ok(pair_pump(p, SERVER, 200000, 3000));
	ok(pair_pingpong(p, 20, 64));
	assert_int_equal(spliced(p->fd[CLIENT]), 0);
	assert_int_equal(spliced(p->fd[SERVER]), 0);
}

/* Both directions carry bytes past TCP, and the other end's counters agree. */
static void check_spliced(struct pair *p)
{
	ok(pair_warm(p));
	for (int from = 0; from < 2; from++) {
		struct fastlo_info a = info(p->fd[from]), b;

		ok(pair_pump(p, from, 500000, 3000));
		b = info(p->fd[from]);
		assert_true(b.tx_spliced_bytes - a.tx_spliced_bytes + b.tx_tcp_bytes - a.tx_tcp_bytes == 500000);
		assert_true(b.tx_spliced_bytes - a.tx_spliced_bytes >= 450000);
		assert_int_equal(info(p->fd[!from]).rx_spliced_bytes, b.tx_spliced_bytes);
		assert_int_equal(info(p->fd[!from]).pair, b.pair);
	}
}

static void both_opted_in(void **state)
{
	struct pair p;

	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		ok(pair_open(&p, k, true, true));
		check_spliced(&p);
		pair_close(&p);
	}
}

static void one_opted_in(void **state)
{
	struct pair p;

	(void)state;
	for (enum kind k = 0; k < KINDS; k++)
		for (int side = 0; side < 2; side++) {
			ok(pair_open(&p, k, side == CLIENT, side == SERVER));
			check_plain(&p);
			expect_reason(p.fd[side], FL_R_PEER_NOT_OPTED_IN);
			expect_state(p.fd[side], FASTLO_STATE_TCP);
			assert_int_equal(info(p.fd[!side]).state, FASTLO_STATE_OFF);
			check_plain(&p);
			pair_close(&p);
		}
}

static void neither_opted_in(void **state)
{
	struct pair p;

	(void)state;
	for (enum kind k = 0; k < KINDS; k++) {
		ok(pair_open(&p, k, false, false));
		check_plain(&p);
		for (int side = 0; side < 2; side++)
			assert_int_equal(info(p.fd[side]).state, FASTLO_STATE_OFF);
		pair_close(&p);
	}
}

static void same_tuple_in_two_netns(void **state)
{
	struct dial d = { .kind = V4, .opt = { true, true }, .port = { 20001, 20002 } };
	struct pair p[2];
	int ns[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		ok(netns_new(&ns[i]));
		d.ns = ns[i];
		ok(pair_dial(&p[i], &d));
	}
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 2; i++) {
			ok(pair_send(&p[i], CLIENT, 300 + i));
			ok(pair_send(&p[!i], SERVER, 200 + i));
			ok(pair_drain(&p[!i], SERVER));
			ok(pair_drain(&p[i], CLIENT));
		}
	for (int i = 0; i < 2; i++)
		check_spliced(&p[i]);
	assert_true(info(p[0].fd[CLIENT]).pair != info(p[1].fd[CLIENT]).pair);
	for (int i = 0; i < 2; i++) {
		pair_close(&p[i]);
		close(ns[i]);
	}
}

static void veth_is_not_local(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(20003) };
	struct pair p = { .fd = { -1, -1 }, .seed = 77 };
	int ns[2], old;

	(void)state;
	for (int i = 0; i < 2; i++)
		ok(netns_new(&ns[i]));
	ok(veth_up(ns[CLIENT], "10.78.0.1", ns[SERVER], "10.78.0.2"));
	ok(netns_enter(ns[SERVER], &old));
	p.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	netns_leave(old);
	inet_pton(AF_INET, "10.78.0.2", &addr.sin_addr);
	assert_return_code(bind(p.listener, (void *)&addr, sizeof(addr)), errno);
	ok(opt_in(p.listener, 1));
	assert_return_code(listen(p.listener, 1), errno);
	ok(netns_enter(ns[CLIENT], &old));
	p.fd[CLIENT] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	netns_leave(old);
	ok(opt_in(p.fd[CLIENT], 1));
	fails(connect(p.fd[CLIENT], (void *)&addr, sizeof(addr)), EINPROGRESS);
	ok(pair_accept(&p));
	check_plain(&p);
	for (int i = 0; i < 2; i++) {
		expect_reason(p.fd[i], FL_R_NOT_LOCAL);
		expect_state(p.fd[i], FASTLO_STATE_TCP);
		close(ns[i]);
	}
	pair_close(&p);
}

static void self_connect(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);
	struct pair self = { .fd = { fd, fd }, .listener = -1, .seed = 5 };
	char in[64];

	(void)state;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_return_code(bind(fd, (void *)&addr, sizeof(addr)), errno);
	assert_return_code(getsockname(fd, (void *)&addr, &len), errno);
	ok(opt_in(fd, 1));
	if (connect(fd, (void *)&addr, sizeof(addr)) < 0)
		assert_int_equal(errno, EINPROGRESS);
	expect_reason(fd, FL_R_SELF_CONNECT);
	for (int i = 0; i < 20; i++) {
		ok(pair_send(&self, CLIENT, 64));
		ok(pair_drain(&self, CLIENT));
	}
	fails(recv(fd, in, sizeof(in), MSG_DONTWAIT), EAGAIN);
	assert_int_equal(info(fd).state, FASTLO_STATE_TCP);
	assert_int_equal(spliced(fd), 0);
	close(fd);
}

static void tuple_reused_at_once(void **state)
{
	struct dial d = { .kind = V4, .opt = { true, true }, .port = { 20011, 20012 } };
	struct linger reset = { .l_onoff = 1 };
	uint64_t last = 0;
	struct pair p;

	(void)state;
	ok(netns_own());
	d.ns = netns_own();
	for (int i = 0; i < 100; i++) {
		ok(pair_dial(&p, &d));
		ok(pair_warm(&p));
		assert_true(info(p.fd[CLIENT]).pair != last);
		last = info(p.fd[CLIENT]).pair;
		/* some leave spliced bytes unread behind */
		if (i % 3 == 0)
			ok(pair_send(&p, i % 2, 5000));
		/* the one that closes first; no TIME_WAIT, so that the next round has the tuple */
		for (int side = 0; side < 2; side++)
			setsockopt(p.fd[side], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(p.fd[i % 2]);
		p.fd[i % 2] = -1;
		pair_close(&p);
	}
}

static void list_shows_the_pair(void **state)
{
	struct json_object *list, *found = NULL, *ends, *v;
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	check_spliced(&p);
	assert_int_equal(env_ctl(&list, "list", NULL), 0);
	assert_true(json_object_is_type(list, json_type_array));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		if (json_object_object_get_ex(one, "id", &v) &&
		    json_object_get_uint64(v) == info(p.fd[CLIENT]).pair)
			found = one;
	}
	assert_non_null(found);
	assert_true(json_object_object_get_ex(found, "state", &v));
	assert_string_equal(json_object_get_string(v), "spliced");
	assert_true(json_object_object_get_ex(found, "endpoints", &ends));
	assert_int_equal(json_object_array_length(ends), 2);
	for (int i = 0; i < 2; i++) {
		assert_true(json_object_object_get_ex(json_object_array_get_idx(ends, i), "tx_spliced_bytes", &v));
		assert_true(json_object_get_int64(v) >= 450000);
		assert_true(json_object_object_get_ex(json_object_array_get_idx(ends, i), "origin", &v));
		assert_string_equal(json_object_get_string(v), "socket");
	}
	json_object_put(list);
	pair_close(&p);
}

static void table_full(void **state)
{
	struct pair p[6];

	(void)state;
	env_down();
	assert_int_equal(env_up("max_pairs = 2\nmax_pairs_per_uid = 0\n"), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 6; i++)
			ok(pair_open(&p[i], i % 2 ? V6 : V4, true, true));
		for (int i = 0; i < 2; i++)
			check_spliced(&p[i]);
		for (int i = 2; i < 6; i++) {
			check_plain(&p[i]);
			for (int side = 0; side < 2; side++) {
				expect_reason(p[i].fd[side], FL_R_TABLE_FULL);
				assert_int_equal(info(p[i].fd[side]).state, FASTLO_STATE_TCP);
			}
		}
		/* every slot comes back: the next round has room for two again */
		for (int i = 0; i < 6; i++)
			pair_close(&p[i]);
	}
	assert_true(env_stat("reasons.table_full") >= 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_opted_in),
		cmocka_unit_test(one_opted_in),
		cmocka_unit_test(neither_opted_in),
		cmocka_unit_test(same_tuple_in_two_netns),
		cmocka_unit_test(veth_is_not_local),
		cmocka_unit_test(self_connect),
		cmocka_unit_test(tuple_reused_at_once),
		cmocka_unit_test(list_shows_the_pair),
		cmocka_unit_test(table_full),
	};

	return run_group(tests, group_up, group_down);
}
