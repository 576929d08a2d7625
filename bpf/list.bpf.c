// SPDX-License-Identifier: GPL-2.0-only
/*
 * Iterators over the table of pairs. fl_list shows it (its pinned link is what `fastloctl list` reads).
 * fl_sweep is fastlod's housekeeping: it releases what is drained, takes lonely eager ends out, compares
 * with the policies, and makes good what a lost event or a missed end of life left behind.
 */
#include "register.h"

/* Nothing spliced is waiting in b's ingress_msg. */
fl_inline bool fl_ingress_empty(struct tcp_sock *tb)
{
	/* the low bits of sk_user_data are flags */
	__u64 user = (__u64)BPF_CORE_READ(tb, inet_conn.icsk_inet.sk.sk_user_data) & ~7ULL;
	struct sk_psock *psock = (struct sk_psock *)user;

	if (!user)
		return true;
	return (__u64)BPF_CORE_READ(psock, ingress_msg.next) ==
	       user + bpf_core_field_offset(struct sk_psock, ingress_msg);
}

/*
 * May b leave the sockmap? Deleting it discards what is unread in ingress_msg. An empty queue alone does
 * not do: between verdict and queue a message is in neither. So the books must close too: all that a
 * spliced, and all TCP bytes that b copied, were returned.
 */
fl_inline bool fl_released_safely(struct fl_side *a, struct fl_side *b)
{
	struct tcp_sock *tb = fl_live(b);
	__u32 seq;

	if (!tb || !(b->flags & FL_F_ADMITTED) || !a->tx.spliced_bytes)
		return true;
	if (!fl_ingress_empty(tb))
		return false;
	if (!fl_live(a))
		return true; /* its senders are gone, so nothing is under way */
	seq = BPF_CORE_READ(tb, copied_seq);
	if (fl_handed_over(seq, b->base, (__u32)a->tx.spliced_bytes, (__u32)b->rx.returned))
		return true;
	/* having read a's FIN moves copied_seq one further; a sends nothing after it */
	return fl_handed_over(seq - 1, b->base, (__u32)a->tx.spliced_bytes, (__u32)b->rx.returned) &&
	       BPF_CORE_READ(tb, inet_conn.icsk_inet.sk.__sk_common.skc_state) != 1;
}

fl_func void fl_take_out(__u32 index, struct fl_slot *slot, __u32 which)
{
	struct fl_side *side = &slot->side[which & 1];
	__u32 key = index * 2 + (which & 1);

	if (!(__sync_fetch_and_and(&side->flags, ~FL_F_ADMITTED) & FL_F_ADMITTED))
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
	if (!fl_released_safely(&slot->side[0], &slot->side[1]) ||
	    !fl_released_safely(&slot->side[1], &slot->side[0]))
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

/* An endpoint that a policy brought in, and no policy wants any more (or again). */
fl_func void fl_recheck(__u32 index, struct fl_slot *slot)
{
	bool wanted = true;
	__u32 state, flags;

	for (__u32 i = 0; i < 2; i++) {
		struct fl_side *side = &slot->side[i & 1];
		struct tcp_sock *tp = fl_live(side);

		if (!tp || (side->flags & FL_F_SOCKET))
			continue;
		if (!fl_policy_find(tp, slot->port[0], &flags) && !fl_policy_find(tp, slot->port[1], &flags))
			wanted = false;
	}
	state = slot->state;
	if (!wanted && state != FL_RELEASING && state != FL_PLAIN)
		fl_stop(index, slot, FL_R_POLICY_REMOVED);
	else if (wanted && state == FL_PLAIN && slot->stop == FL_R_POLICY_REMOVED) {
		slot->stop = FL_R_NONE;
		fl_move(slot, FL_PLAIN, FL_OBSERVE);
		fl_consider(index, slot);
	}
}

fl_inline void fl_say(struct bpf_iter__bpf_map_elem *ctx, __u32 index, struct fl_slot *slot, __u32 what)
{
	struct fl_sweep_rec rec = { index, what, { slot->side[0].rx.tgid, slot->side[1].rx.tgid } };

	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
}

fl_func void fl_sweep_half(struct bpf_iter__bpf_map_elem *ctx, __u32 index, struct fl_slot *slot)
{
	__u32 which = slot->side[0].flags & FL_F_PRESENT ? 0 : 1;

	if (!(slot->side[which & 1].flags & FL_F_ADMITTED))
		return;
	/* without a peer nothing can have been spliced to it */
	if (fl_ctl.mode != FL_MODE_RUN || bpf_ktime_get_ns() - slot->born > fl_ctl.half_ns)
		fl_take_out(index, slot, which);
	else
		fl_say(ctx, index, slot, FL_SW_HALF);
}

SEC("iter/bpf_map_elem")
int fl_sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	struct fl_slot *slot;
	__u32 index, *key = ctx->key;

	if (!key)
		return 0;
	index = *key;
	if (index >= fl_ctl.fresh)
		return 0;
	slot = fl_slot_at(index);
	if (!slot || slot->state == FL_FREE)
		return 0;
	fl_bury(index, slot);
	if (slot->state == FL_HALF) {
		fl_sweep_half(ctx, index, slot);
		return 0;
	}
	if (fl_ctl.mode != FL_MODE_RUN && slot->state != FL_RELEASING && slot->state != FL_PLAIN)
		fl_stop(index, slot, FL_R_DRAINING);
	if (fl_ctl.mode == FL_MODE_RUN && slot->state == FL_PLAIN && slot->stop == FL_R_DRAINING) {
		slot->stop = FL_R_NONE;
		fl_move(slot, FL_PLAIN, FL_OBSERVE);
	}
	if (fl_ctl.recheck)
		fl_recheck(index, slot);
	fl_consider(index, slot);
	if (slot->state == FL_RELEASING)
		fl_say(ctx, index, slot, fl_release(index, slot) ? FL_SW_RELEASED : FL_SW_RELEASING);
	else if (slot->state == FL_READY)
		fl_say(ctx, index, slot, FL_SW_READY);
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
	if (side->flags & FL_F_UNBASED || (__s32)spliced < 0)
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
	/* a record is more than a BPF stack holds */
	bpf_seq_write(ctx->meta->seq, &raw, sizeof(raw));
	bpf_seq_write(ctx->meta->seq, slot, sizeof(*slot));
	return 0;
}
