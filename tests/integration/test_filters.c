/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's own filters, set with the host's own tools, on a connection that is open and spliced: from the moment
 * that the tool returns, each byte sent passes the filter, and the pair says why; one that drops starves the
 * receiver; without it the pair is spliced again. The stream is one and intact throughout.
 */
#include "check.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/syscall.h>

#include "filter.h"
#include "traffic.h"

#define TCX_INGRESS 46 /* enum bpf_attach_type, Linux 6.6 */
#define TCX_EGRESS 47
#define MESSAGE 1500
#define BULK 300000

/*
 * One way to filter. attach, drop, accept and detach are shell commands ("@" is the program, pinned); count prints
 * "packets bytes" of all that was seen. A probe counts by itself.
 */
struct filter {
	const char *name, *needs;
	enum kind kind;
	unsigned int reason, headers;
	const char *attach, *drop, *accept, *detach, *count;
	enum bpf_prog_type program; /* 0: none */
	int tcx;
};

static int ns;
static struct probe probe;
static int tcx_link = -1;

/* bpf_link_create() of libbpf 1.1 does not know tcx */
static int attach_tcx(int type)
{
	struct {
		uint32_t prog, ifindex, type, flags;
		uint64_t pad[4];
	} attr = { probe.prog, 1, type, 0, { 0 } };
	int old;

	ok(netns_enter(ns, &old));
	tcx_link = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	netns_leave(old);
	return tcx_link < 0 ? errno : 0;
}

static void run(const struct filter *f, const char *command)
{
	char text[1024];
	size_t n = 0;

	for (; command && *command && n + 400 < sizeof(text); command++) {
		if (*command == '@')
			n += snprintf(text + n, sizeof(text) - n, "%s/probe", env.bpffs);
		else
			text[n++] = *command;
	}
	text[n] = '\0';
	if (n && sh(ns, "%s", text) != 0)
		fail_msg("%s: '%s': %s", f->name, text, sh_said);
}

static void attach(const struct filter *f)
{
	if (!f->tcx) {
		run(f, f->attach);
		return;
	}
	if (attach_tcx(f->tcx) == EINVAL) {
		print_message("no tcx in this kernel (Linux 6.6)\n");
		skip();
	}
	assert_true(tcx_link >= 0);
}

static void detach(const struct filter *f)
{
	if (tcx_link >= 0)
		close(tcx_link);
	tcx_link = -1;
	run(f, f->detach);
}

static void drop(const struct filter *f, bool on)
{
	if (f->program)
		ok(probe_drop(&probe, on));
	else
		run(f, on ? f->drop : f->accept);
}

static uint64_t payload(const struct filter *f, uint64_t *ret_packets)
{
	unsigned long long packets = 0, bytes = 0;

	if (f->program) {
		*ret_packets = probe_packets(&probe);
		return probe_payload(&probe, f->headers);
	}
	run(f, f->count);
	if (sscanf(sh_said, "%llu %llu", &packets, &bytes) != 2)
		fail_msg("%s: cannot read '%s'", f->name, sh_said);
	*ret_packets = packets;
	return bytes - packets * f->headers;
}

static void setup(const struct filter *f, struct pair *p)
{
	if (f->needs && sh(ns, "%s", f->needs) != 0) {
		print_message("%s: '%s': %s, skipping\n", f->name, f->needs, sh_said);
		skip();
	}
	if (f->program) {
		ok(probe_load(&probe, f->program));
		sh(-1, "rm -f %s/probe", env.bpffs);
		char path[256];

		snprintf(path, sizeof(path), "%s/probe", env.bpffs);
		assert_return_code(bpf_obj_pin(probe.prog, path), errno);
	}
	ok(pair_dial(p, &(struct dial){ .kind = f->kind, .opt = { true, true }, .ns = ns }));
	ok(pair_warm(p));
}

static void teardown(const struct filter *f, struct pair *p)
{
	pair_close(p);
	if (f->program)
		probe_close(&probe);
}

static void splices(struct pair *p)
{
	uint64_t before;

	ok(pair_warm(p));
	before = spliced(p->fd[CLIENT]) + spliced(p->fd[SERVER]);
	ok(pair_pump(p, CLIENT, 60000, MESSAGE));
	ok(pair_pump(p, SERVER, 60000, MESSAGE));
	assert_true(spliced(p->fd[CLIENT]) + spliced(p->fd[SERVER]) - before > 100000);
}

/* Every byte sent after the attach was counted, and nothing was spliced. */
static void counts_all(const struct filter *f)
{
	uint64_t seen, packets, before;
	struct pair p;

	setup(f, &p);
	for (int round = 0; round < 2; round++) {
		splices(&p);
		ok(pair_send(&p, CLIENT, 2000)); /* spliced and unread */
		before = spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]);
		attach(f);
		seen = payload(f, &packets);
		ok(pair_pump(&p, CLIENT, BULK, MESSAGE));
		ok(pair_pump(&p, SERVER, BULK, MESSAGE));
		ok(pair_pingpong(&p, 10, 400));
		expect_reason(p.fd[CLIENT], f->reason);
		expect_reason(p.fd[SERVER], f->reason);
		assert_int_equal(spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]), before);
		seen = payload(f, &packets) - seen;
		if (seen < 2 * BULK + 8000 || seen > 2 * BULK + 8000 + 200000)
			fail_msg("%s: counted %llu bytes, sent %d", f->name, (unsigned long long)seen, 2 * BULK + 8000);
		detach(f);
		splices(&p);
	}
	teardown(f, &p);
}

/* The same in the middle of a two-way stream: at most the message under way passes by, per direction. */
static void under_way(const struct filter *f)
{
	struct traffic_opts o = { .seed = 7, .max_send = 4096, .flags = TRAFFIC_CATCHUP };
	uint64_t before, after;
	struct traffic *t;
	struct pair p;

	setup(f, &p);
	ok(traffic_start(&t, &p, &o));
	for (int round = 0; round < 3; round++) {
		ok(traffic_more(t, 200000));
		attach(f);
		before = spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]);
		ok(traffic_more(t, 200000));
		after = spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]);
		if (after - before > 2 * o.max_send)
			fail_msg("%s: %llu bytes were spliced past it", f->name, (unsigned long long)(after - before));
		detach(f);
	}
	ok(traffic_stop(t));
	splices(&p);
	teardown(f, &p);
}

/* What it drops does not arrive; what TCP then sends again does, if it stops to; if it does not, the flow dies. */
static void starves(const struct filter *f)
{
	int limit = 300, error = 0;
	socklen_t len = sizeof(error);
	uint64_t packets, then;
	int64_t until;
	struct pair p;

	if (!f->drop && !f->program)
		return;
	setup(f, &p);
	attach(f);
	for (int round = 0; round < 2; round++) {
		struct pollfd poller = { .fd = p.fd[CLIENT] };

		drop(f, true);
		if (round == 1)
			assert_return_code(setsockopt(p.fd[CLIENT], IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit)), errno);
		payload(f, &then);
		ok(pair_send(&p, CLIENT, 5000));
		until = now_ms() + PATIENCE_MS;
		do {
			payload(f, &packets);
			assert_true(packets >= then + 2 || tick(until));
		} while (packets < then + 2); /* sent, and sent again */
		assert_int_equal(pair_try_recv(&p, CLIENT, 5000, 0), -EAGAIN);
		if (round == 0) {
			drop(f, false);
			ok(pair_drain(&p, CLIENT));
			continue;
		}
		assert_int_equal(poll(&poller, 1, PATIENCE_MS), 1);
		assert_return_code(getsockopt(p.fd[CLIENT], SOL_SOCKET, SO_ERROR, &error, &len), errno);
		assert_int_equal(error, ETIMEDOUT);
		assert_int_equal(pair_try_recv(&p, CLIENT, 5000, 0), -EAGAIN);
	}
	detach(f);
	teardown(f, &p);
}

static void check(const struct filter *f)
{
	counts_all(f);
	under_way(f);
	starves(f);
}

#define NFT_COUNT "nft list ruleset | sed -n 's/.*tcp counter packets \\([0-9]*\\) bytes \\([0-9]*\\).*/\\1 \\2/p'"
#define NFT(family, hook)                                                                                           \
	.needs = "nft list ruleset", .reason = FL_R_NETFILTER,                                                       \
	.attach = "nft add table " family " t; nft add chain " family " t c '{ type filter hook " hook              \
		  " priority 0; }'; nft add rule " family " t c meta l4proto tcp counter",                           \
	.drop = "nft add rule " family " t c meta l4proto tcp drop",                                                 \
	.accept = "nft -a list chain " family " t c | sed -n 's/.*drop # handle //p' | xargs -n1 nft delete rule "   \
		  family " t c handle",                                                                              \
	.detach = "nft delete table " family " t", .count = NFT_COUNT

static void nft(void **state)
{
	(void)state;
	check(&(struct filter){ "nft output", .headers = TCP_HEADERS, NFT("ip", "output") });
	check(&(struct filter){ "nft input", .headers = TCP_HEADERS, NFT("inet", "input") });
	check(&(struct filter){ "nft prerouting", .headers = TCP_HEADERS, NFT("ip", "prerouting") });
	check(&(struct filter){ "nft postrouting, v4-mapped", .kind = MAPPED, .headers = TCP_HEADERS,
				NFT("ip", "postrouting") });
	check(&(struct filter){ "nft output, v6", .kind = V6, .headers = TCP_HEADERS + 20, NFT("ip6", "output") });
	check(&(struct filter){ "nft ingress", .headers = TCP_HEADERS, NFT("netdev", "ingress device lo") });
	check(&(struct filter){ "nft egress", .headers = TCP_HEADERS, NFT("netdev", "egress device lo") });
}

#define IPTABLES(tool, chain)                                                                                       \
	.needs = tool " -L " chain, .reason = FL_R_NETFILTER, .headers = TCP_HEADERS,                                \
	.attach = tool " -A " chain " -p tcp", .drop = tool " -A " chain " -p tcp -j DROP",                          \
	.accept = tool " -D " chain " -p tcp -j DROP", .detach = tool " -F " chain,                                  \
	.count = tool " -nvxL " chain " | awk 'NR == 3 { print $1, $2 }'"

static void iptables(void **state)
{
	(void)state;
	check(&(struct filter){ "iptables-nft", IPTABLES("iptables-nft", "OUTPUT") });
	check(&(struct filter){ "iptables-legacy", IPTABLES("iptables-legacy", "INPUT") });
}

static void tc(void **state)
{
	(void)state;
	check(&(struct filter){ "tc egress", .needs = "tc qdisc add dev lo clsact && tc qdisc del dev lo clsact",
				.reason = FL_R_TC, .headers = 14 + TCP_HEADERS, .program = BPF_PROG_TYPE_SCHED_CLS,
				.attach = "tc qdisc add dev lo clsact && tc filter add dev lo egress bpf da pinned @",
				.detach = "tc qdisc del dev lo clsact" });
	check(&(struct filter){ "tc ingress", .needs = "tc qdisc add dev lo clsact && tc qdisc del dev lo clsact",
				.reason = FL_R_TC, .headers = 14 + TCP_HEADERS, .program = BPF_PROG_TYPE_SCHED_CLS,
				.attach = "tc qdisc add dev lo clsact && tc filter add dev lo ingress bpf da pinned @",
				.detach = "tc qdisc del dev lo clsact" });
	counts_all(&(struct filter){
		"a queue", .needs = "tc qdisc add dev lo root pfifo && tc qdisc del dev lo root", .reason = FL_R_TC,
		.headers = 14 + TCP_HEADERS, .attach = "tc qdisc add dev lo root pfifo limit 10000",
		.detach = "tc qdisc del dev lo root",
		.count = "tc -s qdisc show dev lo | awk '/Sent/ { print $4, $2 }'" });
}

static void tcx(void **state)
{
	(void)state;
	check(&(struct filter){ "tcx egress", .reason = FL_R_TC, .headers = 14 + TCP_HEADERS,
				.program = BPF_PROG_TYPE_SCHED_CLS, .tcx = TCX_EGRESS });
	check(&(struct filter){ "tcx ingress", .reason = FL_R_TC, .headers = 14 + TCP_HEADERS,
				.program = BPF_PROG_TYPE_SCHED_CLS, .tcx = TCX_INGRESS });
}

static void xdp(void **state)
{
	(void)state;
	check(&(struct filter){ "XDP", .reason = FL_R_XDP, .headers = 14 + TCP_HEADERS, .program = BPF_PROG_TYPE_XDP,
				.attach = "ip link set dev lo xdpgeneric pinned @",
				.detach = "ip link set dev lo xdpgeneric off" });
}

static int up(void **state)
{
	int r = group_up(state);

	return r ? r : netns_new(&ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nft), cmocka_unit_test(iptables), cmocka_unit_test(tc),
		cmocka_unit_test(tcx), cmocka_unit_test(xdp),
	};

	return run_group(tests, up, group_down);
}
