/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's own filters: what would have seen the packets that a spliced message never becomes. Read for each
 * message, so that the message after the one under way meets a filter that has just come. The first test of each
 * kind is a direct load or two; what follows is for hosts that have something there. All of it runs under RCU, which
 * is what keeps hook lists, chains and sockets readable. Whatever is not understood counts as a filter.
 */
#ifndef FL_HOST_H
#define FL_HOST_H

#include "pair.h"

#define IFF_UP (1U << 0)
#define NF_INET_PRE_ROUTING 0
#define NF_INET_LOCAL_IN 1
#define NF_INET_LOCAL_OUT 3
#define NF_INET_POST_ROUTING 4
#define NF_ACCEPT 1
#define ETH_P_ALL 0x0003
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define IPV4_DEVCONF_NOXFRM 15
#define IPV4_DEVCONF_NOPOLICY 16
#define XFRM_POLICY_IN 0
#define XFRM_POLICY_OUT 1
#define XFRM_USERPOLICY_BLOCK 1

/* hooks in a list, packet sockets in a namespace: with more of them it is TCP */
#define FL_HOOKS_MAX 10
#define FL_PACKETS_MAX 16

fl_inline __u32 fl_hook_what(__u64 function)
{
	for (__u32 i = 0; i < FL_HOOK_PROBES; i++) {
		struct fl_hook *h = &fl_ctl.host.hooks[fl_hook_at(function, i)];

		if (h->addr == function)
			return h->what;
	}
	if (fl_ctl.stranger != function)
		fl_ctl.stranger = function;
	return FL_HOOK_UNKNOWN;
}

/* Rules, a counter, or a policy other than accept: the rules are those that nft_do_chain() would walk now. */
fl_inline bool fl_nft_acts(__u64 chain, __u32 cursor)
{
	const struct fl_host *h = &fl_ctl.host;
	__u64 base = chain - h->nft_base, blob;

	if (!h->nft_known)
		return true;
	blob = fl_load(chain + (cursor ? h->nft_gen[1] : h->nft_gen[0]));
	/* its first member is the size of the rules */
	return !blob || fl_load(blob) || fl_load(base + h->nft_stats) ||
	       fl_first(fl_load(base + h->nft_policy), 1) != NF_ACCEPT;
}

/*
 * The chain of this hook consists of its policy alone, and that is to accept. Layout of the table is uapi: struct
 * ipt_entry of 112 bytes (ip6t_entry: 168), then the standard target, whose verdict follows a head of 32.
 */
fl_inline bool fl_xt_acts(__u64 table, __u32 hook, __u32 entry_size)
{
	const struct fl_host *h = &fl_ctl.host;
	__u64 info;
	__u32 entry;

	if (!h->xt_known)
		return true;
	info = fl_load(table + h->xt_private);
	entry = fl_first(fl_load(info + h->xt_entry + hook * 4), 4);
	if (!info || entry != fl_first(fl_load(info + h->xt_underflow + hook * 4), 4))
		return true;
	return (__s32)fl_first(fl_load(info + h->xt_entries + entry + entry_size + 32), 4) != -NF_ACCEPT - 1;
}

/* What is left when a hook is not found quiet at first sight. */
fl_global int fl_hook_acts(__u64 function, __u64 priv, __u32 hook, __u32 cursor)
{
	switch (fl_hook_what(function)) {
	case FL_HOOK_QUIET:
		return false;
	case FL_HOOK_NFT:
		return fl_nft_acts(priv, cursor);
	case FL_HOOK_XT:
		return fl_xt_acts(priv, hook, 112);
	case FL_HOOK_XT6:
		return fl_xt_acts(priv, hook, 168);
	default:
		return true;
	}
}

/* A struct nf_hook_entries as words: the number of hooks in the first, then a function and its pointer each. */
#define FL_HOOKS_LAID_OUT                                                                                           \
	(bpf_core_field_offset(struct nf_hook_entries, num_hook_entries) == 0 &&                                     \
	 bpf_core_field_offset(struct nf_hook_entries, hooks) == 8 && bpf_core_type_size(struct nf_hook_entry) == 16 && \
	 bpf_core_field_offset(struct nf_hook_entry, priv) == 8) /* since Linux 4.14 */

fl_inline bool fl_is_quiet(__u64 function)
{
	struct fl_hook *h = &fl_ctl.host.hooks[fl_hook_at(function, 0)];

	return h->addr == function && h->what == FL_HOOK_QUIET;
}

/* entries: address of a struct nf_hook_entries, or 0. Unrolled: bpf_loop() cost 30 ns a hook. */
fl_global int fl_hooks_act(__u64 entries, __u32 hook, __u32 cursor)
{
	struct linux_mib *w = FL_WORDS(entries);
	__u32 n;

	if (!entries)
		return 0;
	if (!bpf_core_type_exists(struct nf_hook_entries) || !FL_HOOKS_LAID_OUT)
		return 1;
	n = fl_first(FL_WORD(w, 0), 2);
#pragma unroll
	for (__u32 i = 0; i < FL_HOOKS_MAX; i++) {
		__u64 function;

		if (i >= n)
			return 0;
		function = FL_WORD(w, 1 + 2 * i);
		if (!fl_is_quiet(function) && fl_hook_acts(function, FL_WORD(w, 2 + 2 * i), hook, cursor))
			return 1;
	}
	return n > FL_HOOKS_MAX;
}

/* One or two quiet hooks: what connection tracking leaves in a list. Spares the call. */
fl_inline bool fl_list_acts(__u64 entries, __u32 hook, __u32 cursor)
{
	struct linux_mib *w = FL_WORDS(entries);
	__u32 n;

	if (!entries)
		return false;
	n = fl_first(FL_WORD(w, 0), 2);
	if (bpf_core_type_exists(struct nf_hook_entries) && FL_HOOKS_LAID_OUT && (n == 1 || n == 2) &&
	    fl_is_quiet(FL_WORD(w, 1)) && (n == 1 || fl_is_quiet(FL_WORD(w, 3))))
		return false;
	return fl_hooks_act(entries, hook, cursor);
}

/* lists: address of a namespace's hook lists for one family */
fl_global int fl_lists_act(__u64 lists, __u32 cursor)
{
	struct linux_mib *w = FL_WORDS(lists);

	return fl_list_acts(FL_WORD(w, NF_INET_LOCAL_OUT), NF_INET_LOCAL_OUT, cursor) ||
	       fl_list_acts(FL_WORD(w, NF_INET_POST_ROUTING), NF_INET_POST_ROUTING, cursor) ||
	       fl_list_acts(FL_WORD(w, NF_INET_PRE_ROUTING), NF_INET_PRE_ROUTING, cursor) ||
	       fl_list_acts(FL_WORD(w, NF_INET_LOCAL_IN), NF_INET_LOCAL_IN, cursor);
}

/* of the device itself: ingress, egress */
fl_global int fl_device_acts(__u64 lo, __u32 cursor)
{
	if (bpf_core_field_exists(struct net_device, nf_hooks_ingress) &&
	    fl_hooks_act(fl_load(lo + bpf_core_field_offset(struct net_device, nf_hooks_ingress)), 0, cursor))
		return 1;
	return bpf_core_field_exists(struct net_device, nf_hooks_egress) &&
	       fl_hooks_act(fl_load(lo + bpf_core_field_offset(struct net_device, nf_hooks_egress)), 0, cursor);
}

#define FL_ANY(lists)                                                                                               \
	((lists)[NF_INET_LOCAL_OUT] || (lists)[NF_INET_POST_ROUTING] || (lists)[NF_INET_PRE_ROUTING] ||              \
	 (lists)[NF_INET_LOCAL_IN])

/* net_addr is net, as a number */
fl_inline bool fl_netfilter(struct net *net, struct net_device *lo, __u64 net_addr, bool v6, bool all)
{
	__u32 cursor;

	if (!bpf_core_field_exists(net->nf))
		return false;
	cursor = bpf_core_field_exists(net->nft) ? net->nft.gencursor : 0;
	if ((v6 ? FL_ANY(net->nf.hooks_ipv6) : FL_ANY(net->nf.hooks_ipv4)) &&
	    (all || fl_lists_act(net_addr + (v6 ? bpf_core_field_offset(struct net, nf.hooks_ipv6)
						 : bpf_core_field_offset(struct net, nf.hooks_ipv4)), cursor)))
		return true;
	if (!(bpf_core_field_exists(lo->nf_hooks_ingress) && lo->nf_hooks_ingress) &&
	    !(bpf_core_field_exists(lo->nf_hooks_egress) && lo->nf_hooks_egress))
		return false;
	return all || fl_device_acts(fl_load(net_addr + bpf_core_field_offset(struct net, loopback_dev)), cursor);
}

struct fl_walk {
	__u64 at;
	__s32 ifindex;
	__be16 protocol;
	__u32 found; /* a callback returns 0 or 1, and the verifier must see it: no bool */
};

/* A packet socket that would get such packets: of that protocol or of all, on any device or on this one. */
static long fl_packet_listens(__u32 i, struct fl_walk *w)
{
	struct packet_sock *po;
	__be16 num;
	int on;

	if (!w->at)
		return 1;
	po = FL_CAST(w->at - bpf_core_field_offset(struct sock_common, skc_node), struct packet_sock);
	num = FL_READ(po, num);
	on = FL_READ(po, ifindex);
	w->found = (num == bpf_htons(ETH_P_ALL) || num == w->protocol) && (!on || on == w->ifindex);
	w->at = fl_load(w->at);
	return w->found != 0;
}

fl_global int fl_packet_sockets(__u64 list, __s32 ifindex, __u32 v6)
{
	struct fl_walk w = { .at = fl_load(list), .ifindex = ifindex };

	if (!bpf_core_type_exists(struct packet_sock))
		return true;
	w.protocol = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	bpf_loop(FL_PACKETS_MAX, fl_packet_listens, &w, 0);
	return w.found || w.at;
}

fl_inline bool fl_tc(struct net_device *lo)
{
	if (bpf_core_field_exists(lo->tcx_ingress) && (lo->tcx_ingress || lo->tcx_egress))
		return true;
	if (bpf_core_field_exists(lo->miniq_ingress) && lo->miniq_ingress)
		return true;
	if (bpf_core_field_exists(lo->miniq_egress) && lo->miniq_egress)
		return true;
	/* noqueue has none: netem, say, has */
	return lo->qdisc && lo->qdisc->enqueue;
}

/* IPv4 over a loopback device is exempt unless somebody set its disable_xfrm or disable_policy to 0. */
fl_inline bool fl_xfrm(struct net *net, struct net_device *lo, struct tcp_sock *a, struct tcp_sock *b, bool v6)
{
	if (!bpf_core_field_exists(net->xfrm))
		return false;
	if (net->xfrm.policy_count[3 + XFRM_POLICY_IN] || net->xfrm.policy_count[3 + XFRM_POLICY_OUT]) {
		/* policies of single sockets */
		if (FL_SK(a).sk_policy[0] || FL_SK(a).sk_policy[1] ||
		    FL_READ(b, inet_conn.icsk_inet.sk.sk_policy[0]) || FL_READ(b, inet_conn.icsk_inet.sk.sk_policy[1]))
			return true;
	}
	if (!net->xfrm.policy_count[XFRM_POLICY_IN] && !net->xfrm.policy_count[XFRM_POLICY_OUT] &&
	    net->xfrm.policy_default[XFRM_POLICY_IN] != XFRM_USERPOLICY_BLOCK &&
	    net->xfrm.policy_default[XFRM_POLICY_OUT] != XFRM_USERPOLICY_BLOCK)
		return false;
	return v6 || !lo->ip_ptr || !lo->ip_ptr->cnf.data[IPV4_DEVCONF_NOXFRM - 1] ||
	       !lo->ip_ptr->cnf.data[IPV4_DEVCONF_NOPOLICY - 1];
}

fl_inline bool fl_labels(void)
{
	if (fl_ctl.host.lsm != FL_LSM_COUNTED)
		return fl_ctl.host.lsm == FL_LSM_ALWAYS;
	for (int i = 0; i < FL_LSM_USERS; i++)
		if (fl_first(fl_load(fl_ctl.host.lsm_users[i]), 4))
			return true;
	return false;
}

/* What the host's configuration and both ends' policies ask to look at. */
fl_inline __u32 fl_yield_kinds(__u32 flags)
{
	return (flags >> FL_F_YIELD_SHIFT & FL_Y_ALL) | (fl_ctl.yield & ~(flags >> FL_F_YIELD_SET_SHIFT));
}

fl_inline __u32 fl_yield_host(__u64 sk, struct tcp_sock *a, struct tcp_sock *b, __u32 kinds, bool v6)
{
	struct net *net = FL_SKC(a).skc_net.net;
	struct net_device *lo = net->loopback_dev;
	__u64 addr = fl_load(sk + bpf_core_field_offset(struct sock_common, skc_net));

	if (!lo || !(lo->flags & IFF_UP))
		return FL_R_LO_DOWN;
	if ((kinds & FL_Y_PACKET) && bpf_core_field_exists(net->packet) && net->packet.sklist.first &&
	    fl_packet_sockets(addr + bpf_core_field_offset(struct net, packet.sklist), lo->ifindex, v6))
		return FL_R_PACKET_SOCKET;
	if ((kinds & (FL_Y_RULES | FL_Y_HOOKS)) && fl_netfilter(net, lo, addr, v6, kinds & FL_Y_HOOKS))
		return FL_R_NETFILTER;
	if ((kinds & FL_Y_TC) && fl_tc(lo))
		return FL_R_TC;
	if ((kinds & FL_Y_XDP) && lo->xdp_prog)
		return FL_R_XDP;
	if ((kinds & FL_Y_XFRM) && fl_xfrm(net, lo, a, b, v6))
		return FL_R_XFRM;
	if ((kinds & FL_Y_LSM) && fl_labels())
		return FL_R_LSM;
	return FL_R_NONE;
}

#endif
