// SPDX-License-Identifier: GPL-2.0-only
/*
 * Iterators over the table of pairs. fl_list shows it (`fastloctl list` reads one that fastlod opened).
 * fl_sweep is fastlod's housekeeping: it releases what is drained, takes lonely eager ends out, compares
 * with the policies, and makes good what a lost event or a missed end of life left behind.
 */
#include "register.h"

/* Nothing spliced is waiting in b's ingress_msg. */
fl_inline bool fl_ingress_empty(struct tcp_sock *tb)
{
	struct sk_psock *psock = fl_psock(tb);

	return !psock || (__u64)BPF_CORE_READ(psock, ingress_msg.next) ==
				 (__u64)psock + bpf_core_field_offset(struct sk_psock, ingress_msg);
}

/*
 * No message of a is between its verdict and b's queue. tcp_bpf_sendmsg() holds a reference to a's psock from
 * before the verdict to after the queue, and whoever starts later sees slot->stop; so does a reader of a that is
 * parked in tcp_bpf_recvmsg(), and then the books decide: all that a spliced, and all TCP bytes that b copied,
 * were returned.
 */
fl_inline bool fl_none_under_way(struct fl_side *a, struct fl_side *b, struct tcp_sock *tb)
{
	struct tcp_sock *ta = fl_live(a);
	struct sk_psock *psock;

	if (!ta)
		return true; /* its senders are gone */
	psock = fl_psock(ta);
	if (!psock || BPF_CORE_READ(psock, refcnt.refs.counter) == 1)
		return true;
	return fl_handed_over(BPF_CORE_READ(tb, copied_seq), b->base, (__u32)a->tx.spliced_bytes,
			      (__u32)b->rx.returned);
}

/* May b leave the sockmap? Deleting it discards what is unread in ingress_msg. In this order, not the other. */
fl_inline bool fl_released_safely(struct fl_side *a, struct fl_side *b, __u32 epoch)
{
	struct tcp_sock *tb = fl_live(b);

	if (!tb || !(b->flags & FL_F_ADMITTED) || b->drained == epoch + 1 || !a->tx.spliced_bytes)
		return true;
	return fl_none_under_way(a, b, tb) && fl_ingress_empty(tb);
}

fl_func void fl_take_out(__u32 index, struct fl_slot *slot, __u32 which)
{
	struct fl_side *side = &slot->side[which & 1];
	__u32 key = index * 2 + (which & 1);

	if (!(__sync_fetch_and_and(&side->flags, ~(FL_F_ADMITTED | FL_F_AT_BIRTH)) & FL_F_ADMITTED))
		return;
	if (!bpf_map_delete_elem(&fl_sock, &key))
		fl_total_add(FL_T_RELEASED, 1);
}

/* An end that the destroy hook missed (no program runs twice on one CPU at once) is found by its cookie. */
fl_func void fl_bury(__u32 index, struct fl_slot *slot)
{
	for (__u32 i = 0; i < 2; i++) {
		struct fl_side *side = &slot->side[i & 1];

		if ((side->flags & FL_F_PRESENT) && !(side->flags & FL_F_CLOSED) && !fl_live(side))
			fl_end(index, slot, i, NULL);
	}
}

fl_func bool fl_release(__u32 index, struct fl_slot *slot)
{
	if (!fl_released_safely(&slot->side[0], &slot->side[1], slot->epoch) ||
	    !fl_released_safely(&slot->side[1], &slot->side[0], slot->epoch))
		return false;
	fl_take_out(index, slot, 0);
	fl_take_out(index, slot, 1);
	slot->side[0].tx.engaged = 0;
	slot->side[1].tx.engaged = 0;
	fl_move(slot, FL_RELEASING, FL_PLAIN);
	if ((slot->dead & 3) == 3)
		fl_reclaim(index, slot);
	return true;
}

/* Back to where it was before it was stopped for a reason that has passed. */
fl_func void fl_again(__u32 index, struct fl_slot *slot, __u32 reason)
{
	__sync_fetch_and_add(&slot->epoch, 1);
	for (__u32 i = 0; i < 2; i++) {
		slot->side[i & 1].tx.debt = 0;
		slot->side[i & 1].doubts = 0;
	}
	if (__sync_val_compare_and_swap(&slot->stop, reason, FL_R_NONE) == reason && fl_move(slot, FL_PLAIN, FL_OBSERVE))
		fl_consider(index, slot);
}

/* An endpoint that a policy brought in, and no policy wants any more (or again). */
fl_func void fl_recheck(__u32 index, struct fl_slot *slot)
{
	bool wanted = true;
	__u32 state, flags, uid;
	struct cgroup *cg;

	for (__u32 i = 0; i < 2; i++) {
		struct fl_side *side = &slot->side[i & 1];
		struct tcp_sock *tp = fl_live(side);

		if (!tp || (side->flags & FL_F_SOCKET))
			continue;
		cg = BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.sk_cgrp_data.cgroup);
		uid = BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.sk_uid.val);
		if (!fl_policy_find(cg, uid, slot->port[0], &flags) && !fl_policy_find(cg, uid, slot->port[1], &flags)) {
			wanted = false;
			continue;
		}
		/* on the terms of the policy as it is now */
		__sync_fetch_and_and(&side->flags, ~FL_F_TERMS);
		__sync_fetch_and_or(&side->flags, flags & FL_F_TERMS);
	}
	state = slot->state;
	if (!wanted)
		fl_stop(index, slot, FL_R_POLICY_REMOVED);
	else if (wanted && state == FL_PLAIN && slot->stop == FL_R_POLICY_REMOVED) {
		fl_again(index, slot, FL_R_POLICY_REMOVED);
	}
}

/* An eager end that has no peer (yet). Returns what the sweep says of it. */
fl_inline __u32 fl_sweep_half(__u32 index, struct fl_slot *slot)
{
	__u32 which = slot->side[0].flags & FL_F_PRESENT ? 0 : 1;
	struct fl_side *side = &slot->side[which & 1];
	__u32 key = index * 2 + (which & 1);

	if (!(side->flags & FL_F_ADMITTED))
		return 0;
	if (fl_ctl.mode == FL_MODE_RUN && bpf_ktime_get_ns() - slot->born <= fl_ctl.half_ns)
		return FL_SW_HALF;
	/* The flag first: without it no peer that comes now splices to this end. */
	__sync_fetch_and_and(&side->flags, ~(FL_F_ADMITTED | FL_F_AT_BIRTH));
	if (slot->state != FL_HALF)
		__sync_fetch_and_or(&side->flags, FL_F_ADMITTED);
	else if (!bpf_map_delete_elem(&fl_sock, &key))
		fl_total_add(FL_T_RELEASED, 1);
	return 0;
}

/* Whatever one slot needs. Returns an enum fl_sweep_what, or 0. */
fl_global int fl_tend(__u32 index)
{
	struct fl_slot *slot = fl_slot_at(index);
	__u32 what = 0;

	if (!slot || slot->state == FL_FREE)
		return 0;
	fl_bury(index, slot);
	if (slot->state == FL_HALF)
		return fl_sweep_half(index, slot);
	if (fl_ctl.mode != FL_MODE_RUN && slot->state != FL_RELEASING && slot->state != FL_PLAIN)
		fl_stop(index, slot, FL_R_DRAINING);
	if (slot->state == FL_RELEASING && !fl_release(index, slot))
		what = FL_SW_RELEASING;
	/* what was stopped for a passing reason is compared again each time: it may have passed while RELEASING */
	if (fl_ctl.recheck || (slot->state == FL_PLAIN && fl_passing(slot->stop)))
		fl_recheck(index, slot);
	if (fl_ctl.mode == FL_MODE_RUN && slot->state == FL_PLAIN && slot->stop == FL_R_DRAINING)
		fl_again(index, slot, FL_R_DRAINING);
	if (fl_ctl.mode == FL_MODE_RUN && slot->state == FL_PLAIN && fl_for_a_while(slot->stop)) {
		what = FL_SW_PAUSED;
		if (bpf_ktime_get_ns() - slot->stopped >= fl_pause_ns(slot))
			fl_again(index, slot, slot->stop);
	}
	fl_consider(index, slot);
	return slot->state == FL_READY ? FL_SW_READY : what;
}

SEC("iter/bpf_map_elem")
int fl_sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	struct fl_sweep_rec rec = {};
	__u32 *key = ctx->key;

	if (!key)
		return 0;
	rec.slot = *key * FL_CHUNK;
	for (__u32 i = 0; i < FL_CHUNK && rec.slot < fl_ctl.fresh; i++, rec.slot++) {
		rec.what = fl_tend(rec.slot);
		if (rec.what)
			bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	}
	return 0;
}

fl_inline void fl_live_part(struct fl_record *rec, struct fl_slot *slot, __u32 which)
{
	struct fl_side *side = &slot->side[which & 1], *peer = &slot->side[!which];
	struct tcp_sock *tp = fl_live(side);
	__u32 tcp, spliced;

	if (!tp)
		return;
	rec->live[which].alive = 1;
	rec->live[which].tcp_bytes = fl_tcp_bytes(tp);
	tcp = BPF_CORE_READ(tp, rcv_nxt) - BPF_CORE_READ(tp, copied_seq);
	/* spliced and unread: all of it, less what was returned beyond the TCP bytes */
	spliced = (BPF_CORE_READ(tp, copied_seq) - side->base) + (__u32)peer->tx.spliced_bytes -
		  (__u32)side->rx.returned;
	if (side->flags & FL_F_UNBASED || slot->state == FL_PLAIN || (__s32)spliced < 0)
		spliced = 0;
	rec->live[which].queued = tcp + spliced;
}

SEC("iter/bpf_map_elem")
int fl_list(struct bpf_iter__bpf_map_elem *ctx)
{
	struct {
		__u64 head[5];
	} raw = {};
	struct fl_record *rec = (struct fl_record *)&raw;
	struct fl_slot *slot;
	__u32 index, *key = ctx->key;
	__u64 no_sk = 0;

	if (!key)
		return 0;
	index = *key;
	if (index >= fl_ctl.fresh)
		return 0;
	slot = fl_slot_at(index);
	if (!slot || slot->state == FL_FREE)
		return 0;
	rec->slot = index;
	fl_live_part(rec, slot, 0);
	fl_live_part(rec, slot, 1);
	/* in parts: a record is more than a BPF stack holds, and its reader gets no kernel address */
	bpf_seq_write(ctx->meta->seq, &raw, sizeof(raw));
	bpf_seq_write(ctx->meta->seq, slot, offsetof(struct fl_slot, side));
	for (__u32 i = 0; i < 2; i++) {
		bpf_seq_write(ctx->meta->seq, &no_sk, sizeof(no_sk));
		bpf_seq_write(ctx->meta->seq, &slot->side[i & 1].cookie, sizeof(struct fl_side) - sizeof(no_sk));
	}
	return 0;
}
