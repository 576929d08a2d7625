/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each trait that splice cannot honour: from the moment it is there messages go over TCP and the sender says
 * why; from the moment it is gone they are spliced again. The stream is one and intact throughout.
 */
#include "check.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

/* One exchange of messages large enough for every SO_RCVLOWAT here */
static void talk(struct pair *p)
{
	ok(pair_pingpong(p, 10, 400));
	ok(pair_pump(p, CLIENT, 60000, 1500));
	ok(pair_pump(p, SERVER, 60000, 1500));
}

static void check_yields(struct pair *p, int from, unsigned int reason)
{
	uint64_t before = spliced(p->fd[from]);
	struct fastlo_info i;

	talk(p);
	i = info(p->fd[from]);
	if (i.reason != reason)
		print_error("reason '%s', expected '%s'\n", reason_name(i.reason), reason_name(reason));
	assert_int_equal(i.reason, reason);
	assert_int_equal(i.tx_spliced_bytes, before);
	assert_true(i.state == FASTLO_STATE_YIELDING || i.state == FASTLO_STATE_TCP ||
		    i.state == FASTLO_STATE_DRAINING);
}

static void check_splices(struct pair *p, int from)
{
	uint64_t before;

	ok(pair_warm(p));
	before = spliced(p->fd[from]);
	talk(p);
	assert_true(spliced(p->fd[from]) - before > 50000);
	assert_int_equal(info(p->fd[from]).state, FASTLO_STATE_SPLICED);
}

/* Transmit timestamps nobody fetches count as the socket's unread bytes. */
static void fetch_errors(int fd)
{
	char control[512], data[256];
	struct iovec v = { data, sizeof(data) };

	for (;;) {
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };

		if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
	}
}

struct trait {
	int level, option;
	const void *on, *off;
	socklen_t on_len, off_len;
	unsigned int reason;
	bool of_sender;
	int remove; /* another option takes it away */
};

static void option_yields(const struct trait *t)
{
	struct pair p;

	for (int from = 0; from < 2; from++) {
		int fd, yes = t->remove ? t->remove : t->option;

		ok(pair_open(&p, from == CLIENT ? V4 : V6, true, true));
		check_splices(&p, from);
		fd = p.fd[t->of_sender ? from : !from];
		for (int round = 0; round < 3; round++) {
			/* spliced bytes are unread when it comes, TCP bytes when it goes */
			ok(pair_send(&p, from, 2000));
			if (setsockopt(fd, t->level, t->option, t->on, t->on_len) < 0) {
				if (errno != EOPNOTSUPP && errno != ENOPROTOOPT)
					fail_msg("setsockopt: %s", strerror(errno));
				pair_close(&p);
				print_message("not in this kernel\n");
				skip();
			}
			ok(pair_drain(&p, from));
			check_yields(&p, from, t->reason);
			ok(pair_send(&p, from, 2000));
			assert_return_code(setsockopt(fd, t->level, yes, t->off, t->off_len), errno);
			ok(pair_drain(&p, from));
			fetch_errors(fd);
			check_splices(&p, from);
		}
		pair_close(&p);
	}
}

#define INT(n) .on = &(const int){ n }, .on_len = sizeof(int)
#define OFF(n) .off = &(const int){ n }, .off_len = sizeof(int)

static void socket_filter(void **state)
{
	struct sock_filter all[] = { { BPF_RET | BPF_K, 0, 0, 0xffffffff } };
	struct sock_fprog prog = { 1, all };

	(void)state;
	option_yields(&(struct trait){ SOL_SOCKET, SO_ATTACH_FILTER, .on = &prog, .on_len = sizeof(prog), OFF(0),
				       .reason = FL_R_SOCKET_FILTER, .remove = SO_DETACH_FILTER });
}

/* By SO_ATTACH_BPF, and locked: it stays for as long as the socket, and so does TCP; what it drops does not arrive. */
static void socket_filter_locked(void **state)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0xffff },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int all = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "fl_test_all", "GPL", insns, 2, NULL), none, on = 1;
	uint64_t before;
	struct pair p;

	(void)state;
	insns[0].imm = 0;
	none = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "fl_test_none", "GPL", insns, 2, NULL);
	assert_true(all >= 0 && none >= 0);
	ok(pair_open(&p, V4, true, true));
	check_splices(&p, CLIENT);
	assert_return_code(setsockopt(p.fd[SERVER], SOL_SOCKET, SO_ATTACH_BPF, &none, sizeof(none)), errno);
	ok(pair_send(&p, CLIENT, 2000));
	expect_reason(p.fd[CLIENT], FL_R_SOCKET_FILTER);
	assert_int_equal(pair_try_recv(&p, CLIENT, 2000, 0), -EAGAIN);
	assert_return_code(setsockopt(p.fd[SERVER], SOL_SOCKET, SO_ATTACH_BPF, &all, sizeof(all)), errno);
	ok(pair_drain(&p, CLIENT)); /* TCP sent it again */
	assert_return_code(setsockopt(p.fd[SERVER], SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)), errno);
	fails(setsockopt(p.fd[SERVER], SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof(on)), EPERM);
	check_yields(&p, CLIENT, FL_R_SOCKET_FILTER);
	/* the other direction's receiver has none */
	before = spliced(p.fd[SERVER]);
	ok(pair_pingpong(&p, 10, 400));
	assert_true(spliced(p.fd[SERVER]) - before >= 3600);
	pair_close(&p);
	close(all);
	close(none);
}

static void rcvlowat(void **state)
{
	(void)state;
	option_yields(&(struct trait){ SOL_SOCKET, SO_RCVLOWAT, INT(50), OFF(1), .reason = FL_R_RCVLOWAT });
}

static void peek_off(void **state)
{
	(void)state;
	option_yields(&(struct trait){ SOL_SOCKET, SO_PEEK_OFF, INT(0), OFF(-1), .reason = FL_R_PEEK_OFF });
}

static void tcp_inq(void **state)
{
	(void)state;
	option_yields(&(struct trait){ IPPROTO_TCP, TCP_INQ, INT(1), OFF(0), .reason = FL_R_TCP_INQ });
}

static void rx_timestamp(void **state)
{
	(void)state;
	option_yields(&(struct trait){ SOL_SOCKET, SO_TIMESTAMP, INT(1), OFF(0), .reason = FL_R_RX_TIMESTAMP });
	option_yields(&(struct trait){ SOL_SOCKET, SO_TIMESTAMPNS, INT(1), OFF(0), .reason = FL_R_RX_TIMESTAMP });
	option_yields(&(struct trait){ SOL_SOCKET, SO_TIMESTAMPING,
				       INT(SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE), OFF(0),
				       .reason = FL_R_RX_TIMESTAMP });
}

static void zerocopy(void **state)
{
	(void)state;
	option_yields(&(struct trait){ SOL_SOCKET, SO_ZEROCOPY, INT(1), OFF(0), .reason = FL_R_ZEROCOPY,
				       .of_sender = true });
}

static void oobinline(void **state)
{
	(void)state;
	option_yields(&(struct trait){ SOL_SOCKET, SO_OOBINLINE, INT(1), OFF(0), .reason = FL_R_OOBINLINE });
}

static void bound_device(void **state)
{
	(void)state;
	for (int of_sender = 0; of_sender < 2; of_sender++)
		option_yields(&(struct trait){ SOL_SOCKET, SO_BINDTODEVICE, .on = "lo", .on_len = 3, .off = "", .off_len = 1,
					       .reason = FL_R_BOUND_DEVICE, .of_sender = of_sender });
}

static void pacing(void **state)
{
	(void)state;
	option_yields(&(struct trait){ SOL_SOCKET, SO_MAX_PACING_RATE, INT(1000000000), OFF(-1),
				       .reason = FL_R_PACING, .of_sender = true });
}

/* For good: once urgent data was sent the connection stays on TCP. */
static void msg_oob(void **state)
{
	struct pair p;
	int on = 1;

	(void)state;
	for (int from = 0; from < 2; from++) {
		uint64_t before;

		ok(pair_open(&p, V4, true, true));
		check_splices(&p, from);
		ok(pair_send(&p, from, 3000));
		before = spliced(p.fd[from]);
		assert_int_equal(ok(pair_try_send(&p, from, 10, MSG_OOB)), 10);
		assert_int_equal(spliced(p.fd[from]), before);
		ok(pair_send(&p, from, 3000));
		/* only now: it would be a reason of its own */
		assert_return_code(setsockopt(p.fd[!from], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)), errno);
		ok(pair_drain(&p, from));
		check_yields(&p, from, FL_R_MSG_OOB);
		assert_int_equal(spliced(p.fd[from]), before);
		pair_close(&p);
	}
}

/* Lets everything through; what counts is that it would have been asked. */
static int load_cgroup_skb(void)
{
	const struct bpf_insn all[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "fl_test_all", "GPL", all, 2, NULL);
}

static void filter_on(const char *cgroup, enum bpf_attach_type type, unsigned int flags)
{
	int prog = load_cgroup_skb(), dir = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pair p;

	assert_true(prog >= 0 && dir >= 0);
	ok(pair_open(&p, V4, true, true));
	for (int round = 0; round < 2; round++) {
		check_splices(&p, CLIENT);
		check_splices(&p, SERVER);
		ok(pair_send(&p, CLIENT, 2000));
		ok(bpf_prog_attach(prog, dir, type, flags));
		ok(pair_send(&p, CLIENT, 2000));
		ok(pair_drain(&p, CLIENT));
		check_yields(&p, CLIENT, FL_R_CGROUP_FILTER);
		check_yields(&p, SERVER, FL_R_CGROUP_FILTER);
		ok(bpf_prog_detach2(prog, dir, type));
	}
	check_splices(&p, CLIENT);
	pair_close(&p);
	close(prog);
	close(dir);
}

static void cgroup_filter(void **state)
{
	(void)state;
	filter_on(env.app, BPF_CGROUP_INET_INGRESS, 0);
	filter_on(env.app, BPF_CGROUP_INET_EGRESS, 0);
	filter_on(env.app, BPF_CGROUP_INET_EGRESS, BPF_F_ALLOW_MULTI);
	filter_on(env.cgroup, BPF_CGROUP_INET_INGRESS, BPF_F_ALLOW_MULTI);
}

/* Only one end is in the filtered cgroup. */
static void cgroup_filter_of_one_end(void **state)
{
	int prog = load_cgroup_skb(), dir;
	struct dial d = { .kind = V4, .opt = { true, true } };
	struct pair p = { .fd = { -1, -1 }, .seed = 31 };
	char sub[512];
	uint16_t port;

	(void)state;
	snprintf(sub, sizeof(sub), "%s/filtered", env.cgroup);
	assert_return_code(mkdir(sub, 0755), errno);
	dir = open(sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(prog >= 0 && dir >= 0);
	ok(env_join(sub));
	ok(pair_listen(&d, &p.listener, &port));
	ok(env_join(env.app));
	ok(pair_connect(&d, port, &p.fd[CLIENT]));
	ok(pair_accept(&p));
	check_splices(&p, CLIENT);
	ok(bpf_prog_attach(prog, dir, BPF_CGROUP_INET_INGRESS, 0));
	check_yields(&p, CLIENT, FL_R_CGROUP_FILTER);
	check_yields(&p, SERVER, FL_R_CGROUP_FILTER);
	ok(bpf_prog_detach2(prog, dir, BPF_CGROUP_INET_INGRESS));
	check_splices(&p, CLIENT);
	check_splices(&p, SERVER);
	pair_close(&p);
	close(prog);
	close(dir);
	rmdir(sub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socket_filter),
		cmocka_unit_test(socket_filter_locked),
		cmocka_unit_test(rcvlowat),
		cmocka_unit_test(peek_off),
		cmocka_unit_test(tcp_inq),
		cmocka_unit_test(rx_timestamp),
		cmocka_unit_test(zerocopy),
		cmocka_unit_test(oobinline),
		cmocka_unit_test(bound_device),
		cmocka_unit_test(pacing),
		cmocka_unit_test(msg_oob),
		cmocka_unit_test(cgroup_filter),
		cmocka_unit_test(cgroup_filter_of_one_end),
	};

	return run_group(tests, group_up, group_down);
}
