/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Chains with rules that local traffic passes, from nf_tables and the older iptables. What else registers hooks does
 * not tell its name: where nothing is found here, a hook of another kind is there.
 */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "causes.h"
#include "text.h"

static const char *const hook_names[] = { "prerouting", "input", "forward", "output", "postrouting", "ingress" };

static uint32_t be32(const struct rtattr *a)
{
	uint32_t v = 0;

	if (a && RTA_PAYLOAD(a) >= sizeof(v))
		memcpy(&v, RTA_DATA(a), sizeof(v));
	return ntohl(v);
}

static const char *string(const struct rtattr *a, char *buf, size_t size)
{
	snprintf(buf, size, "%.*s", a ? (int)RTA_PAYLOAD(a) : 0, a ? (const char *)RTA_DATA(a) : "");
	return text_mask(buf);
}

static const char *family_name(int family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_NETDEV:
		return "netdev";
	}
	return NULL;
}

static void on_chain(const void *payload, int len, void *arg)
{
	const struct nfgenmsg *head = payload;
	const struct rtattr *hook = netlink_attr(payload, len, sizeof(*head), NFTA_CHAIN_HOOK);
	const char *family = family_name(head->nfgen_family);
	uint32_t number = be32(netlink_nested(hook, NFTA_HOOK_HOOKNUM)), rules, policy;
	char table[128], chain[128], type[32];

	rules = be32(netlink_attr(payload, len, sizeof(*head), NFTA_CHAIN_USE));
	policy = be32(netlink_attr(payload, len, sizeof(*head), NFTA_CHAIN_POLICY));
	string(netlink_attr(payload, len, sizeof(*head), NFTA_CHAIN_TYPE), type, sizeof(type));
	if (!hook || !family || (!rules && policy == NF_ACCEPT) || strcmp(type, "nat") == 0)
		return;
	if (number >= sizeof(hook_names) / sizeof(hook_names[0]) || number == NF_INET_FORWARD)
		return;
	causes_add(arg, "nftables chain %s %s %s (%s, %u rules, policy %s)", family,
		   string(netlink_attr(payload, len, sizeof(*head), NFTA_CHAIN_TABLE), table, sizeof(table)),
		   string(netlink_attr(payload, len, sizeof(*head), NFTA_CHAIN_NAME), chain, sizeof(chain)),
		   head->nfgen_family != NFPROTO_NETDEV ? hook_names[number] : number ? "egress" : "ingress", rules,
		   policy == NF_ACCEPT ? "accept" : "drop");
}

/* ipt_getinfo and ip6t_getinfo are the same. A chain of one rule, its policy, begins where it ends. */
static void legacy(struct json_object *list, int family, const char *tool, const char *names)
{
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, option = IPT_SO_GET_INFO;
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	char name[XT_TABLE_MAXNAMELEN];
	FILE *f = fopen(names, "re");

	_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one for both");
	while (f && fd >= 0 && fgets(name, sizeof(name), f)) {
		struct ipt_getinfo info = { 0 };
		socklen_t len = sizeof(info);

		name[strcspn(name, "\n")] = '\0';
		snprintf(info.name, sizeof(info.name), "%s", name);
		if (strcmp(name, "nat") == 0 || getsockopt(fd, level, option, &info, &len) < 0)
			continue;
		for (unsigned int h = 0; h < NF_INET_NUMHOOKS; h++)
			if (h != NF_INET_FORWARD && (info.valid_hooks & 1U << h) && info.hook_entry[h] != info.underflow[h])
				causes_add(list, "%s table %s, rules at %s", tool, text_mask(name), hook_names[h]);
	}
	if (f)
		fclose(f);
	if (fd >= 0)
		close(fd);
}

void causes_netfilter(struct json_object *list)
{
	struct nfgenmsg all = { .nfgen_family = NFPROTO_UNSPEC };

	netlink_dump(NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, &all, sizeof(all), on_chain, list);
	legacy(list, AF_INET, "iptables", "/proc/thread-self/net/ip_tables_names");
	legacy(list, AF_INET6, "ip6tables", "/proc/thread-self/net/ip6_tables_names");
	if (!json_object_array_length(list))
		causes_add(list, "a hook that is neither an nftables nor an iptables chain, or a policy of drop");
}
