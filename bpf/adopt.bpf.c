// SPDX-License-Identifier: GPL-2.0-only
/*
 * Iterators over the open files of processes, run by fastlod. fl_admit puts the sockets of READY pairs into
 * the sockmap; fl_scan enters connections that were open before a policy (or fastlod) came. Both reach any
 * network namespace, need no descriptor of the process, and hold the file while they look at its socket.
 */
#include "register.h"

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

SEC("iter/task_file")
int fl_admit(struct bpf_iter__task_file *ctx)
{
	struct tcp_sock *tp = fl_sock_of(ctx);
	struct fl_slot *slot;
	struct fl_side *side;
	struct fl_sk *st;
	__u32 index, key;
	long err;

	if (!tp || !FL_SK(tp).sk_bpf_storage)
		return 0;
	st = bpf_sk_storage_get(&fl_sk, tp, NULL, 0);
	if (!st || !st->slot)
		return 0;
	index = st->slot - 1;
	key = index * 2 + (st->side & 1);
	slot = fl_slot_at(index);
	if (!slot || slot->state != FL_READY || slot->stop)
		return 0;
	side = &slot->side[st->side & 1];
	if ((side->flags & FL_F_ADMITTED) || side->sk != (__u64)tp)
		return 0;
	/* it would tell by control messages which sends to stamp, and an admitted socket ignores those */
	if (FL_SK(tp).sk_tsflags & SOF_TIMESTAMPING_TX) {
		fl_stop(index, slot, FL_R_TX_TIMESTAMP);
		return 0;
	}
	/* Whoever reads it now may be parked in tcp_recvmsg: wait for one completed receive (rule 3). */
	__sync_fetch_and_or(&side->flags, FL_F_LATE);
	side->reads_at_admit = side->rx.reads;
	err = bpf_map_update_elem(&fl_sock, &key, tp, BPF_ANY);
	if (err) {
		fl_stop(index, slot, err == -EBUSY ? FL_R_PSOCK_BUSY : FL_R_ADMIT_FAILED);
		return 0;
	}
	__sync_fetch_and_or(&side->flags, FL_F_ADMITTED);
	fl_total_add(FL_T_ADMITTED, 1);
	fl_entered(index, slot);
	return 0;
}

SEC("iter/task_file")
int fl_scan(struct bpf_iter__task_file *ctx)
{
	struct tcp_sock *tp = fl_sock_of(ctx);
	struct fl_slot *slot;
	struct fl_who who = {};
	struct fl_sk *st;
	__u32 flags = 0;
	__u8 state;

	if (!tp)
		return 0;
	state = FL_SKC(tp).skc_state;
	if (state != 1 /* ESTABLISHED */ || !fl_is_local(tp) || fl_is_mptcp(tp))
		return 0;
	if (!fl_policy_find(tp, FL_SKC(tp).skc_num, &flags) &&
	    !fl_policy_find(tp, bpf_ntohs(FL_SKC(tp).skc_dport), &flags))
		return 0;
	st = bpf_sk_storage_get(&fl_sk, tp, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!st || st->slot)
		return 0;
	if (!(st->flags & FL_F_SOCKET))
		st->flags = flags;
	who.tp = tp;
	who.cookie = bpf_get_socket_cookie(tp);
	who.server = 2;
	/* It may be in the middle of a receive: copied_seq means nothing until one has completed. */
	who.flags = st->flags | FL_F_LATE | FL_F_UNBASED;
	st->refused = fl_register(&who, st);
	if (st->refused) {
		fl_count(st->refused);
		return 0;
	}
	slot = fl_slot_at(st->slot - 1);
	if (slot)
		fl_consider(st->slot - 1, slot);
	return 0;
}
