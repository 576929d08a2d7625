/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Section [yield], a policy's own word on it, and what the defaults leave alone: connection tracking, empty chains,
 * IPsec policies that exempt the loopback device.
 */
#include "check.h"

#include <signal.h>
#include <sys/stat.h>

#include "filter.h"

static int ns;

static void open_pair(struct pair *p, enum kind kind)
{
	ok(pair_dial(p, &(struct dial){ .kind = kind, .opt = { true, true }, .ns = ns }));
	ok(pair_warm(p));
}

static void tool(const char *command)
{
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

static void stays_spliced(struct pair *p)
{
	uint64_t before;

	ok(pair_warm(p));
	before = spliced(p->fd[CLIENT]);
	ok(pair_pingpong(p, 5, 400));
	assert_int_equal(spliced(p->fd[CLIENT]) - before, 2000);
}

static void yields(struct pair *p, unsigned int reason)
{
	uint64_t before = spliced(p->fd[CLIENT]);

	ok(pair_pingpong(p, 5, 400));
	expect_reason(p->fd[CLIENT], reason);
	assert_int_equal(spliced(p->fd[CLIENT]), before);
}

static void quiet_hooks(void **state)
{
	struct json_object *status;
	struct pair p, six;

	(void)state;
	assert_int_equal(env_ctl(&status, "status", NULL), 0);
	assert_string_equal(json_object_get_string(json_object_object_get(status, "yield")),
			    "packet=always netfilter=rules tc=always xdp=always xfrm=always lsm=always");
	if (!json_object_get_int(json_object_object_get(status, "hooks_known"))) {
		print_message("no netfilter hook function in this kernel, skipping\n");
		json_object_put(status);
		skip();
	}
	json_object_put(status);
	need("nft list ruleset");
	open_pair(&p, V4);
	open_pair(&six, V6);
	tool("nft add table inet t; nft add chain inet t c '{ type filter hook output priority 0; }'");
	stays_spliced(&p);
	tool("nft add chain inet t c '{ policy drop; }'");
	ok(pair_send(&p, CLIENT, 400));
	expect_reason(p.fd[CLIENT], FL_R_NETFILTER);
	tool("nft add chain inet t c '{ policy accept; }'");
	ok(pair_drain(&p, CLIENT));
	stays_spliced(&p);
	/* a chain that nothing jumps to, and one of another hook, see none of it */
	tool("nft add chain inet t other; nft add rule inet t other counter");
	tool("nft add chain inet t f '{ type filter hook forward priority 0; }'; nft add rule inet t f counter");
	stays_spliced(&p);
	stays_spliced(&six);
	/* tracking comes with the first rule that asks for it, and stays while another namespace's hooks are needed */
	tool("nft add chain inet t n '{ type nat hook output priority 0; }'");
	tool("nft add rule inet t n tcp dport 1 redirect to :2");
	tool("nft add rule inet t f ct state established counter");
	stays_spliced(&p);
	stays_spliced(&six);
	/* one family's rules are not the other's */
	tool("nft add table ip four; nft add chain ip four c '{ type filter hook input priority 0; }'; "
	     "nft add rule ip four c counter");
	yields(&p, FL_R_NETFILTER);
	stays_spliced(&six);
	tool("nft flush ruleset");
	stays_spliced(&p);
	pair_close(&p);
	pair_close(&six);
}

static void empty_iptables(void **state)
{
	struct pair p;

	(void)state;
	need("iptables-legacy -L");
	open_pair(&p, V4);
	tool("iptables-legacy -t mangle -L");
	stays_spliced(&p);
	tool("iptables-legacy -P OUTPUT DROP");
	ok(pair_send(&p, CLIENT, 400));
	expect_reason(p.fd[CLIENT], FL_R_NETFILTER);
	tool("iptables-legacy -P OUTPUT ACCEPT");
	ok(pair_drain(&p, CLIENT));
	stays_spliced(&p);
	tool("iptables-legacy -A FORWARD -j DROP");
	stays_spliced(&p);
	tool("iptables-legacy -t mangle -A POSTROUTING -p udp -j ACCEPT");
	yields(&p, FL_R_NETFILTER);
	tool("iptables-legacy -t mangle -F");
	stays_spliced(&p);
	pair_close(&p);
}

static void xfrm(void **state)
{
	struct pair p, six;

	(void)state;
	need("ip xfrm policy");
	open_pair(&p, V4);
	open_pair(&six, V6);
	tool("ip xfrm policy add src ::1 dst ::1 dir in action allow");
	yields(&six, FL_R_XFRM);
	stays_spliced(&p); /* lo's disable_xfrm and disable_policy are 1 */
	tool("ip xfrm policy flush");
	stays_spliced(&six);
	tool("ip xfrm policy add src 127.0.0.1 dst 127.0.0.1 dir out action block");
	stays_spliced(&p);
	tool("echo 0 > /proc/sys/net/ipv4/conf/lo/disable_xfrm");
	ok(pair_send(&p, CLIENT, 400));
	expect_reason(p.fd[CLIENT], FL_R_XFRM);
	tool("ip xfrm policy flush; echo 1 > /proc/sys/net/ipv4/conf/lo/disable_xfrm");
	ok(pair_drain(&p, CLIENT));
	stays_spliced(&p);
	pair_close(&p);
	pair_close(&six);
}

static void reload(const char *section)
{
	char text[4096];
	int64_t until = now_ms() + PATIENCE_MS;

	snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s\nrun_dir = %s\ncgroup = %s\n%s", env.pins, env.run, env.cgroup,
		 section);
	ok(file_write(env.config, text));
	ok(file_write(env.log, ""));
	kill(env_daemon(), SIGHUP);
	do {
		ok(file_read(env.log, text, sizeof(text)));
	} while (!strstr(text, "reloaded") && tick(until));
	assert_non_null(strstr(text, "reloaded"));
}

/* One after the other on an open connection, by reload: what each value makes of a rule and of an empty chain. */
static void values(void **state)
{
	struct pair p;

	(void)state;
	need("nft list ruleset");
	open_pair(&p, V4);
	tool("nft add table ip t; nft add chain ip t c '{ type filter hook output priority 0; }'");
	stays_spliced(&p);
	reload("[yield]\nnetfilter = hooks\n");
	yields(&p, FL_R_NETFILTER);
	tool("nft add rule ip t c counter");
	reload("[yield]\nnetfilter = never\n");
	stays_spliced(&p);
	reload("");
	yields(&p, FL_R_NETFILTER);
	tool("nft flush ruleset");
	tool("tc qdisc add dev lo root pfifo");
	yields(&p, FL_R_TC);
	reload("[yield]\ntc = never\n");
	stays_spliced(&p);
	tool("tc qdisc del dev lo root");
	reload("");
	stays_spliced(&p);
	pair_close(&p);
}

static void lo_down(void **state)
{
	struct pair p;
	uint64_t before;

	(void)state;
	open_pair(&p, V6);
	before = spliced(p.fd[CLIENT]);
	tool("ip link set lo down");
	ok(pair_send(&p, CLIENT, 3000));
	expect_reason(p.fd[CLIENT], FL_R_LO_DOWN);
	assert_int_equal(pair_try_recv(&p, CLIENT, 3000, 0), -EAGAIN);
	assert_int_equal(spliced(p.fd[CLIENT]), before);
	tool("ip link set lo up");
	ok(pair_drain(&p, CLIENT));
	stays_spliced(&p);
	pair_close(&p);
}

/* A policy's own word: of the two ends the stricter one decides. */
static void by_policy(void **state)
{
	char sub[512];
	struct pair p = { .fd = { -1, -1 }, .seed = 77 };
	struct dial d = { .kind = V4, .ns = ns };
	struct json_object *said;
	int64_t until;
	uint16_t port;

	(void)state;
	need("nft list ruleset");
	snprintf(sub, sizeof(sub), "%s/other", env.cgroup);
	assert_return_code(mkdir(sub, 0755), errno);
	assert_int_equal(env_ctl(NULL, "policy", "add", "app", "--cgroup", env.rel, "--engage", "eager", "--yield",
				 "netfilter=never", NULL), 0);
	assert_int_equal(env_ctl(NULL, "policy", "add", "other", "--cgroup", sub + strlen(env.mount), "--engage", "eager",
				 "--yield", "netfilter=never tc=never", NULL), 0);
	ok(env_join(sub));
	ok(pair_listen(&d, &p.listener, &port));
	ok(env_join(env.app));
	ok(pair_connect(&d, port, &p.fd[CLIENT]));
	ok(pair_accept(&p));
	ok(pair_warm(&p));
	tool("nft add table ip t; nft add chain ip t c '{ type filter hook output priority 0; }'; "
	     "nft add rule ip t c counter");
	stays_spliced(&p);
	/* only one end says so of tc */
	tool("tc qdisc add dev lo root pfifo");
	yields(&p, FL_R_TC);
	tool("tc qdisc del dev lo root");
	stays_spliced(&p);
	assert_int_equal(env_ctl(NULL, "policy", "remove", "other", NULL), 0);
	assert_int_equal(env_ctl(NULL, "policy", "add", "other", "--cgroup", sub + strlen(env.mount), "--engage", "eager",
				 NULL), 0);
	until = now_ms() + PATIENCE_MS;
	do {
		ok(pair_pingpong(&p, 5, 100));
	} while (info(p.fd[CLIENT]).reason != FL_R_NETFILTER && tick(until));
	yields(&p, FL_R_NETFILTER);
	assert_int_equal(env_ctl(&said, "policy", "add", "bad", "--port", "9", "--yield", "netfilter=sometimes", NULL), 1);
	assert_non_null(strstr(json_object_to_json_string(said), "netfilter: 'sometimes' is not"));
	json_object_put(said);
	tool("nft flush ruleset");
	pair_close(&p);
	assert_int_equal(env_ctl(NULL, "policy", "remove", "app", NULL), 0);
	assert_int_equal(env_ctl(NULL, "policy", "remove", "other", NULL), 0);
	rmdir(sub);
}

static int up(void **state)
{
	int r = group_up(state);

	return r ? r : netns_new(&ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quiet_hooks), cmocka_unit_test(empty_iptables), cmocka_unit_test(xfrm),
		cmocka_unit_test(values),      cmocka_unit_test(lo_down),	 cmocka_unit_test(by_policy),
	};

	return run_group(tests, up, group_down);
}
