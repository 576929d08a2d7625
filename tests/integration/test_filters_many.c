/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thousand open pairs and one filter; and filters, namespaces and cgroups that go away in ways that nobody
 * planned, under load: no hang, no byte lost.
 */
#include "check.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "filter.h"
#include "traffic.h"

#define PAIRS 1000
#define RULES 5000

static int ns;

static void tool(const char *command)
{
	if (sh(ns, "%s", command) != 0)
		fail_msg("'%.200s': %s", command, sh_said);
}

static void need(const char *command)
{
	if (sh(ns, "%s", command) != 0) {
		print_message("'%s': %s, skipping\n", command, sh_said);
		skip();
	}
}

/* One exchange on every pair; all of them yield for this reason, or none does. */
static void all_pairs(struct pair *all, unsigned int reason)
{
	for (int i = 0; i < PAIRS; i++) {
		uint64_t before = spliced(all[i].fd[CLIENT]) + spliced(all[i].fd[SERVER]), now;

		ok(pair_pingpong(&all[i], 2, 300));
		now = spliced(all[i].fd[CLIENT]) + spliced(all[i].fd[SERVER]);
		if (reason) {
			assert_int_equal(info(all[i].fd[CLIENT]).reason, reason);
			assert_int_equal(info(all[i].fd[SERVER]).reason, reason);
			assert_int_equal(now, before);
		} else {
			/* the first message each way may be the one that engages again */
			assert_true(now - before >= 600);
		}
	}
}

static void a_thousand_pairs(void **state)
{
	struct rlimit files = { 8192, 8192 };
	struct pair *all = test_calloc(PAIRS, sizeof(*all));
	int dir = open(env.app, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct probe probe;
	uint64_t packets;

	(void)state;
	need("nft list ruleset");
	assert_return_code(setrlimit(RLIMIT_NOFILE, &files), errno);
	for (int i = 0; i < PAIRS; i++) {
		ok(pair_dial(&all[i], &(struct dial){ .kind = i % 3, .opt = { true, true }, .ns = ns }));
		ok(pair_warm(&all[i]));
	}
	all_pairs(all, FL_R_NONE);
	tool("nft add table inet t; nft add chain inet t c '{ type filter hook output priority 0; }'; "
	     "nft add rule inet t c counter");
	all_pairs(all, FL_R_NETFILTER);
	tool("nft list ruleset | sed -n 's/.*counter packets \\([0-9]*\\).*/\\1/p'");
	packets = strtoull(sh_said, NULL, 10);
	assert_true(packets >= PAIRS * 4); /* each message is a packet at least */
	tool("nft flush ruleset");
	all_pairs(all, FL_R_NONE);
	ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
	ok(bpf_prog_attach(probe.prog, dir, BPF_CGROUP_INET_INGRESS, BPF_F_ALLOW_MULTI));
	all_pairs(all, FL_R_CGROUP_FILTER);
	assert_true(probe_packets(&probe) >= PAIRS * 4);
	ok(bpf_prog_detach2(probe.prog, dir, BPF_CGROUP_INET_INGRESS));
	all_pairs(all, FL_R_NONE);
	assert_true(env_stat("reasons.netfilter") >= PAIRS * 4);
	for (int i = 0; i < PAIRS; i++)
		pair_close(&all[i]);
	probe_close(&probe);
	close(dir);
	test_free(all);
}

/* `nft -f` of thousands of rules, time and again, in one transaction each, with and without the chains. */
static void reload_under_load(void **state)
{
	struct traffic_opts o = { .seed = 11, .max_send = 8192, .flags = TRAFFIC_CATCHUP };
	struct traffic *t[4];
	struct pair p[4];
	char path[160];
	FILE *f;

	(void)state;
	need("nft list ruleset");
	snprintf(path, sizeof(path), "%s/rules", env.dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs("flush ruleset\ntable inet t {\n", f);
	for (int c = 0; c < 2; c++) {
		fprintf(f, "chain c%d { type filter hook %s priority 0; policy accept;\n", c, c ? "input" : "output");
		for (int i = 0; i < RULES; i++)
			fprintf(f, "tcp dport %d counter drop\n", i % 900 + 1);
		fputs("}\n", f);
	}
	fputs("}\n", f);
	fclose(f);
	for (int i = 0; i < 4; i++) {
		ok(pair_dial(&p[i], &(struct dial){ .kind = i % 3, .opt = { true, true }, .ns = ns }));
		ok(pair_warm(&p[i]));
		ok(traffic_start(&t[i], &p[i], &o));
	}
	for (int round = 0; round < 5; round++) {
		if (sh(ns, "nft -f %s", path) != 0)
			fail_msg("nft: %s", sh_said);
		ok(traffic_more(t[round % 4], 50000));
		if (round % 2)
			tool("nft flush ruleset");
		ok(traffic_more(t[(round + 1) % 4], 50000));
	}
	tool("nft flush ruleset");
	for (int i = 0; i < 4; i++) {
		ok(traffic_stop(t[i]));
		ok(pair_warm(&p[i]));
		pair_close(&p[i]);
	}
}

/* lo goes down and up under a stream: it waits, as on TCP, and goes on. */
static void lo_flaps(void **state)
{
	struct traffic_opts o = { .seed = 12, .max_send = 8192, .flags = TRAFFIC_CATCHUP };
	struct traffic *t;
	struct pair p;

	(void)state;
	ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .ns = ns }));
	ok(pair_warm(&p));
	ok(traffic_start(&t, &p, &o));
	for (int round = 0; round < 5; round++) {
		ok(traffic_more(t, 100000));
		tool("ip link set lo down");
		tool("ip link set lo up");
	}
	ok(traffic_more(t, 100000));
	ok(traffic_stop(t));
	ok(pair_warm(&p));
	pair_close(&p);
}

/* Its last reference is the sockets': the stream does not notice. */
static void netns_deleted(void **state)
{
	struct traffic_opts o = { .seed = 13, .max_send = 8192, .flags = TRAFFIC_CATCHUP };
	struct traffic *t;
	struct pair p;
	int gone;

	(void)state;
	need("nft list ruleset");
	for (int round = 0; round < 3; round++) {
		ok(netns_new(&gone));
		if (round && sh(gone, "nft add table ip t; nft add chain ip t c '{ type filter hook input priority 0; }'; "
				      "nft add rule ip t c counter; tc qdisc add dev lo clsact") != 0)
			fail_msg("%s", sh_said);
		ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .ns = gone }));
		ok(pair_pingpong(&p, 10, 100));
		ok(traffic_start(&t, &p, &o));
		ok(traffic_more(t, 50000));
		close(gone);
		ok(traffic_more(t, 200000));
		ok(traffic_stop(t));
		pair_close(&p); /* and the namespace goes */
	}
}

static int up(void **state)
{
	int r = group_up(state);

	return r ? r : netns_new(&ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_pairs), cmocka_unit_test(reload_under_load),
		cmocka_unit_test(lo_flaps),	    cmocka_unit_test(netns_deleted),
	};

	return run_group(tests, up, group_down);
}
