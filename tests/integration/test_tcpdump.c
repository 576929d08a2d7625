/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tcpdump, started on an open and spliced connection: from the moment that it listens its capture holds every byte
 * that is sent, each in its place; packet sockets that could not see the connection do not disturb it.
 */
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "filter.h"

#define BULK 300000

static int ns;

struct dump {
	pid_t pid;
	char file[160], said[160];
};

static void dump_start(struct dump *d, const char *device)
{
	char command[512], text[1024];
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", command, NULL };
	int64_t until = now_ms() + PATIENCE_MS;
	int out, old;

	snprintf(d->file, sizeof(d->file), "%s/pcap", env.dir);
	snprintf(d->said, sizeof(d->said), "%s/tcpdump", env.dir);
	snprintf(command, sizeof(command), "exec tcpdump -ni %s -s128 -B16384 -U -Zroot -w %s tcp", device, d->file);
	out = open(d->said, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(out >= 0);
	ok(netns_enter(ns, &old));
	ok(proc_spawn(argv, NULL, 0, env.home, out, out, &d->pid));
	netns_leave(old);
	close(out);
	do {
		ok(file_read(d->said, text, sizeof(text)));
		if (strstr(text, "listening on"))
			return;
	} while (tick(until));
	fail_msg("tcpdump does not listen: %s", text);
}

/*
 * Bytes of payload from and to a port that the capture holds so far, without a gap; what TCP sent again counts once.
 */
static void dump_read(const struct dump *d, uint16_t port, uint64_t *ret_from, uint64_t *ret_to)
{
	uint32_t head[6], packet[4], link, seq, next[2] = { 0, 0 };
	bool seen[2] = { false, false }, back;
	uint8_t data[256];
	int32_t again;
	FILE *f = fopen(d->file, "re");

	*ret_from = *ret_to = 0;
	assert_non_null(f);
	assert_int_equal(fread(head, sizeof(head), 1, f), 1);
	/* Ethernet, or the cooked header of -i any */
	link = head[5] == 1 ? 14 : head[5] == 113 ? 16 : 20;
	while (fread(packet, sizeof(packet), 1, f) == 1) {
		const uint8_t *ip = data + link, *tcp;
		unsigned int len;

		assert_true(packet[2] <= sizeof(data));
		if (fread(data, packet[2], 1, f) != 1)
			break; /* not whole yet */
		/* -i any shows each packet leaving and coming */
		if (link == 20 && data[10] == PACKET_OUTGOING)
			continue;
		if (link == 16 && data[1] == PACKET_OUTGOING)
			continue;
		tcp = ip + (ip[0] & 15) * 4;
		len = (ip[2] << 8 | ip[3]) - (ip[0] & 15) * 4 - (tcp[12] >> 4) * 4;
		seq = (uint32_t)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
		back = (tcp[0] << 8 | tcp[1]) != port;
		if (!seen[back])
			next[back] = seq;
		seen[back] = true;
		again = (int32_t)(next[back] - seq);
		if (again < 0 || again >= (int64_t)len)
			continue; /* a gap, or nothing new */
		next[back] = seq + len;
		*(back ? ret_to : ret_from) += len - again;
	}
	fclose(f);
}

/* Ends it once it has written as much as was sent each way, and fails if it never does. */
static void dump_stop(struct dump *d, uint16_t port, uint64_t sent)
{
	int64_t until = now_ms() + PATIENCE_MS;
	uint64_t from, to;
	char text[1024];

	do {
		dump_read(d, port, &from, &to);
	} while ((from < sent || to < sent) && tick(until));
	kill(d->pid, SIGINT);
	ok(proc_wait(d->pid, PATIENCE_MS));
	ok(file_read(d->said, text, sizeof(text)));
	if (!strstr(text, "\n0 packets dropped by kernel"))
		fail_msg("tcpdump lost packets itself: %s", text);
	dump_read(d, port, &from, &to);
	assert_int_equal(from, sent);
	assert_int_equal(to, sent);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	assert_return_code(getsockname(fd, (void *)&in, &len), errno);
	return ntohs(in.sin_port);
}

static void tcpdump_on(const char *device)
{
	uint64_t before;
	struct dump d;
	struct pair p;

	ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .ns = ns }));
	for (int round = 0; round < 2; round++) {
		ok(pair_warm(&p));
		ok(pair_send(&p, CLIENT, 2000));
		before = spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]);
		dump_start(&d, device);
		ok(pair_pump(&p, CLIENT, BULK, 1400));
		ok(pair_pump(&p, SERVER, BULK, 1400));
		ok(pair_pingpong(&p, 5, 100));
		expect_reason(p.fd[CLIENT], FL_R_PACKET_SOCKET);
		expect_reason(p.fd[SERVER], FL_R_PACKET_SOCKET);
		assert_int_equal(spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]), before);
		dump_stop(&d, port_of(p.fd[CLIENT]), BULK + 500);
		ok(pair_warm(&p));
		assert_true(spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]) > before);
	}
	pair_close(&p);
}

static void tcpdump(void **state)
{
	(void)state;
	if (sh(-1, "tcpdump --version") != 0) {
		print_message("no tcpdump, skipping\n");
		skip();
	}
	tcpdump_on("lo");
	tcpdump_on("any");
}

/* A packet socket of this kind: does the pair yield to it? */
static void socket_of(const char *device, uint16_t protocol, enum kind kind, bool yields)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	struct pair p;
	int fd, old;

	ok(pair_dial(&p, &(struct dial){ .kind = kind, .opt = { true, true }, .ns = ns }));
	ok(pair_warm(&p));
	ok(netns_enter(ns, &old));
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	at.sll_ifindex = device ? (int)if_nametoindex(device) : 0;
	assert_true(!device || at.sll_ifindex > 0);
	assert_return_code(bind(fd, (void *)&at, sizeof(at)), errno);
	netns_leave(old);
	if (yields) {
		ok(pair_pingpong(&p, 5, 100));
		expect_reason(p.fd[CLIENT], FL_R_PACKET_SOCKET);
	} else {
		uint64_t before = spliced(p.fd[CLIENT]);

		ok(pair_pingpong(&p, 5, 100));
		assert_int_equal(spliced(p.fd[CLIENT]) - before, 500);
	}
	close(fd);
	ok(pair_warm(&p));
	pair_close(&p);
}

static void packet_sockets(void **state)
{
	int fd[20], old;
	struct pair p;

	(void)state;
	ok(veth_up(ns, OWN_ADDR, ns, NULL));
	socket_of(NULL, ETH_P_ALL, V4, true);
	socket_of("lo", ETH_P_ALL, V6, true);
	socket_of("lo", ETH_P_IP, V4, true);
	socket_of(NULL, ETH_P_IP, MAPPED, true);
	socket_of(NULL, ETH_P_IPV6, V6, true);
	socket_of("lo", ETH_P_IP, V6, false);
	socket_of(NULL, ETH_P_ARP, V4, false);
	socket_of("veth0", ETH_P_ALL, V4, false); /* a DHCP client's, say */
	socket_of(NULL, 0, V4, false);		  /* sends only */
	/* more than are looked at, none of them in the way: it is TCP, and not for ever */
	ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .ns = ns }));
	ok(pair_warm(&p));
	ok(netns_enter(ns, &old));
	for (int i = 0; i < 20; i++)
		assert_true((fd[i] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) >= 0);
	netns_leave(old);
	ok(pair_pingpong(&p, 5, 100));
	expect_reason(p.fd[CLIENT], FL_R_PACKET_SOCKET);
	for (int i = 0; i < 20; i++)
		close(fd[i]);
	ok(pair_warm(&p));
	pair_close(&p);
}

/* Another namespace's capture sees nothing of this one, and so does not matter. */
static void another_namespace(void **state)
{
	uint64_t before;
	struct pair p;
	int fd, other, old;

	(void)state;
	ok(netns_new(&other));
	ok(netns_enter(other, &old));
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(fd >= 0);
	netns_leave(old);
	ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .ns = ns }));
	ok(pair_warm(&p));
	before = spliced(p.fd[CLIENT]);
	ok(pair_pingpong(&p, 5, 100));
	assert_int_equal(spliced(p.fd[CLIENT]) - before, 500);
	close(fd);
	close(other);
	pair_close(&p);
}

static int up(void **state)
{
	int r = group_up(state);

	return r ? r : netns_new(&ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcpdump),
		cmocka_unit_test(packet_sockets),
		cmocka_unit_test(another_namespace),
	};

	return run_group(tests, up, group_down);
}
