// SPDX-License-Identifier: GPL-2.0-only
/*
 * Iterators run by fastlod; they reach any network namespace and need no descriptor of the process. fl_admit goes
 * through the opted-in sockets and puts those of READY pairs into the sockmap; fl_scan goes through the files of
 * processes and enters connections that were open before a policy (or fastlod) came.
 *
 * Iterating over files holds a reference to each, and its owner's close() is not the last one then: epoll goes on
 * reporting the closed file, and the FIN waits. So admission, which goes on all the time, must not do it. Test:
 * torture, mass-churn (one stale event for 5,000 connections).
 */
#include "register.h"

#define CGROUP_LEVELS_MAX 128
#define LINGER_NS 5000000000ULL /* what a pair may have left behind in the sockmap when it was stopped is gone by then */

fl_inline struct tcp_sock *fl_sock_of(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket *sock;
	struct sock *sk;

	if (!file)
		return NULL;
	sock = bpf_sock_from_file(file);
	if (!sock)
		return NULL;
	sk = sock->sk;
	if (!sk || sk->sk_protocol != IPPROTO_TCP)
		return NULL;
	return bpf_skc_to_tcp_sock(sk);
}

/*
 * Only RCU keeps sk from being freed, and its memory may become another connection's: hence the cookie. One that is
 * being closed meanwhile leaves the sockmap by sock_map_unhash(), like one that is reset.
 */
SEC("iter/bpf_sk_storage_map")
int fl_admit(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct fl_sk *st = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_sock *tp;
	struct fl_slot *slot;
	struct fl_side *side;
	__u32 index, key;
	long err;

	if (!sk || !st || !st->slot)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	index = st->slot - 1;
	key = index * 2 + (st->side & 1);
	slot = fl_slot_at(index);
	if (!slot || slot->state != FL_READY || slot->stop)
		return 0;
	side = &slot->side[st->side & 1];
	if ((side->flags & FL_F_ADMITTED) || side->sk != (__u64)tp || !fl_live(side))
		return 0;
	/* it would tell by control messages which sends to stamp, and an admitted socket ignores those */
	if (FL_SK(tp).sk_tsflags & (SOF_TIMESTAMPING_TX | SOF_TIMESTAMPING_REPORT)) {
		fl_stop(index, slot, FL_R_TX_TIMESTAMP);
		return 0;
	}
	/* Whoever reads it now may be parked in tcp_recvmsg: wait for one completed receive (rule 3). */
	__sync_fetch_and_or(&side->flags, FL_F_LATE);
	side->reads_at_admit = side->rx.reads;
	err = bpf_map_update_elem(&fl_sock, &key, tp, BPF_ANY);
	/*
	 * The psock of its last stay: the kernel drops it with the last reference, which may be a reader's, and a socket is
	 * busy meanwhile. Without it: a policy that came back at once found `psock_busy`, for good (test_stops on an emulated
	 * kernel, policy_comes_back_while_unread).
	 */
	if (err == -EBUSY && bpf_ktime_get_ns() - slot->stopped < LINGER_NS) {
		fl_emit(FL_EV_ADMIT, index, slot);
		return 0;
	}
	if (err) {
		fl_stop(index, slot, err == -EBUSY ? FL_R_PSOCK_BUSY : FL_R_ADMIT_FAILED);
		return 0;
	}
	if (!fl_live(side)) {
		bpf_map_delete_elem(&fl_sock, &key);
		return 0;
	}
	__sync_fetch_and_or(&side->flags, FL_F_ADMITTED);
	fl_total_add(FL_T_ADMITTED, 1);
	fl_entered(index, slot);
	return 0;
}

struct fl_climb {
	struct cgroup *cg;
	bool found;
};

static long fl_climb_at(__u32 depth, struct fl_climb *c)
{
	struct cgroup *cg = c->cg;

	if (!cg)
		return 1;
	if (BPF_CORE_READ(cg, kn, id) == fl_ctl.cgroup) {
		c->found = true;
		return 1;
	}
	c->cg = (struct cgroup *)BPF_CORE_READ(cg, self.parent);
	return 0;
}

/* Does sockops see its like? Other fastlods may serve other cgroups. */
fl_func bool fl_is_ours(struct tcp_sock *tp)
{
	struct fl_climb c = { .cg = FL_SK(tp).sk_cgrp_data.cgroup };

	bpf_loop(CGROUP_LEVELS_MAX, fl_climb_at, &c, 0);
	return c.found;
}

SEC("iter/task_file")
int fl_scan(struct bpf_iter__task_file *ctx)
{
	struct tcp_sock *tp = fl_sock_of(ctx);
	struct fl_sk *st;
	__u32 flags = 0;
	__u8 state;

	if (!tp)
		return 0;
	state = FL_SKC(tp).skc_state;
	if (state != TCP_ESTABLISHED || !fl_is_local(tp) || fl_is_mptcp(tp))
		return 0;
	if (!fl_policy_for(tp, FL_SKC(tp).skc_num, &flags) &&
	    !fl_policy_for(tp, bpf_ntohs(FL_SKC(tp).skc_dport), &flags))
		return 0;
	if (!fl_is_ours(tp))
		return 0;
	st = bpf_sk_storage_get(&fl_sk, tp, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!st || st->slot || !fl_claim(st))
		return 0;
	if (!st->slot)
		fl_adopt(tp, st, (st->flags & FL_F_SOCKET) ? st->flags & ~FL_F_ENTERING : flags, 2);
	fl_unclaim(st);
	return 0;
}
