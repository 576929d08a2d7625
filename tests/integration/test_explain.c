/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `fastloctl explain` names what makes a pair yield: the program with id and name, the chain, the device's filter, the
 * process that holds the packet socket, in whichever network namespace the pair is; and nothing once it is gone.
 */
#include "check.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "filter.h"

static int ns;
static struct pair pair;

static const char *explain(void)
{
	struct json_object *said;
	char id[32];
	static char text[16384];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)info(pair.fd[CLIENT]).pair);
	assert_int_equal(env_ctl(&said, "explain", id, NULL), 0);
	snprintf(text, sizeof(text), "%s", json_object_to_json_string_ext(said, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(said);
	return text;
}

static void says(unsigned int reason, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void says(unsigned int reason, const char *fmt, ...)
{
	char want[512];
	const char *said;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	ok(pair_pingpong(&pair, 5, 100));
	expect_reason(pair.fd[CLIENT], reason);
	expect_reason(pair.fd[SERVER], reason);
	said = explain();
	if (!strstr(said, want) || !strstr(said, reason_name(reason)))
		fail_msg("explain does not say '%s': %s", want, said);
}

static void quiet(void)
{
	ok(pair_warm(&pair));
	assert_non_null(strstr(explain(), "\"causes\":[]"));
}

static void tool(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void tool(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (sh(ns, "%s", command) != 0)
		fail_msg("'%s': %s", command, sh_said);
}

static void need(const char *command)
{
	if (sh(ns, "%s", command) != 0) {
		print_message("'%s': %s, skipping\n", command, sh_said);
		skip();
	}
}

static uint32_t id_of(int prog)
{
	struct bpf_prog_info i = { 0 };
	uint32_t len = sizeof(i);

	ok(bpf_obj_get_info_by_fd(prog, &i, &len));
	return i.id;
}

static void cgroup_program(void **state)
{
	int app = open(env.app, O_RDONLY | O_DIRECTORY | O_CLOEXEC), link;
	int above = open(env.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct probe probe;

	(void)state;
	quiet();
	ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
	ok(bpf_prog_attach(probe.prog, app, BPF_CGROUP_INET_EGRESS, 0));
	says(FL_R_CGROUP_FILTER, "cgroup %s egress: program %u 'fl_probe'", env.rel, id_of(probe.prog));
	ok(bpf_prog_detach2(probe.prog, app, BPF_CGROUP_INET_EGRESS));
	quiet();
	link = ok(bpf_link_create(probe.prog, above, BPF_CGROUP_INET_INGRESS, NULL));
	says(FL_R_CGROUP_FILTER, "cgroup %s ingress: program %u 'fl_probe'", env.rel, id_of(probe.prog));
	close(link);
	quiet();
	probe_close(&probe);
	close(app);
	close(above);
}

static void packet_socket(void **state)
{
	char comm[64];
	int fd, old;

	(void)state;
	quiet();
	ok(file_read("/proc/self/comm", comm, sizeof(comm)));
	comm[strcspn(comm, "\n")] = '\0';
	ok(netns_enter(ns, &old));
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(fd >= 0);
	netns_leave(old);
	says(FL_R_PACKET_SOCKET, "a packet socket of process %d (%s)", getpid(), comm);
	close(fd);
	quiet();
}

static void netfilter(void **state)
{
	(void)state;
	need("nft list ruleset");
	quiet();
	tool("nft add table inet mine; nft add chain inet mine guard '{ type filter hook input priority 0; }'; "
	     "nft add rule inet mine guard tcp dport 1 drop");
	says(FL_R_NETFILTER, "nftables chain inet mine guard (input, 1 rules, policy accept)");
	tool("nft delete table inet mine");
	quiet();
	need("iptables-legacy -L");
	tool("iptables-legacy -t mangle -A OUTPUT -p udp");
	says(FL_R_NETFILTER, "iptables table mangle, rules at output");
	tool("iptables-legacy -t mangle -F");
	quiet();
}

static void device(void **state)
{
	struct probe cls, xdp;
	char path[256];

	(void)state;
	need("tc qdisc add dev lo clsact && tc qdisc del dev lo clsact");
	quiet();
	ok(probe_load(&cls, BPF_PROG_TYPE_SCHED_CLS));
	snprintf(path, sizeof(path), "%s/cls", env.bpffs);
	assert_return_code(bpf_obj_pin(cls.prog, path), errno);
	tool("tc qdisc add dev lo clsact");
	tool("tc filter add dev lo egress bpf da pinned %s", path);
	says(FL_R_TC, "tc filter bpf on lo egress: program %u 'fl_probe'", id_of(cls.prog));
	says(FL_R_TC, "tc qdisc clsact on lo");
	tool("tc qdisc del dev lo clsact");
	quiet();
	ok(probe_load(&xdp, BPF_PROG_TYPE_XDP));
	snprintf(path, sizeof(path), "%s/xdp", env.bpffs);
	assert_return_code(bpf_obj_pin(xdp.prog, path), errno);
	tool("ip link set dev lo xdpgeneric pinned %s", path);
	says(FL_R_XDP, "XDP on lo: program %u 'fl_probe'", id_of(xdp.prog));
	tool("ip link set dev lo xdpgeneric off");
	quiet();
	probe_close(&cls);
	probe_close(&xdp);
}

static int up(void **state)
{
	int r = group_up(state);

	if (r == 0)
		r = netns_new(&ns);
	if (r == 0)
		r = pair_dial(&pair, &(struct dial){ .kind = V4, .opt = { true, true }, .ns = ns });
	return r ? r : pair_warm(&pair);
}

static int down(void **state)
{
	pair_close(&pair);
	return group_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgroup_program),
		cmocka_unit_test(packet_socket),
		cmocka_unit_test(netfilter),
		cmocka_unit_test(device),
	};

	return run_group(tests, up, down);
}
