// SPDX-License-Identifier: GPL-2.0-only
/*
 * The observer: every completed receive of an opted-in socket, by whichever back end the kernel allows,
 * and the end of a socket's life. A socket that did not opt in is told by two direct loads, before any
 * helper is called.
 */
#include "register.h"

/* struct msghdr is read here only */
struct msghdr {
	unsigned int msg_flags;
	unsigned long msg_controllen;
} __attribute__((preserve_access_index));

fl_inline bool fl_stranger(struct sock *sk)
{
	return sk->sk_protocol != IPPROTO_TCP || !sk->sk_bpf_storage;
}

fl_inline struct fl_slot *fl_slot_of(struct sock *sk, __u32 *index, __u32 *side)
{
	struct fl_sk *st = bpf_sk_storage_get(&fl_sk, sk, NULL, 0);
	struct fl_slot *slot;

	if (!st || !st->slot)
		return NULL;
	*index = st->slot - 1;
	*side = st->side & 1;
	slot = fl_slot_at(*index);
	/* a listener that was once connected hands its number on to its children */
	if (!slot || slot->side[*side & 1].sk != (__u64)sk)
		return NULL;
	return slot;
}

/*
 * While one of two readers completes receives, the other may be parked in tcp_recvmsg for good: the sums close,
 * and rule 2 is deceived. A connection handed from thread to thread is fine; one that comes back to a thread, or
 * goes round many, has several readers. Test: test_stops, two_blocking_readers.
 */
fl_inline bool fl_many_readers(struct fl_rx *rx, __u32 tid)
{
	if (rx->blocker == tid)
		return false;
	if (rx->former == tid || rx->changes > 3)
		return true;
	rx->former = rx->blocker;
	rx->blocker = tid;
	rx->changes++;
	return false;
}

/*
 * A pair that must leave: between two receives of a busy reader is when its books close, and the sweep rarely comes just
 * then. Once they have closed after `stop` was set, nothing can be spliced and unread any more (fl_redirect counts first).
 * The epoch, since this program may be interrupted, and the pair be back in the sockmap when it goes on.
 */
fl_func void fl_note_drained(struct fl_slot *slot, struct fl_side *a, struct fl_side *b, struct sock *sk)
{
	__u32 epoch = *(volatile __u32 *)&slot->epoch;
	struct tcp_sock *tb = bpf_skc_to_tcp_sock(sk);

	if (!tb || *(volatile __u32 *)&slot->state != FL_RELEASING || (b->flags & FL_F_UNBASED))
		return;
	if (fl_handed_over(tb->copied_seq, b->base, (__u32)a->tx.spliced_bytes, (__u32)b->rx.returned))
		b->drained = epoch + 1;
}

fl_inline bool fl_is_due(struct tcp_sock *tp)
{
	return tp && (tp->bpf_sock_ops_cb_flags & FL_MARK) && tp->data_segs_in >= FL_ENTER_SEGS;
}

/* Told by a few loads from those that did not opt in. */
fl_inline bool fl_is_observed(struct sock *sk)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return false;
	return sk->sk_bpf_storage || fl_is_due(bpf_skc_to_tcp_sock(sk));
}

/*
 * An end that sockops left for later. Until here it was ordinary TCP and nothing more; the receive that has just
 * completed is the first to count.
 */
fl_func bool fl_enter(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 flags = 0;
	struct fl_sk *st;
	bool server;

	if (!fl_is_due(tp) || fl_ctl.mode != FL_MODE_RUN || FL_SKC(tp).skc_state != TCP_ESTABLISHED)
		return false;
	server = tp->bpf_sock_ops_cb_flags & FL_MARK_SERVER;
	st = bpf_sk_storage_get(&fl_sk, tp, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!st || st->slot || st->refused || !fl_claim(st))
		return false;
	if (!fl_policy_for(tp, server ? FL_SKC(tp).skc_num : bpf_ntohs(FL_SKC(tp).skc_dport), &flags))
		st->refused = FL_R_POLICY_REMOVED; /* fl_scan finds it when one comes again */
	else if (!st->slot)
		fl_adopt(tp, st, flags, server);
	fl_unclaim(st);
	return true;
}

fl_func void fl_received(struct sock *sk, int ret, int flags)
{
	__u32 index, which, habits = 0, tgid, reads, stop;
	struct fl_slot *slot;
	struct fl_side *side;

	if (flags & MSG_ERRQUEUE)
		return;
	slot = fl_slot_of(sk, &index, &which);
	if (!slot) {
		if (!fl_enter(sk))
			return;
		slot = fl_slot_of(sk, &index, &which);
		if (!slot)
			return;
	}
	/*
	 * Plain TCP for good: nobody will ask for its books again. `stop` may be gone just now, and the pair about to be
	 * taken back in (fl_again): then every byte counts. Test: test_adopt, adopted_many_times.
	 */
	stop = *(volatile __u32 *)&slot->stop;
	if (slot->state == FL_PLAIN && stop && !fl_passing(stop))
		return;
	side = &slot->side[which & 1];
	if (!(flags & MSG_DONTWAIT)) {
		habits |= FL_HABIT_BLOCKING;
		if (fl_many_readers(&side->rx, bpf_get_current_pid_tgid()))
			habits |= FL_HABIT_READERS;
	}
	if (flags & MSG_WAITALL)
		habits |= FL_HABIT_WAITALL;
	if (flags & MSG_TRUNC)
		habits |= FL_HABIT_TRUNC;
	if (flags & MSG_OOB)
		habits |= FL_HABIT_OOB;
	if (ret > 0 && !(flags & (MSG_OOB | MSG_PEEK))) {
		if (side->flags & FL_F_UNBASED) {
			/* Adopted while open: this receive, the first seen, has everything up to copied_seq. */
			struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

			if (!tp)
				return;
			side->base = tp->copied_seq;
			side->rx.returned = 0;
			__sync_fetch_and_and(&side->flags, ~FL_F_UNBASED);
		} else {
			__sync_fetch_and_add(&side->rx.returned, ret);
		}
		reads = __sync_fetch_and_add(&side->rx.reads, 1) + 1;
		tgid = bpf_get_current_pid_tgid() >> 32;
		if (side->rx.tgid != tgid)
			side->rx.tgid = tgid;
		if (slot->state == FL_RELEASING)
			fl_note_drained(slot, &slot->side[!(which & 1)], side, sk);
		if (slot->state == FL_OBSERVE && reads >= fl_ctl.observe_reads)
			fl_consider(index, slot);
	}
	if (habits & ~side->rx.habits) {
		__sync_fetch_and_or(&side->rx.habits, habits);
		fl_consider(index, slot);
	}
}

/* Linux 6.3: after every receive of every socket, blocking or not, io_uring too. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(fl_recv_tp, struct sock *sk, int ret, int flags)
{
	if (fl_is_observed(sk))
		fl_received(sk, ret, flags);
	return 0;
}

/* Where the kernel has trampolines: one level above tcp_recvmsg and tcp_bpf_recvmsg, so that the one
 * calling the other is not counted twice. */
SEC("fexit/inet_recvmsg")
int BPF_PROG(fl_recv4, struct socket *sock, struct msghdr *msg, __u64 size, int flags, int ret)
{
	struct sock *sk = sock->sk;

	if (sk && fl_is_observed(sk))
		fl_received(sk, ret, flags);
	return 0;
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(fl_recv6, struct socket *sock, struct msghdr *msg, __u64 size, int flags, int ret)
{
	struct sock *sk = sock->sk;

	if (sk && fl_is_observed(sk))
		fl_received(sk, ret, flags);
	return 0;
}

/* With trampolines no look at registers is needed, and io_uring's calls are seen too. */
SEC("fentry/tcp_bpf_sendmsg")
int BPF_PROG(fl_send, struct sock *sk, struct msghdr *msg)
{
	__u32 index, which;
	struct fl_slot *slot;

	if (!((msg->msg_flags & MSG_OOB) || msg->msg_controllen) || fl_stranger(sk))
		return 0;
	slot = fl_slot_of(sk, &index, &which);
	if (slot)
		fl_stop(index, slot, msg->msg_flags & MSG_OOB ? FL_R_MSG_OOB : FL_R_SEND_CONTROL);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(fl_destroy, struct sock *sk)
{
	__u32 index, which;
	struct fl_slot *slot;

	if (fl_stranger(sk))
		return 0;
	slot = fl_slot_of(sk, &index, &which);
	if (slot)
		fl_end(index, slot, which, bpf_skc_to_tcp_sock(sk));
	return 0;
}

/* Path globs of policies are resolved by fastlod: tell it when the tree changes. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(fl_cg_mkdir, struct cgroup *cgrp)
{
	fl_emit(FL_EV_CGROUP, 0, NULL);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(fl_cg_rmdir, struct cgroup *cgrp)
{
	fl_emit(FL_EV_CGROUP, 0, NULL);
	return 0;
}
