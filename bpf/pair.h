/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pair's life: finding the other end, asking for admission, stopping, ending. State moves by
 * compare-and-swap only, and whoever moves it to FREE gives the slot back, so a slot is never given
 * back twice, nor while the sweep is still busy with it (RELEASING).
 */
#ifndef FL_PAIR_H
#define FL_PAIR_H

#include "sock.h"

fl_inline struct fl_slot *fl_slot_at(__u32 index)
{
	return bpf_map_lookup_elem(&fl_slots, &index);
}

fl_inline bool fl_move(struct fl_slot *slot, __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap(&slot->state, from, to) == from;
}

/* Low-rate by nature: once per pair and step. */
fl_func void fl_emit(__u32 type, __u32 index, struct fl_slot *slot)
{
	struct fl_event ev = { .type = type, .slot = index };

	if (slot)
		ev.gen = slot->gen;
	if (bpf_ringbuf_output(&fl_events, &ev, sizeof(ev), BPF_RB_FORCE_WAKEUP))
		fl_total_add(FL_T_LOST_EVENTS, 1);
}

/* Does what its readers do forbid it? FL_R_NONE: no. */
fl_inline __u32 fl_habit_reason(struct fl_side *side)
{
	__u32 habits = side->rx.habits;

	if (habits & FL_HABIT_WAITALL)
		return FL_R_MSG_WAITALL;
	if (habits & FL_HABIT_TRUNC)
		return FL_R_MSG_TRUNC;
	if (habits & FL_HABIT_OOB)
		return FL_R_MSG_OOB;
	if (habits & FL_HABIT_READERS)
		return FL_R_READERS;
	if ((habits & FL_HABIT_BLOCKING) && !(side->flags & (FL_F_EAGER | FL_F_BLOCKING)))
		return FL_R_BLOCKING_READ;
	return FL_R_NONE;
}

fl_inline bool fl_qualifies(struct fl_side *side)
{
	return (side->flags & FL_F_EAGER) || side->rx.reads >= fl_ctl.observe_reads;
}

/* slot->stop is set: take the pair out of the sockmap, or keep it from getting there. */
fl_func void fl_leave(__u32 index, struct fl_slot *slot)
{
	__u32 admitted = (slot->side[0].flags | slot->side[1].flags) & FL_F_ADMITTED;
	__u32 to = admitted ? FL_RELEASING : FL_PLAIN;

	if (!fl_move(slot, FL_ADMITTED, to) && !fl_move(slot, FL_READY, to) && !fl_move(slot, FL_OBSERVE, to))
		return;
	if (admitted)
		fl_emit(FL_EV_RELEASE, index, slot);
}

/* An end has just entered the sockmap. If the pair was stopped meanwhile, the release must hear of it. */
fl_func void fl_entered(__u32 index, struct fl_slot *slot)
{
	if (slot->side[0].flags & slot->side[1].flags & FL_F_ADMITTED)
		fl_move(slot, FL_READY, FL_ADMITTED);
	if (slot->stop) {
		fl_move(slot, FL_PLAIN, FL_READY);
		fl_leave(index, slot);
	}
}

/* Why a pair leaves the sockmap only for a while: it owes FL_DEBT_MAX, or FL_DEBT_FILTERED behind what keeps it on TCP. */
fl_inline bool fl_for_a_while(__u32 reason)
{
	return reason == FL_R_BULK || reason == FL_R_CGROUP_FILTER || reason == FL_R_MEMORY ||
	       (reason >= FL_R_PACKET_SOCKET && reason <= FL_R_LO_DOWN);
}

/* A reason that passes, and so must not hide one that stays. */
fl_inline bool fl_passing(__u32 reason)
{
	return reason == FL_R_DRAINING || reason == FL_R_POLICY_REMOVED || fl_for_a_while(reason);
}

/* How long it then stays with TCP: the longer, the sooner it had to leave each time. */
fl_inline __u64 fl_pause_ns(struct fl_slot *slot)
{
	return fl_ctl.pause_ns << (slot->pauses & 7);
}

fl_inline void fl_pause(struct fl_slot *slot, __u64 now)
{
	if (now - slot->stopped > 2 * fl_pause_ns(slot))
		slot->pauses = 0;
	else if (slot->pauses < FL_PAUSES_MAX)
		slot->pauses++;
}

fl_func void fl_stop(__u32 index, struct fl_slot *slot, __u32 reason)
{
	__u32 old = slot->stop;

	if (old == FL_R_NONE || (fl_passing(old) && reason != old && reason != FL_R_DRAINING)) {
		if (__sync_val_compare_and_swap(&slot->stop, old, reason) == old) {
			__u64 now = bpf_ktime_get_ns();

			if (fl_for_a_while(reason))
				fl_pause(slot, now);
			slot->stopped = now;
			fl_count(reason);
		}
	}
	fl_leave(index, slot);
}

/* Call whenever something changed that admission depends on. Cheap when there is nothing to do. */
fl_func void fl_consider(__u32 index, struct fl_slot *slot)
{
	struct fl_side *a = &slot->side[0], *b = &slot->side[1];
	__u32 reason;
	int by_edge;

	if (slot->state != FL_OBSERVE && slot->state != FL_READY && slot->state != FL_ADMITTED)
		return;
	reason = fl_habit_reason(a);
	if (!reason)
		reason = fl_habit_reason(b);
	if (reason) {
		fl_stop(index, slot, reason);
		return;
	}
	if (slot->stop) {
		/* stopped while it was HALF, or between two steps of an admission */
		fl_leave(index, slot);
		return;
	}
	if (slot->state == FL_READY && (a->flags & b->flags & FL_F_ADMITTED)) {
		fl_move(slot, FL_READY, FL_ADMITTED);
		return;
	}
	if (slot->state != FL_OBSERVE || fl_ctl.mode != FL_MODE_RUN)
		return;
	if (!(a->flags & b->flags & FL_F_PRESENT) || ((a->flags | b->flags) & FL_F_CLOSED))
		return;
	if (fl_limited(a->sk) || fl_limited(b->sk)) {
		fl_stop(index, slot, FL_R_MEMORY);
		return;
	}
	/* before anything is counted: whoever waits by edges waits so from its first receive on */
	by_edge = fl_by_edge(a->sk);
	if (!by_edge)
		by_edge = fl_by_edge(b->sk);
	if (by_edge > 0)
		fl_stop(index, slot, FL_R_EDGE_TRIGGERED);
	if (by_edge || !fl_qualifies(a) || !fl_qualifies(b))
		return;
	if (a->flags & b->flags & FL_F_ADMITTED)
		fl_move(slot, FL_OBSERVE, FL_ADMITTED);
	else if (fl_move(slot, FL_OBSERVE, FL_READY))
		fl_emit(FL_EV_ADMIT, index, slot);
}

/*
 * A user's share of the table. Without it one process takes all slots, and everybody else's connections stay TCP
 * (test_share). An entry that is deleted while another CPU counts it up loses that one: the share is then one slot
 * larger, never smaller.
 */
fl_func bool fl_share_take(__u32 uid)
{
	__s32 none = 0, *taken = bpf_map_lookup_elem(&fl_uids, &uid);
	__u32 most = fl_ctl.max_per_uid;

	if (!taken) {
		bpf_map_update_elem(&fl_uids, &uid, &none, BPF_NOEXIST);
		taken = bpf_map_lookup_elem(&fl_uids, &uid);
		if (!taken)
			return true;
	}
	if (__sync_fetch_and_add(taken, 1) < (__s32)most || !most)
		return true;
	__sync_fetch_and_add(taken, -1);
	return false;
}

fl_func void fl_share_give(__u32 uid)
{
	__s32 *taken = bpf_map_lookup_elem(&fl_uids, &uid);

	if (taken && __sync_fetch_and_add(taken, -1) <= 1)
		bpf_map_delete_elem(&fl_uids, &uid);
}

fl_inline void fl_give_back(__u32 index, struct fl_slot *slot)
{
	fl_share_give(slot->uid);
	slot->gen++;
	bpf_map_push_elem(&fl_free, &index, 0);
}

/* Both ends are gone: the one that wins the swap gives the slot back. RELEASING belongs to the sweep. */
fl_func void fl_reclaim(__u32 index, struct fl_slot *slot)
{
	for (int i = 0; i < 4; i++) {
		__u32 state = slot->state;

		if (state == FL_FREE || state == FL_RELEASING)
			return;
		if (fl_move(slot, state, FL_FREE)) {
			fl_give_back(index, slot);
			return;
		}
	}
}

/* A side's socket is gone (or is used for another connection). tp may be NULL when it can't be read. */
fl_func void fl_end(__u32 index, struct fl_slot *slot, __u32 which, struct tcp_sock *tp)
{
	struct fl_side *side = &slot->side[which & 1];
	__u32 bit = 1U << (which & 1);

	if (__sync_fetch_and_or(&slot->dead, bit) & bit)
		return;
	side->cookie = 0;
	__sync_fetch_and_or(&side->flags, FL_F_CLOSED);
	fl_total_add(FL_T_SPLICED_BYTES, side->tx.spliced_bytes);
	fl_total_add(FL_T_SPLICED_MSGS, side->tx.spliced_msgs);
	if (tp)
		fl_total_add(FL_T_TCP_BYTES, fl_tcp_bytes(tp));
	if (slot->state == FL_HALF) {
		struct fl_key key = { .netns = slot->netns };
		__u32 *pending;

		__builtin_memcpy(key.addr, slot->addr, sizeof(key.addr));
		key.port[0] = slot->port[0];
		key.port[1] = slot->port[1];
		if (fl_move(slot, FL_HALF, FL_FREE)) {
			pending = bpf_map_lookup_elem(&fl_pending, &key);
			if (pending && *pending == index)
				bpf_map_delete_elem(&fl_pending, &key);
			fl_give_back(index, slot);
			return;
		}
	}
	if ((slot->dead & 3) == 3)
		fl_reclaim(index, slot);
}

#endif
