/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entering an opted-in, established socket into the table: matching policies, taking a slot, finding
 * the other end by key. Used by sockops (new connections) and adoption (open ones).
 */
#ifndef FL_REGISTER_H
#define FL_REGISTER_H

#include "pair.h"

struct fl_who {
	struct tcp_sock *tp;
	__u64 cookie;
	__u32 flags;  /* FL_F_*: of the opt-in, and LATE, UNBASED */
	__u32 server; /* it is the side that listened; 2: not known */
};

/*
 * How an end that is to be entered later is told from others, without any memory of ours: flags of the socket that ask for
 * sockops calls at its retransmissions, which are rare and which fl_sockops ignores. Other programs may set them, too:
 * a policy is looked up before anything comes of it.
 */
#define FL_MARK BPF_SOCK_OPS_RTO_CB_FLAG
#define FL_MARK_SERVER BPF_SOCK_OPS_RETRANS_CB_FLAG

/* One at a time gives a socket its slot: the observer, on any of its readers' threads, or fl_scan. */
fl_inline bool fl_claim(struct fl_sk *st)
{
	return !(__sync_fetch_and_or(&st->flags, FL_F_ENTERING) & FL_F_ENTERING);
}

fl_inline void fl_unclaim(struct fl_sk *st)
{
	__sync_fetch_and_and(&st->flags, ~FL_F_ENTERING);
}

struct fl_search {
	struct cgroup *cg;
	__u32 uid, shapes;
	__u16 port;
	bool found;
	__u32 flags;
};

/* One cgroup; 1 ends the search. */
static long fl_policy_at(__u32 depth, struct fl_search *s)
{
	struct cgroup *cg = s->cg;
	__u32 with_cgroup = cg && depth < FL_CGROUP_DEPTH ? FL_SHAPE_CGROUP : 0;
	struct fl_policy_key key = {};
	struct fl_policy *p;

	key.cgroup = with_cgroup ? BPF_CORE_READ(cg, kn, id) : 0;
	for (int low = 3; low >= 0; low--) {
		key.shape = with_cgroup | low;
		if (!(s->shapes & (1U << key.shape)) || !key.shape)
			continue;
		key.port = low & FL_SHAPE_PORT ? s->port : 0;
		key.uid = low & FL_SHAPE_UID ? s->uid : 0;
		p = bpf_map_lookup_elem(&fl_policy, &key);
		if (p) {
			s->flags = FL_F_POLICY | (p->flags & FL_F_TERMS);
			s->found = true;
			return 1;
		}
	}
	if (!with_cgroup)
		return 1;
	/* `self` is the first member of struct cgroup */
	s->cg = (struct cgroup *)BPF_CORE_READ(cg, self.parent);
	return 0;
}

/*
 * The cgroup of the socket and its ancestors, deepest first; at one depth the narrower selector wins.
 * bpf_loop: Linux 6.1 refuses a loop that clang laid out to be entered in its middle ("back-edge from
 * insn"; 6.12 takes it), and which layout it gets changes with every edit.
 */
fl_func bool fl_policy_find(struct cgroup *cg, __u32 uid, __u16 port, __u32 *flags)
{
	struct fl_search s = { .cg = cg, .uid = uid, .shapes = fl_ctl.shapes, .port = port };

	bpf_loop(FL_CGROUP_DEPTH + 1, fl_policy_at, &s, 0);
	if (s.found)
		*flags = s.flags;
	return s.found;
}

/* tp: a BTF pointer, read directly */
fl_inline bool fl_policy_for(struct tcp_sock *tp, __u16 port, __u32 *flags)
{
	return fl_policy_find(FL_SK(tp).sk_cgrp_data.cgroup, FL_SK(tp).sk_uid.val, port, flags);
}

fl_func void fl_fill(struct fl_side *side, struct fl_who *who)
{
	struct tcp_sock *tp = who->tp;

	side->sk = (__u64)tp;
	side->cookie = who->cookie;
	side->cgroup = fl_cgroup_id(tp);
	side->uid = FL_SK(tp).sk_uid.val;
	side->base = tp->copied_seq;
	side->reads_at_admit = 0;
	side->doubts = 0;
	__builtin_memset(&side->tx, 0, sizeof(side->tx));
	__builtin_memset(&side->rx, 0, sizeof(side->rx));
	/* an atomic exchange orders all of the above before PRESENT */
	__sync_lock_test_and_set(&side->flags, who->flags | FL_F_PRESENT);
}

fl_func struct fl_slot *fl_alloc(__u32 *ret_index)
{
	struct fl_slot *slot;
	__u32 index;

	if (bpf_map_pop_elem(&fl_free, &index)) {
		index = __sync_fetch_and_add(&fl_ctl.fresh, 1);
		slot = fl_slot_at(index);
		if (!slot) {
			__sync_fetch_and_add(&fl_ctl.fresh, -1);
			return NULL;
		}
	} else {
		slot = fl_slot_at(index);
		if (!slot)
			return NULL;
	}
	slot->stop = FL_R_NONE;
	slot->stopped = 0;
	slot->pauses = 0;
	__sync_fetch_and_add(&slot->epoch, 1);
	slot->dead = 0;
	slot->side[0].flags = 0;
	slot->side[1].flags = 0;
	slot->side[0].cookie = 0;
	slot->side[1].cookie = 0;
	slot->side[0].rx.tgid = 0;
	slot->side[1].rx.tgid = 0;
	slot->id = __sync_fetch_and_add(&fl_ctl.ids, 1) + 1;
	slot->born = bpf_ktime_get_ns();
	*ret_index = index;
	return slot;
}

fl_inline bool fl_is_key(struct fl_slot *slot, struct fl_key *key)
{
	/* word by word: there is no memcmp() to call */
	const __u64 *a = (const __u64 *)slot->addr, *b = (const __u64 *)key->addr;

	return slot->netns == key->netns && a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] &&
	       slot->port[0] == key->port[0] && slot->port[1] == key->port[1];
}

fl_func bool fl_join(struct fl_key *key, __u32 index, __u32 side, struct fl_who *who)
{
	struct fl_slot *slot = fl_slot_at(index);

	/* The same end again: a stale entry, its socket not destroyed yet. */
	if (!slot || (slot->side[side & 1].flags & FL_F_PRESENT))
		return false;
	if (!fl_is_key(slot, key) || !fl_move(slot, FL_HALF, FL_OBSERVE))
		return false;
	/* the slot of a pair that ended in between may be another pair's by now */
	if (!fl_is_key(slot, key)) {
		fl_move(slot, FL_OBSERVE, FL_HALF);
		return false;
	}
	fl_fill(&slot->side[side & 1], who);
	bpf_map_delete_elem(&fl_pending, key);
	fl_total_add(FL_T_PAIRS, 1);
	return true;
}

/* On success st->slot and st->side say where; otherwise the reason is returned and st->slot is 0. */
fl_func __u32 fl_register(struct fl_who *who, struct fl_sk *st)
{
	struct fl_addr local, remote;
	struct fl_slot *slot;
	struct fl_key key;
	__u32 index, other, *pending, uid = FL_SK(who->tp).sk_uid.val;
	int side;

	fl_addrs(who->tp, &local, &remote);
	side = fl_key_make(&key, who->tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->net_cookie, &local,
			   &remote);
	if (side < 0)
		return FL_R_SELF_CONNECT;
	pending = bpf_map_lookup_elem(&fl_pending, &key);
	if (pending) {
		index = *pending;
		if (fl_join(&key, index, side, who))
			goto out;
	}
	if (!fl_share_take(uid))
		return FL_R_UID_FULL;
	slot = fl_alloc(&index);
	if (!slot) {
		fl_share_give(uid);
		return FL_R_TABLE_FULL;
	}
	slot->uid = uid;
	slot->netns = key.netns;
	__builtin_memcpy(slot->addr, key.addr, sizeof(slot->addr));
	slot->port[0] = key.port[0];
	slot->port[1] = key.port[1];
	slot->server = who->server == 2 ? 2 : who->server ? side : !side;
	fl_fill(&slot->side[side & 1], who);
	__sync_lock_test_and_set(&slot->state, FL_HALF);
	if (!bpf_map_update_elem(&fl_pending, &key, &index, BPF_NOEXIST))
		goto out;
	/* the other end came in between (test_observed, ends_that_meet), or an entry is stale */
	pending = bpf_map_lookup_elem(&fl_pending, &key);
	other = pending ? *pending : index;
	if (other != index && fl_join(&key, other, side, who)) {
		slot->state = FL_FREE;
		fl_give_back(index, slot);
		index = other;
	} else if (bpf_map_update_elem(&fl_pending, &key, &index, BPF_ANY)) {
		slot->state = FL_FREE;
		fl_give_back(index, slot);
		return FL_R_TABLE_FULL;
	}
out:
	st->side = side;
	st->slot = index + 1;
	return FL_R_NONE;
}

/* An open connection, opted in by a policy. It may be in the middle of a receive: copied_seq means nothing until one has completed. */
fl_func void fl_adopt(struct tcp_sock *tp, struct fl_sk *st, __u32 flags, __u32 server)
{
	struct fl_who who = { .tp = tp, .server = server };
	struct fl_slot *slot;

	st->flags = FL_F_ENTERING | flags;
	who.cookie = bpf_get_socket_cookie(tp);
	who.flags = flags | FL_F_LATE | FL_F_UNBASED;
	st->refused = fl_register(&who, st);
	if (st->refused) {
		fl_count(st->refused);
		return;
	}
	slot = fl_slot_at(st->slot - 1);
	if (slot)
		fl_consider(st->slot - 1, slot);
}

#endif
