/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is on the loopback device: tcx and XDP programs by id, queueing disciplines by kind, tc's filters by kind and,
 * for BPF, program.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "causes.h"

#define TCX_INGRESS 46 /* enum bpf_attach_type, Linux 6.6; libbpf 1.1 has no names for them */
#define TCX_EGRESS 47

struct on_device {
	struct json_object *list;
	int lo;
	const char *side;
};

static void tcx(struct json_object *list, unsigned int lo, int type, const char *side)
{
	uint32_t ids[64], n = sizeof(ids) / sizeof(ids[0]);

	if (bpf_prog_query((int)lo, type, 0, NULL, ids, &n) < 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		causes_add_program(list, side, ids[i]);
}

static void on_qdisc(const void *payload, int len, void *arg)
{
	const struct tcmsg *tc = payload;
	const struct rtattr *kind = netlink_attr(payload, len, sizeof(*tc), TCA_KIND);
	struct on_device *d = arg;

	if (tc->tcm_ifindex == d->lo && kind && strcmp(RTA_DATA(kind), "noqueue") != 0)
		causes_add(d->list, "tc qdisc %s on lo", (const char *)RTA_DATA(kind));
}

static void on_filter(const void *payload, int len, void *arg)
{
	const struct tcmsg *tc = payload;
	const struct rtattr *kind = netlink_attr(payload, len, sizeof(*tc), TCA_KIND), *id;
	struct on_device *d = arg;
	char prefix[64];
	uint32_t number;

	id = netlink_nested(netlink_attr(payload, len, sizeof(*tc), TCA_OPTIONS), TCA_BPF_ID);
	if (!kind || tc->tcm_ifindex != d->lo)
		return;
	snprintf(prefix, sizeof(prefix), "tc filter %.16s on lo %s", (const char *)RTA_DATA(kind), d->side);
	if (strcmp(RTA_DATA(kind), "bpf") == 0 && id) {
		memcpy(&number, RTA_DATA(id), sizeof(number));
		causes_add_program(d->list, prefix, number);
	} else if (tc->tcm_handle) {
		causes_add(d->list, "%s", prefix);
	}
}

void causes_tc(struct json_object *list, unsigned int lo)
{
	struct tcmsg at = { .tcm_family = AF_UNSPEC, .tcm_ifindex = (int)lo };
	struct on_device d = { list, (int)lo, "ingress" };

	tcx(list, lo, TCX_INGRESS, "tcx on lo ingress");
	tcx(list, lo, TCX_EGRESS, "tcx on lo egress");
	netlink_dump(NETLINK_ROUTE, RTM_GETQDISC, &at, sizeof(at), on_qdisc, &d);
	at.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
	netlink_dump(NETLINK_ROUTE, RTM_GETTFILTER, &at, sizeof(at), on_filter, &d);
	at.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
	d.side = "egress";
	netlink_dump(NETLINK_ROUTE, RTM_GETTFILTER, &at, sizeof(at), on_filter, &d);
}

void causes_xdp(struct json_object *list, unsigned int lo)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	if (bpf_xdp_query((int)lo, 0, &opts) == 0 && (opts.prog_id || opts.skb_prog_id))
		causes_add_program(list, "XDP on lo", opts.prog_id ? opts.prog_id : opts.skb_prog_id);
}
