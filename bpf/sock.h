/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading sockets. Two kinds of pointer: the program's own socket (a BTF pointer, loaded directly), and
 * one remembered in a slot, which may be stale: its cookie is compared before anything else is believed,
 * and a load from freed memory is harmless (exception table, or bpf_probe_read_kernel before Linux 6.2).
 */
#ifndef FL_SOCK_H
#define FL_SOCK_H

#include "maps.h"
#include "key.h"
#include <bpf/bpf_endian.h>

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_CLOSE 7
#define IFF_LOOPBACK (1U << 3)
#define MSG_OOB 1
#define MSG_PEEK 2
#define MSG_TRUNC 0x20
#define MSG_DONTWAIT 0x40
#define MSG_WAITALL 0x100
#define MSG_ERRQUEUE 0x2000

/* hardware, software, sched, ack: stamps of sends. With the report flags 4 and 6 alone, one send may ask for its own by cmsg. */
#define SOF_TIMESTAMPING_TX (1U << 0 | 1U << 1 | 1U << 8 | 1U << 9)
#define SOF_TIMESTAMPING_REPORT (1U << 4 | 1U << 6)

#define E2BIG 7
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ENOPROTOOPT 92
#define EOPNOTSUPP 95
#define EISCONN 106

/* Only the hot path casts: libbpf 1.1 cannot link objects that share an extern function. */
#ifdef FL_HOT
extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym __weak;
#else
#define fl_has_cast false
#define bpf_rdonly_cast(obj, btf_id) (obj)
#endif

/* Any kernel pointer, readable field by field with FL_READ. */
#define FL_CAST(addr, type)                                                                              \
	(fl_has_cast ? (type *)bpf_rdonly_cast((void *)(addr), bpf_core_type_id_kernel(type))             \
		     : (type *)(addr))

/* One load where the kernel can cast, one probe read where it cannot; the other branch is pruned. */
#define FL_READ(p, field)                                                                                \
	({                                                                                                \
		typeof((p)->field) __v;                                                                   \
		if (fl_has_cast)                                                                          \
			__v = (p)->field;                                                                 \
		else                                                                                      \
			bpf_core_read(&__v, sizeof(__v), &(p)->field);                                    \
		__v;                                                                                      \
	})
#define FL_READ_BIT(p, field)                                                                            \
	(fl_has_cast ? BPF_CORE_READ_BITFIELD(p, field) : BPF_CORE_READ_BITFIELD_PROBED(p, field))

/* Out of line: not every object that includes a header calls everything in it. */
#define fl_func static __noinline __attribute__((unused))

/* Verified once, by itself, and not once for each way to each call: else a start takes seconds. Numbers only. */
#define fl_global __noinline

#define FL_SK(tp) ((tp)->inet_conn.icsk_inet.sk)
#define FL_SKC(tp) (FL_SK(tp).__sk_common)

fl_inline void fl_count(__u32 reason)
{
	__u64 *n = bpf_map_lookup_elem(&fl_reasons, &reason);

	if (n)
		(*n)++;
}

fl_inline void fl_total_add(__u32 what, __u64 value)
{
	__u64 *n = bpf_map_lookup_elem(&fl_totals, &what);

	if (n)
		*n += value;
}

/* Routed over a loopback device: true for 127/8, ::1 and the host's own addresses alike. */
fl_inline bool fl_is_local(struct tcp_sock *tp)
{
	struct dst_entry *dst = FL_SK(tp).sk_dst_cache;

	return dst && dst->dev && (dst->dev->flags & IFF_LOOPBACK);
}

fl_inline bool fl_is_mptcp(struct tcp_sock *tp)
{
	return bpf_core_field_exists(tp->is_mptcp) && tp->is_mptcp;
}

/* skc_num is host order, skc_dport network order: made equal here only. */
fl_inline void fl_addrs(struct tcp_sock *tp, struct fl_addr *local, struct fl_addr *remote)
{
	__u16 lport = FL_SKC(tp).skc_num, rport = bpf_ntohs(FL_SKC(tp).skc_dport);

	if (FL_SKC(tp).skc_family == AF_INET) {
		fl_addr_v4(local, FL_SKC(tp).skc_rcv_saddr, lport);
		fl_addr_v4(remote, FL_SKC(tp).skc_daddr, rport);
		return;
	}
	for (int i = 0; i < 4; i++) {
		local->word[i] = FL_SKC(tp).skc_v6_rcv_saddr.in6_u.u6_addr32[i];
		remote->word[i] = FL_SKC(tp).skc_v6_daddr.in6_u.u6_addr32[i];
	}
	local->port = lport;
	remote->port = rport;
}

fl_inline __u64 fl_cgroup_id(struct tcp_sock *tp)
{
	struct cgroup *cg = FL_SK(tp).sk_cgrp_data.cgroup;

	return cg && cg->kn ? cg->kn->id : 0;
}

/* Bytes sent over TCP since the connection began, without SYN, FIN and retransmissions. */
fl_inline __u64 fl_tcp_bytes(struct tcp_sock *tp)
{
	return BPF_CORE_READ(tp, bytes_sent) - BPF_CORE_READ(tp, bytes_retrans);
}

fl_inline struct sk_psock *fl_psock(struct tcp_sock *tp)
{
	/* the low bits of sk_user_data are flags */
	return (struct sk_psock *)((__u64)BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.sk_user_data) & ~7ULL);
}

/*
 * Memory at a kernel address as words, each 0 where there is none. The type is one that every kernel has and that is
 * nothing but words: what they hold is not a pointer to the verifier, so it can be hashed and compared.
 */
#define FL_WORDS(addr) FL_CAST(addr, struct linux_mib)
#define FL_WORD(w, i) FL_READ(w, mibs[i])

fl_inline __u64 fl_load(__u64 addr)
{
	struct linux_mib *w = FL_WORDS(addr);

	return FL_WORD(w, 0);
}

/* The first `bytes` bytes of a word, as a number. */
fl_inline __u32 fl_first(__u64 word, __u32 bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return word & ((1ULL << bytes * 8) - 1);
#else
	return word >> (64 - bytes * 8);
#endif
}

/* inlined in the hot path, a function elsewhere */
#ifdef FL_HOT
#define FL_ANYWHERE fl_inline
#else
#define FL_ANYWHERE fl_func
#endif

/*
 * Does a cgroup v1 limit its TCP memory (memory.kmem.tcp.limit_in_bytes), or has it ever done so? Such a limit is hard:
 * bpf_tcp_ingress() fails at it with ENOMEM, or takes only a part of the message, and the books never close again. Nor does it
 * help to look how near it is: between the verdict and the charge the sender may wait for the receiver's lock or for a
 * CPU, while others use up what is left, or the limit comes down. Test: test_memory.
 */
FL_ANYWHERE bool fl_limited(__u64 sk)
{
	/* the low bits are flags */
	__u64 memcg = fl_load(sk + bpf_core_field_offset(struct sock, sk_memcg)) & ~3ULL;

	return memcg && bpf_core_field_exists(struct mem_cgroup, tcpmem_active) &&
	       fl_first(fl_load(memcg + bpf_core_field_offset(struct mem_cgroup, tcpmem_active)), 1);
}

#define FL_WAITERS_MAX 8 /* entries of a wait queue that are looked at */
#define EPOLLIN 0x1U
#define EPOLLRDNORM 0x40U
#define EPOLLET (1U << 31)

/*
 * Is the owner told of each arrival once only? Such a reader must find all that is there, and stops where epoll(7)
 * says that it may: at a short read; nginx also where FIONREAD says 0. In a sockmap both deceive it: one receive never returns
 * bytes of both queues, and FIONREAD counts only one of them. It then waits for an edge that does not come. An entry of the
 * wait queue is epoll's if the epitem that it names points back at it. Test: test_habits, read_by_edge.
 * 1: yes, 0: no (nobody owns it before accept), -1: the queue was changing, or is too long.
 */
FL_ANYWHERE int fl_by_edge(__u64 addr)
{
	struct tcp_sock *tp = FL_CAST(addr, struct tcp_sock);
	struct socket_wq *wq = FL_CAST(FL_READ(tp, inet_conn.icsk_inet.sk.sk_wq), struct socket_wq);
	__u64 head = (__u64)wq + bpf_core_field_offset(struct socket_wq, wait.head), next;

	if (!wq)
		return 0;
	if (FL_READ(wq, fasync_list))
		return 1;
	next = (__u64)FL_READ(wq, wait.head.next);
	for (int i = 0; i < FL_WAITERS_MAX && next != head; i++) {
		__u64 at = next - bpf_core_field_offset(struct eppoll_entry, wait.entry);
		struct eppoll_entry *entry = FL_CAST(at, struct eppoll_entry);
		struct epitem *item = FL_CAST(FL_READ(entry, base), struct epitem);
		__u32 events = FL_READ(item, event.events);

		if ((__u64)FL_READ(item, pwqlist) == at && (events & EPOLLET) && (events & (EPOLLIN | EPOLLRDNORM)))
			return 1;
		next = (__u64)FL_READ(entry, wait.entry.next);
		if (!next) /* that one was just leaving: once more from the start */
			next = (__u64)FL_READ(wq, wait.head.next);
	}
	return next == head ? 0 : -1;
}

/*
 * The live socket of a side, or NULL when it is gone. For paths that are not hot. Freed memory keeps its cookie until
 * it is used again; but nothing is destroyed that is not closed and orphaned, and that stays to be seen, too. Without
 * it: ends whose death no program saw held their slots for as long as nobody needed the memory (torture, mass-open).
 */
fl_inline struct tcp_sock *fl_live(struct fl_side *side)
{
	struct tcp_sock *tp = (struct tcp_sock *)side->sk;

	if (!side->cookie || BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter) !=
				     (__s64)side->cookie)
		return NULL;
	if (BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_state) == TCP_CLOSE &&
	    BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_flags) &
		    (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DEAD)))
		return NULL;
	return tp;
}

#endif
