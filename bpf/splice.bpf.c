// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hot path: one verdict per message, under the sender's socket lock. Only two outcomes: redirect into
 * the peer's ingress_msg, or SK_PASS with a reason. The redirect helper's own return value never leaves
 * here: a miss is SK_DROP, and the application would get EACCES.
 */
#define FL_HOT
#include "host.h"
#include "yield.h"

#define FL_DOUBTS 16
#define FL_DOUBT_NS 1000000000ULL

/* All was read, and yet rule 2 says no, time and again: somebody reads who is not observed. */
fl_inline bool fl_unseen(struct fl_side *a)
{
	__u64 now = bpf_ktime_get_ns();

	if (!a->doubts++)
		a->doubted = now;
	return a->doubts > FL_DOUBTS && now - a->doubted > FL_DOUBT_NS;
}

/* The packets would be IPv6; a mapped address means IPv4. */
fl_inline bool fl_is_v6(struct fl_slot *slot)
{
	const __u32 *word = (const __u32 *)slot->addr[0];

	return word[0] || word[1] || word[2] != bpf_htonl(0xffff);
}

/* May the direction A -> B carry this message past TCP? */
fl_inline __u32 fl_verdict(__u32 index, struct fl_slot *slot, struct fl_side *a, struct fl_side *b,
			   struct tcp_sock *ta, __u32 size)
{
	struct tcp_sock *tb;
	__u32 reason, flags = b->flags, spliced = (__u32)a->tx.spliced_bytes, rcvbuf, window, unread, limit;

	if (slot->stop)
		return slot->stop;
	if (fl_ctl.mode != FL_MODE_RUN)
		return fl_ctl.mode == FL_MODE_UNFIT ? FL_R_KERNEL_UNFIT : FL_R_DRAINING;
	if (!(flags & FL_F_PRESENT))
		return FL_R_PEER_NOT_OPTED_IN;
	if (!(flags & FL_F_ADMITTED))
		return FL_R_OBSERVING;
	tb = FL_CAST(b->sk, struct tcp_sock);
	if (!b->cookie ||
	    FL_READ(tb, inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter) != (__s64)b->cookie)
		return FL_R_PEER_GONE;

	reason = fl_yield_ends(ta, tb);
	/* filters before the engage rule: the TCP bytes that one brings about must not hide it */
	if (!reason)
		reason = fl_yield_filters(ta, tb);
	if (!reason)
		reason = fl_yield_host(a->sk, ta, tb, fl_yield_kinds(a->flags) | fl_yield_kinds(flags), fl_is_v6(slot));
	if (reason)
		return reason;
	/* rule 1 first: it is what most often says no, and it costs one load */
	if (!fl_drained(ta->write_seq, FL_READ(tb, copied_seq)))
		return FL_R_NOT_DRAINED;
	/* `engaged` alone does not do: a call that waited for sndbuf may add TCP bytes after another thread's splice */
	if (!a->tx.engaged || a->tx.seq != ta->write_seq) {
		if (flags & FL_F_UNBASED)
			return FL_R_NO_READ_YET;
		if ((flags & FL_F_LATE) && b->rx.reads == b->reads_at_admit && !fl_left_alone(b))
			return FL_R_NO_READ_YET;
		if (!fl_handed_over(ta->write_seq, b->base, spliced, (__u32)b->rx.returned)) {
			if (fl_unseen(a))
				fl_stop(index, slot, FL_R_UNSEEN_READER);
			return FL_R_NOT_HANDED_OVER;
		}
		a->doubts = 0;
		if ((b->rx.habits & FL_HABIT_BLOCKING) && fl_parked(b->sk))
			return FL_R_PARKED;
		/* every message was returned: nothing is unread */
		a->tx.freed_msgs = (__u32)a->tx.spliced_msgs;
		a->tx.mark_msgs = a->tx.freed_msgs;
		a->tx.mark_pos = (__u32)b->rx.returned;
		a->tx.tgid = bpf_get_current_pid_tgid() >> 32;
	}
	if (fl_limited(b->sk)) {
		fl_stop(index, slot, FL_R_MEMORY);
		return FL_R_MEMORY;
	}
	reason = fl_yield_receiver(tb);
	if (!reason) {
		int by_edge = fl_by_edge(b->sk);

		if (by_edge < 0)
			return FL_R_EDGE_TRIGGERED;
		if (by_edge)
			reason = FL_R_EDGE_TRIGGERED;
	}
	if (!reason)
		reason = fl_yield_sender(ta);
	if (!reason)
		reason = fl_yield_device(ta, tb);
	if (!reason && fl_oob_by_regs)
		reason = fl_yield_caller();
	if (reason) {
		if (fl_yield_stays(reason))
			fl_stop(index, slot, reason);
		return reason;
	}

	rcvbuf = FL_READ(tb, inet_conn.icsk_inet.sk.sk_rcvbuf);
	unread = FL_READ(tb, inet_conn.icsk_inet.sk.sk_backlog.rmem_alloc.counter);
	if (fl_ctl.rmem_blind) {
		if (!fl_has_observer)
			return FL_R_KERNEL_UNFIT;
		unread += ta->write_seq - b->base + spliced - (__u32)b->rx.returned;
	}
	window = fl_window(FL_READ(tb, rcv_wup), FL_READ(tb, rcv_wnd), FL_READ(tb, rcv_nxt));
	/*
	 * Before the kernel measured what segments take, it promised half of its room, whatever they are like: those of
	 * admitted sockets take a tenth more than their length (test_bounds, room_for_the_promised_window, on Linux 6.1).
	 */
	if (!bpf_core_field_exists(tb->scaling_ratio))
		window += window / 2;
	if (!fl_fits(size, rcvbuf, fl_rcvbuf_most(tb, rcvbuf), window, unread))
		return FL_R_RCVBUF;
	limit = fl_backlog_limit(rcvbuf);
	if (fl_backlog_look((__u32)a->tx.spliced_msgs, a->tx.freed_msgs, limit)) {
		struct fl_backlog bl = { a->tx.mark_pos, a->tx.mark_msgs, a->tx.freed_msgs };
		bool ok = fl_backlog_ok(&bl, (__u32)a->tx.spliced_msgs, ta->write_seq - b->base + spliced,
					(__u32)b->rx.returned, limit);

		a->tx.mark_pos = bl.mark_pos;
		a->tx.mark_msgs = bl.mark_msgs;
		a->tx.freed_msgs = bl.freed_msgs;
		if (!ok)
			return FL_R_BACKLOG;
	}
	return fl_yield_memory(b->sk, size);
}

/*
 * The books first, then one more look at `stop`, then the redirect: whoever sets `stop` and then reads the books
 * (the release) sees this message in one of them. Without it: a message lost for each release that hits the gap.
 */
fl_inline __u32 fl_redirect(struct sk_msg_md *msg, __u32 index, struct fl_slot *slot, struct fl_side *a, __u32 key)
{
	__u64 size = msg->size;
	__u32 reason;

	__sync_fetch_and_add(&a->tx.spliced_bytes, size);
	reason = slot->stop;
	if (!reason) {
		if (bpf_msg_redirect_map(msg, &fl_sock, key, BPF_F_INGRESS) == SK_PASS)
			return FL_R_NONE;
		reason = FL_R_REDIRECT_MISS;
	}
	__sync_fetch_and_add(&a->tx.spliced_bytes, -size);
	return reason;
}

/* Is it still worth being in the sockmap? */
fl_inline void fl_owe(__u32 index, struct fl_slot *slot, struct fl_side *a, __u32 reason, __u32 size)
{
	bool filtered = fl_for_a_while(reason);

	if (slot->stop) /* it leaves already */
		return;
	if (!filtered && reason != FL_R_RCVBUF && reason != FL_R_BACKLOG && reason != FL_R_NOT_DRAINED)
		return;
	a->tx.debt = fl_debt_add(a->tx.debt, size);
	if (a->tx.debt >= (filtered ? FL_DEBT_FILTERED : FL_DEBT_MAX) && !fl_ctl.bulk_stays)
		fl_stop(index, slot, filtered ? reason : FL_R_BULK);
}

SEC("sk_msg")
int fl_splice(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct fl_side *a, *b;
	struct fl_slot *slot;
	struct tcp_sock *tp;
	struct fl_sk *st;
	__u32 index, side, key, reason;

	if (!sk)
		return SK_PASS;
	st = bpf_sk_storage_get(&fl_sk, sk, NULL, 0);
	if (!st || !st->slot)
		return SK_PASS;
	index = st->slot - 1;
	slot = bpf_map_lookup_elem(&fl_slots, &index);
	/* the cast is free, the helper takes 20 ns */
	tp = fl_has_cast ? bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock)) : bpf_skc_to_tcp_sock(sk);
	if (!slot || !tp)
		return SK_PASS;
	side = st->side & 1;
	if (side) {
		a = &slot->side[1];
		b = &slot->side[0];
	} else {
		a = &slot->side[0];
		b = &slot->side[1];
	}
	if (a->sk != (__u64)tp)
		return SK_PASS;
	reason = fl_verdict(index, slot, a, b, tp, msg->size);
	if (!reason) {
		key = index * 2 + !side;
		reason = fl_redirect(msg, index, slot, a, key);
	}
	if (!reason) {
		a->tx.spliced_msgs++;
		a->tx.engaged = 1;
		a->tx.seq = tp->write_seq;
		if (a->tx.debt)
			a->tx.debt = fl_debt_pay(a->tx.debt, msg->size);
		return SK_PASS;
	}
	fl_owe(index, slot, a, reason, msg->size);
	a->tx.engaged = 0;
	a->tx.reason = reason;
	a->tx.yielded_msgs++;
	a->tx.yielded_bytes += msg->size;
	fl_count(reason);
	return SK_PASS;
}

/*
 * What a socket keeps for as long as it is in the sockmap (psock -> program -> map is a cycle): nothing
 * but a jump, so that new code, or none, reaches open connections.
 */
SEC("sk_msg")
int fl_stub(struct sk_msg_md *msg)
{
	bpf_tail_call(msg, &fl_progs, 0);
	return SK_PASS;
}
