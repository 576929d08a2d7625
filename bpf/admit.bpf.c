// SPDX-License-Identifier: GPL-2.0-only
/*
 * New connections: opted-in ends are registered and paired when established, eager ones are admitted at
 * once. A socket that did not opt in costs one load here, and nothing after.
 */
#include "register.h"

/* Admits the socket of this callback; its peer may still be missing. */
fl_func void fl_admit_now(struct bpf_sock_ops *ops, struct fl_sk *st)
{
	__u32 index = st->slot - 1, which = st->side & 1, key = index * 2 + which;
	struct fl_slot *slot = fl_slot_at(index);
	long err;

	if (!slot)
		return;
	err = bpf_sock_map_update(ops, &fl_sock, &key, BPF_ANY);
	if (err) {
		fl_stop(index, slot, err == -EBUSY ? FL_R_PSOCK_BUSY : FL_R_ADMIT_FAILED);
		return;
	}
	__sync_fetch_and_or(&slot->side[which].flags, FL_F_ADMITTED | FL_F_AT_BIRTH);
	fl_total_add(FL_T_ADMITTED, 1);
	/* Most have their peer a moment later. One event is enough to have those looked at that have not. */
	if (slot->state == FL_HALF && !fl_ctl.halves) {
		fl_ctl.halves = 1;
		fl_emit(FL_EV_HALF, index, slot);
	}
	fl_entered(index, slot);
}

/*
 * An observed end takes nothing yet: most connections are over before anybody could know how they are read. A mark
 * that TCP carries for sockops programs tells the observer to enter it later (fl_enter). Without it: connects per second
 * at 0.89 of plain TCP's.
 */
fl_func bool fl_put_off(struct bpf_sock_ops *ops, struct tcp_sock *tp, bool active, __u32 flags)
{
	if ((flags & FL_F_EAGER) || !fl_has_observer || !fl_is_local(tp) || fl_is_mptcp(tp))
		return false;
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | FL_MARK | (active ? 0 : FL_MARK_SERVER));
	return true;
}

/* Is it opted in, by itself or by a policy, and to be entered now? Returns its storage with flags set, or NULL. */
fl_func struct fl_sk *fl_opted_in(struct bpf_sock_ops *ops, struct tcp_sock *tp, bool active)
{
	struct fl_sk *st = bpf_sk_storage_get(&fl_sk, tp, NULL, 0);
	__u32 flags = 0, key;
	__u16 port;

	if (st && st->slot) {
		struct fl_slot *slot = fl_slot_at(st->slot - 1);

		/*
		 * connect(AF_UNSPEC) and connect again: the old pair ends here, and what was unread in its queue with
		 * it. (A child of a listener that was once connected only copied the number.)
		 */
		if (active && slot && slot->side[st->side & 1].sk == (__u64)tp) {
			key = (st->slot - 1) * 2 + (st->side & 1);
			fl_end(st->slot - 1, slot, st->side, NULL);
			bpf_map_delete_elem(&fl_sock, &key);
		}
		st->slot = 0;
	}
	if (st && (st->flags & FL_F_SOCKET))
		return st;
	if (!fl_ctl.shapes)
		return NULL;
	port = active ? bpf_ntohs(FL_SKC(tp).skc_dport) : FL_SKC(tp).skc_num;
	if (!fl_policy_for(tp, port, &flags)) {
		if (st)
			st->flags = 0;
		return NULL;
	}
	if (st) {
		st->flags = flags;
		st->refused = FL_R_NONE;
	}
	if (fl_put_off(ops, tp, active, flags))
		return NULL;
	if (!st)
		st = bpf_sk_storage_get(&fl_sk, tp, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (st)
		st->flags = flags;
	return st;
}

SEC("sockops")
int fl_sockops(struct bpf_sock_ops *ops)
{
	bool active = ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB;
	struct fl_who who = {};
	struct tcp_sock *tp;
	struct bpf_sock *sk;
	struct fl_slot *slot;
	struct fl_sk *st;

	if (!active && ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 1;
	if (!fl_ctl.shapes && !FL_SK(tp).sk_bpf_storage)
		return 1;
	st = fl_opted_in(ops, tp, active);
	if (!st)
		return 1;
	if (!fl_is_local(tp))
		st->refused = FL_R_NOT_LOCAL;
	else if (fl_is_mptcp(tp))
		st->refused = FL_R_MPTCP;
	else if (!fl_has_observer && !(st->flags & FL_F_EAGER))
		st->refused = FL_R_NO_OBSERVER;
	else {
		who.tp = tp;
		who.cookie = bpf_get_socket_cookie(ops);
		who.server = !active;
		/*
		 * Another thread may sit in a receive since before connect() came through. When two connect() meet, the
		 * kernel calls an end passive; but it has an owner, and no accept(2) stands between it and a reader.
		 */
		who.flags = st->flags | (active || FL_SK(tp).sk_socket ? FL_F_LATE : 0);
		st->refused = fl_register(&who, st);
	}
	if (st->refused) {
		fl_count(st->refused);
		return 1;
	}
	if ((st->flags & FL_F_EAGER) && fl_ctl.mode == FL_MODE_RUN)
		fl_admit_now(ops, st);
	slot = fl_slot_at(st->slot - 1);
	if (slot)
		fl_consider(st->slot - 1, slot);
	return 1;
}
