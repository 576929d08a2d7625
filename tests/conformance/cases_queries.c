/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Groups 25 and 26: what a socket reports of its bytes (TCP_INFO, timestamps, control messages, identifiers), and the
 * options that need more than a set and a get. The plain options are in cases_options.c.
 */
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "endings.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#define INFO_BYTES 1000

/* One recvmsg: its bytes, and the control messages by level and type; those of 4 bytes by value, if values. */
static long get_msg(struct conform *c, int fd, size_t len, int flags, bool values)
{
	char data[256], control[512];
	struct iovec v = { data, len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	long r;

	errno = 0;
	r = recvmsg(fd, &m, flags | MSG_DONTWAIT);
	said_bytes(c, "recvmsg", data, r);
	if (r < 0)
		return r;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		int value;

		memcpy(&value, CMSG_DATA(h), sizeof(value));
		if (values && h->cmsg_len == CMSG_LEN(sizeof(value)))
			say(c, "cmsg %d/%d: %d", h->cmsg_level, h->cmsg_type, value);
		else
			say(c, "cmsg %d/%d: %zu bytes", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len);
	}
	return r;
}

/* ---- 25 */
static struct tcp_info tcp_info(int fd)
{
	struct tcp_info i = { 0 };
	socklen_t len = sizeof(i);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len);
	return i;
}

static void tcp_info_bytes(struct conform *c)
{
	struct tcp_info tx = tcp_info(c->tx), rx = tcp_info(c->rx);

	for (int i = 0; i < 4; i++)
		stream(c, c->from, INFO_BYTES, INFO_BYTES);
	arrived(c, c->tx);
	say(c, "bytes acked: %llu", (unsigned long long)(tcp_info(c->tx).tcpi_bytes_acked - tx.tcpi_bytes_acked));
	say(c, "bytes sent: %llu", (unsigned long long)(tcp_info(c->tx).tcpi_bytes_sent - tx.tcpi_bytes_sent));
	say(c, "bytes received: %llu", (unsigned long long)(tcp_info(c->rx).tcpi_bytes_received - rx.tcpi_bytes_received));
	say(c, "data segments in: %d", tcp_info(c->rx).tcpi_data_segs_in != rx.tcpi_data_segs_in);
}

static void tcp_info_state(struct conform *c)
{
	say(c, "state %d, %d", tcp_info(c->tx).tcpi_state, tcp_info(c->rx).tcpi_state);
	shutdown(c->tx, SHUT_WR);
	await(c, c->rx, POLLRDHUP);
	say(c, "state %d, %d", tcp_info(c->tx).tcpi_state, tcp_info(c->rx).tcpi_state);
	say(c, "unacked %u, not sent %u", tcp_info(c->tx).tcpi_unacked, tcp_info(c->tx).tcpi_notsent_bytes);
}

/* Quiet. The kernel begins to stamp packets some time after the first socket asked: until it does. */
static void until_stamped(struct conform *c)
{
	char data[8], control[64];
	struct iovec v = { data, sizeof(data) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control };
	int64_t until = now_ms() + PATIENCE_MS;

	opt(c->tx, SOL_SOCKET, SO_TIMESTAMP, 1);
	do {
		send(c->rx, "stamp me", 8, MSG_DONTWAIT);
		await(c, c->tx, POLLIN);
		m.msg_controllen = sizeof(control);
		recvmsg(c->tx, &m, MSG_DONTWAIT);
	} while (!m.msg_controllen && tick(until));
}

static void timestamps(struct conform *c)
{
	static const int names[] = { SO_TIMESTAMP, SO_TIMESTAMPNS };

	until_stamped(c);
	for (int i = 0; i < 2; i++) {
		opt(c->rx, SOL_SOCKET, names[i], 1);
		put(c, c->tx, "stamped");
		await(c, c->rx, POLLIN);
		get_msg(c, c->rx, 3, MSG_PEEK, false);
		get_msg(c, c->rx, 64, 0, false);
		opt(c->rx, SOL_SOCKET, names[i], 0);
	}
	opt(c->rx, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
	put(c, c->tx, "stamped");
	await(c, c->rx, POLLIN);
	get_msg(c, c->rx, 64, 0, false);
}

static void timestamps_of_sends(struct conform *c)
{
	opt(c->tx, SOL_SOCKET, SO_TIMESTAMPING,
	    SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID);
	put(c, c->tx, "stamped");
	await(c, c->tx, 0);
	look(c, c->tx);
	get_msg(c, c->tx, 64, MSG_ERRQUEUE, false);
	get(c, c->rx, 64, 0);
}

/* The socket asks for reports only; the message asks for its own stamp. */
static void timestamp_of_one_send(struct conform *c)
{
	union {
		struct cmsghdr h;
		char mem[CMSG_SPACE(sizeof(int))];
	} u = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SO_TIMESTAMPING } };
	int which = SOF_TIMESTAMPING_TX_ACK;
	struct iovec v = { "stamped", 7 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.mem, .msg_controllen = sizeof(u.mem) };

	memcpy(CMSG_DATA(&u.h), &which, sizeof(which));
	opt(c->tx, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY);
	DO(c, sendmsg(c->tx, &m, MSG_DONTWAIT));
	await(c, c->rx, POLLIN);
	get(c, c->rx, 64, 0);
	await(c, c->tx, 0);
	look(c, c->tx);
	get_msg(c, c->tx, 64, MSG_ERRQUEUE, false);
}

static void inq(struct conform *c)
{
	opt(c->rx, IPPROTO_TCP, TCP_INQ, 1);
	put(c, c->tx, "count me");
	arrived(c, c->tx);
	get_msg(c, c->rx, 3, 0, true);
	get_msg(c, c->rx, 64, 0, true);
	put(c, c->tx, "the end");
	shutdown(c->tx, SHUT_WR);
	await(c, c->rx, POLLRDHUP);
	get_msg(c, c->rx, 64, 0, true);
	get_msg(c, c->rx, 64, 0, true);
}

/* With spliced bytes unread when it is switched on. */
static void inq_late(struct conform *c)
{
	put(c, c->tx, "count me");
	arrived(c, c->tx);
	opt(c->rx, IPPROTO_TCP, TCP_INQ, 1);
	get_msg(c, c->rx, 3, 0, true);
	get_msg(c, c->rx, 64, 0, true);
}

static void identifiers(struct conform *c)
{
	uint64_t a = 0, b = 1;
	socklen_t len = sizeof(a);
	int cpu = -2;

	getsockopt(c->tx, SOL_SOCKET, SO_COOKIE, &a, &len);
	stream(c, c->from, 10000, 500);
	getsockopt(c->tx, SOL_SOCKET, SO_COOKIE, &b, &len);
	say(c, "cookie stays: %d", a == b);
	len = sizeof(cpu);
	DO(c, getsockopt(c->rx, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &len));
	say(c, "a CPU: %d", cpu >= 0);
}

/* What the last packet had: IPv6 sockets keep it for a getsockopt. */
static void packet_options(struct conform *c)
{
	char mem[256] = "";
	socklen_t len = sizeof(mem);

	opt(c->p.fd[SERVER], IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	opt(c->p.fd[SERVER], IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1);
	stream(c, CLIENT, 1000, 100);
	if (said(c, "get", getsockopt(c->p.fd[SERVER], IPPROTO_IPV6, IPV6_2292PKTOPTIONS, mem, &len)) == 0)
		say_hash(c, "packet options", mem, len);
}

/* ---- 26 */
static void zerocopy_send(struct conform *c)
{
	static char data[20000];

	opt(c->tx, SOL_SOCKET, SO_ZEROCOPY, 1);
	for (int i = 0; i < 2; i++) {
		DO(c, send(c->tx, data, sizeof(data), MSG_ZEROCOPY | MSG_DONTWAIT));
		arrived(c, c->tx);
		for (long n = 0, r; n < (long)sizeof(data) && await(c, c->rx, POLLIN); n += r > 0 ? r : 0) {
			char mem[20000];

			r = recv(c->rx, mem, sizeof(mem), MSG_DONTWAIT);
			if (r <= 0)
				break;
		}
		await(c, c->tx, 0);
		get_msg(c, c->tx, 64, MSG_ERRQUEUE, false);
	}
	/* without the option it is an ordinary send */
	opt(c->tx, SOL_SOCKET, SO_ZEROCOPY, 0);
	DO(c, send(c->tx, data, 5, MSG_ZEROCOPY | MSG_DONTWAIT));
	await(c, c->rx, POLLIN);
	get(c, c->rx, 64, 0);
}

static void zerocopy_receive(struct conform *c)
{
	struct tcp_zerocopy_receive z = { .length = 65536 };
	socklen_t len = sizeof(z);
	void *at = mmap(NULL, 65536, PROT_READ, MAP_SHARED, c->rx, 0);

	if (at == MAP_FAILED)
		skip_case(c, "a socket cannot be mapped");
	put(c, c->tx, "hello");
	arrived(c, c->tx);
	z.address = (uint64_t)(uintptr_t)at;
	DO(c, getsockopt(c->rx, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &z, &len));
	say(c, "length %u skip %u inq %u err %d", z.length, z.recv_skip_hint, z.inq, z.err);
	get(c, c->rx, 64, 0);
}

static void filter_drops(struct conform *c)
{
	struct sock_filter none[] = { { BPF_RET | BPF_K, 0, 0, 0 } };
	struct sock_fprog prog = { 1, none };

	DO(c, setsockopt(c->rx, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	put(c, c->tx, "dropped at first");
	look(c, c->rx);
	get(c, c->rx, 64, 0);
	DO(c, setsockopt(c->rx, SOL_SOCKET, SO_DETACH_FILTER, &prog, sizeof(int)));
	await(c, c->rx, POLLIN); /* sent again by TCP */
	get(c, c->rx, 64, 0);
	stream(c, c->from, 100000, 1000);
}

static void ktls(struct conform *c)
{
	struct tls12_crypto_info_aes_gcm_128 keys = { .info = { TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128 } };

	if (setsockopt(c->tx, IPPROTO_TCP, TCP_ULP, "tls", 3) < 0 && errno == ENOENT)
		skip_case(c, "this kernel has no kTLS");
	setsockopt(c->rx, IPPROTO_TCP, TCP_ULP, "tls", 3);
	DO(c, setsockopt(c->tx, SOL_TLS, TLS_TX, &keys, sizeof(keys)));
	DO(c, setsockopt(c->rx, SOL_TLS, TLS_RX, &keys, sizeof(keys)));
	put(c, c->tx, "secret");
	await(c, c->rx, POLLIN);
	get(c, c->rx, 64, 0);
}

static void repair(struct conform *c)
{
	socklen_t len = sizeof(int);
	int queue = TCP_RECV_QUEUE, seq;

	put(c, c->tx, "unread");
	arrived(c, c->tx);
	opt(c->rx, IPPROTO_TCP, TCP_REPAIR, 1);
	DO(c, setsockopt(c->rx, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)));
	DO(c, getsockopt(c->rx, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len));
	get(c, c->rx, 64, MSG_PEEK);
	opt(c->rx, IPPROTO_TCP, TCP_REPAIR, 0);
	get(c, c->rx, 64, 0);
	stream(c, CLIENT, 10000, 1000);
	stream(c, SERVER, 10000, 1000);
}

/* Both ends agree on a key in mid-stream. */
static void md5_keys(struct conform *c)
{
	for (int side = 0; side < 2; side++) {
		struct tcp_md5sig m = { .tcpm_keylen = 3, .tcpm_key = "key" };
		socklen_t len = sizeof(m.tcpm_addr);

		getpeername(c->p.fd[side], (void *)&m.tcpm_addr, &len);
		said(c, "set", setsockopt(c->p.fd[side], IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m)));
	}
	stream(c, CLIENT, 10000, 1000);
	stream(c, SERVER, 10000, 1000);
}

/* An IPv6 socket with an IPv4 peer becomes an IPv4 one; others are refused. */
static void address_form(struct conform *c)
{
	int to = AF_INET;

	DO(c, setsockopt(c->p.fd[SERVER], IPPROTO_IPV6, IPV6_ADDRFORM, &to, sizeof(to)));
	stream(c, CLIENT, 10000, 1000);
	stream(c, SERVER, 10000, 1000);
}

#define ANOTHER_WAY "splice(2), and other readers that bypass recvmsg"

CONFORM_CASES(queries, CASE(25, tcp_info_bytes), CASE(25, tcp_info_state), CASE(25, timestamps), CASE(25, timestamps_of_sends),
	      CASE_OBSERVED_TOO(25, timestamp_of_one_send, "Control messages of a send"), CASE(25, inq),
	      CASE_OBSERVED_TOO(25, inq_late, "TCP_INQ set while spliced bytes are unread"), CASE(25, identifiers),
	      CASE(25, packet_options), CASE(26, zerocopy_send), CASE_OBSERVED_TOO(26, zerocopy_receive, ANOTHER_WAY),
	      CASE(26, filter_drops), CASE_OBSERVED_TOO(26, ktls, "kTLS cannot be switched on"), CASE(26, repair), CASE(26, md5_keys),
	      CASE_OBSERVED_TOO(24, address_form, "IPV6_ADDRFORM is busy"))
