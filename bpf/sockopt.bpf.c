// SPDX-License-Identifier: GPL-2.0-only
/*
 * The per-socket opt-in: setsockopt and getsockopt at level SOL_FASTLO. Everything else passes untouched.
 * The errors are the contract of include/fastlo/fastlo.h; on any of them nothing has changed.
 */
#include "pair.h"

#define PAGE_SIZE 4096

fl_inline int fl_fail(int err)
{
	bpf_set_retval(-err);
	return 0;
}

fl_func int fl_set_enable(struct bpf_sock *sk, int on)
{
	struct fl_sk *st = bpf_sk_storage_get(&fl_sk, sk, NULL, 0);
	struct fl_slot *slot;
	__u32 state = sk->state;

	if (on && state != BPF_TCP_CLOSE && state != BPF_TCP_LISTEN)
		return EISCONN;
	if (!on && !st)
		return 0;
	if (!st)
		st = bpf_sk_storage_get(&fl_sk, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!st)
		return 12; /* ENOMEM */
	if (on) {
		st->flags = FL_F_SOCKET | FL_F_EAGER;
		return 0;
	}
	st->flags = 0;
	if (st->slot && state != BPF_TCP_CLOSE && state != BPF_TCP_LISTEN) {
		slot = fl_slot_at(st->slot - 1);
		if (slot)
			fl_stop(st->slot - 1, slot, FL_R_WITHDRAWN);
	}
	return 0;
}

SEC("cgroup/setsockopt")
int fl_setsockopt(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	int *value = ctx->optval, *end = ctx->optval_end, err;

	if (ctx->level != SOL_FASTLO) {
		/* Beyond a page the kernel wants to hear that its own copy is the good one. */
		if (ctx->optlen > PAGE_SIZE)
			ctx->optlen = 0;
		return 1;
	}
	/* Of two fastlods on one cgroup path the one nearest to the socket runs first, and its word counts. */
	if (ctx->optlen == -1 || bpf_get_retval() < 0)
		return 1;
	if (!fl_ctl.socket_opt_in)
		return fl_fail(ENOPROTOOPT);
	if (!sk || sk->type != SOCK_STREAM || sk->protocol != IPPROTO_TCP)
		return fl_fail(EOPNOTSUPP);
	if (ctx->optname != FASTLO_ENABLE || ctx->optlen != sizeof(int))
		return fl_fail(EINVAL);
	if (value + 1 > end)
		return fl_fail(EINVAL);
	if (*value != 0 && *value != 1)
		return fl_fail(EINVAL);
	err = fl_set_enable(sk, *value);
	if (err)
		return fl_fail(err);
	ctx->optlen = -1; /* done: the kernel has no such level */
	return 1;
}

fl_func void fl_fill_info(struct fastlo_info *info, struct fl_sk *st)
{
	__u32 which = st->side & 1;
	struct fl_side *side, *peer;
	struct tcp_sock *tp;
	struct fl_slot *slot;

	if (!st->slot) {
		info->state = st->flags ? FASTLO_STATE_TCP : FASTLO_STATE_OFF;
		info->reason = st->refused;
		return;
	}
	slot = fl_slot_at(st->slot - 1);
	if (!slot)
		return;
	side = &slot->side[which & 1];
	peer = &slot->side[!which];
	tp = fl_live(side);
	info->tx_tcp_bytes = tp ? fl_tcp_bytes(tp) : 0;
	info->pair = slot->id;
	info->tx_spliced_bytes = side->tx.spliced_bytes;
	info->tx_spliced_msgs = side->tx.spliced_msgs;
	info->rx_spliced_bytes = peer->tx.spliced_bytes;
	info->rx_returned_bytes = side->rx.returned;
	info->reason = slot->stop;
	switch (slot->state) {
	case FL_OBSERVE:
	case FL_READY:
		info->state = FASTLO_STATE_OBSERVING;
		info->reason = FL_R_OBSERVING;
		break;
	case FL_ADMITTED:
		info->state = side->tx.engaged ? FASTLO_STATE_SPLICED : FASTLO_STATE_YIELDING;
		info->reason = side->tx.engaged ? FL_R_NONE : side->tx.reason;
		break;
	case FL_RELEASING:
		info->state = FASTLO_STATE_DRAINING;
		break;
	case FL_HALF:
		info->state = FASTLO_STATE_TCP;
		info->reason = FL_R_PEER_NOT_OPTED_IN;
		break;
	default:
		info->state = FASTLO_STATE_TCP;
	}
}

#define SOL_TCP 6
#define TCP_INFO 11

/* The part of struct tcp_info (linux/tcp.h) that counts what was sent and received. */
struct fl_tcp_counts {
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 segs_out;
	__u32 segs_in;
	__u32 notsent_bytes;
	__u32 min_rtt;
	__u32 data_segs_in;
	__u32 data_segs_out;
	__u64 rates[4];
	__u32 delivered;
	__u32 delivered_ce;
	__u64 bytes_sent;
};
#define FL_TCP_COUNTS_AT 120

/* TCP did not see what was spliced: a message counts as a segment, sent, acknowledged and received at once. */
fl_func void fl_tcp_info(struct bpf_sockopt *ctx)
{
	struct fl_tcp_counts *t = (struct fl_tcp_counts *)((__u64 *)ctx->optval + FL_TCP_COUNTS_AT / 8);
	struct bpf_sock *sk = ctx->sk;
	struct fl_side *side, *peer;
	struct fl_slot *slot;
	struct fl_sk *st;

	if (!sk || bpf_get_retval() != 0 || (void *)(t + 1) > ctx->optval_end)
		return;
	st = bpf_sk_storage_get(&fl_sk, sk, NULL, 0);
	if (!st || !st->slot)
		return;
	slot = fl_slot_at(st->slot - 1);
	if (!slot)
		return;
	side = &slot->side[st->side & 1];
	peer = &slot->side[!(st->side & 1)];
	t->bytes_acked += side->tx.spliced_bytes;
	t->bytes_sent += side->tx.spliced_bytes;
	t->bytes_received += peer->tx.spliced_bytes;
	t->segs_out += (__u32)side->tx.spliced_msgs;
	t->data_segs_out += (__u32)side->tx.spliced_msgs;
	t->delivered += (__u32)side->tx.spliced_msgs;
	t->segs_in += (__u32)peer->tx.spliced_msgs;
	t->data_segs_in += (__u32)peer->tx.spliced_msgs;
}

SEC("cgroup/getsockopt")
int fl_getsockopt(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct fastlo_info *info = ctx->optval;
	int *value = ctx->optval;
	void *end = ctx->optval_end;
	struct fl_sk *st;

	if (ctx->level != SOL_FASTLO) {
		if (ctx->optlen > PAGE_SIZE)
			ctx->optlen = 0;
		else if (ctx->level == SOL_TCP && ctx->optname == TCP_INFO)
			fl_tcp_info(ctx);
		return 1;
	}
	/* 0 at a level that the kernel does not know: a fastlod nearer to the socket has answered */
	if (bpf_get_retval() == 0)
		return 1;
	if (!sk || sk->type != SOCK_STREAM || sk->protocol != IPPROTO_TCP)
		return fl_fail(EOPNOTSUPP);
	st = bpf_sk_storage_get(&fl_sk, sk, NULL, 0);
	if (ctx->optname == FASTLO_ENABLE) {
		if ((void *)(value + 1) > end || ctx->optlen < (int)sizeof(int))
			return fl_fail(EINVAL);
		*value = st && (st->flags & FL_F_SOCKET);
		ctx->optlen = sizeof(int);
	} else if (ctx->optname == FASTLO_INFO) {
		if ((void *)(info + 1) > end || ctx->optlen < (int)sizeof(*info))
			return fl_fail(EINVAL);
		__builtin_memset(info, 0, sizeof(*info));
		if (st)
			fl_fill_info(info, st);
		ctx->optlen = sizeof(*info);
	} else {
		return fl_fail(EINVAL);
	}
	bpf_set_retval(0);
	return 1;
}
