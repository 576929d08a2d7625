/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What makes a message go over TCP although both ends are admitted, read from live kernel state, so
 * that it follows every change at once. Each returns an fl_reason, FL_R_NONE to go on.
 */
#ifndef FL_YIELD_H
#define FL_YIELD_H

#include "pair.h"

#define TS_COMPAT 2

#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_CLOSE_WAIT 8
#define RCV_SHUTDOWN 1
#define SOCK_RCVBUF_LOCK 2

/*
 * tcp_bpf_sendmsg() looks at neither end's state: only TCP itself knows the EPIPE, the RST and the silence that
 * a send must meet after a shutdown, or after connect(AF_UNSPEC) on the other end.
 */
fl_inline __u32 fl_yield_ends(struct tcp_sock *a, struct tcp_sock *b)
{
	__u8 sa = FL_SKC(a).skc_state, sb = FL_READ(b, inet_conn.icsk_inet.sk.__sk_common.skc_state);

	if (sa != TCP_ESTABLISHED && sa != TCP_CLOSE_WAIT)
		return FL_R_SHUTDOWN;
	if (sb != TCP_ESTABLISHED && sb != TCP_FIN_WAIT1 && sb != TCP_FIN_WAIT2)
		return FL_R_SHUTDOWN;
	if (FL_READ(b, inet_conn.icsk_inet.sk.sk_shutdown) & RCV_SHUTDOWN)
		return FL_R_SHUTDOWN;
	return FL_R_NONE;
}

/*
 * Asked at the TCP -> splice switch of a receiver that is read by blocking calls. One that found TCP bytes queued is
 * inside tcp_recvmsg(), without a reference to the psock, and if another thread takes those bytes it parks there and
 * never looks at ingress_msg, although the books close. So everybody on the wait queue must hold such a reference.
 * Pollers make the count too high: TCP, then. Test: test_stops, two_blocking_readers.
 */
fl_func bool fl_parked(__u64 addr)
{
	struct tcp_sock *b = (struct tcp_sock *)addr;
	struct socket_wq *wq = BPF_CORE_READ(b, inet_conn.icsk_inet.sk.sk_wq);
	struct sk_psock *psock = fl_psock(b);
	struct list_head *head, *next;
	__s32 waiting = 0;

	if (!wq || !psock || BPF_CORE_READ(b, inet_conn.icsk_inet.sk.sk_lock.owned))
		return true;
	head = (struct list_head *)((__u64)wq + bpf_core_field_offset(struct socket_wq, wait.head));
	next = BPF_CORE_READ(head, next);
	for (int i = 0; i < FL_WAITERS_MAX && next != head && next; i++) {
		waiting++;
		next = BPF_CORE_READ(next, next);
	}
	return next != head || waiting > BPF_CORE_READ(psock, refcnt.refs.counter) - 1;
}

/*
 * Rule 3, before the first receive of an end that was admitted when its connection came to be: can somebody be in a
 * receive from before that? Whoever sleeps there is on the wait queue and holds no reference to the psock (fl_parked;
 * without it: test_order, reader_from_before_the_connection). One that is on its way there, between the call and the
 * lock, either holds a reference to the file, or is the only thread of the only process that has it open (fdget() takes
 * none then), and has left whatever it was in if the socket has sent since.
 */
fl_func bool fl_left_alone(struct fl_side *b)
{
	struct tcp_sock *tb = (struct tcp_sock *)b->sk;
	struct file *file = BPF_CORE_READ(tb, inet_conn.icsk_inet.sk.sk_socket, file);
	struct file___ref *ref = (void *)file;

	if (!(b->flags & FL_F_AT_BIRTH) || !file || !(b->tx.spliced_msgs | b->tx.yielded_msgs))
		return false;
	if (bpf_core_field_exists(ref->f_ref) ? BPF_CORE_READ(ref, f_ref.refcnt.counter) != 0
					      : BPF_CORE_READ(file, f_count.counter) != 1)
		return false;
	return !fl_parked(b->sk);
}

/* What the receive buffer may grow to: fixed by SO_RCVBUF, or the namespace's tcp_rmem. */
fl_inline __u32 fl_rcvbuf_most(struct tcp_sock *b, __u32 rcvbuf)
{
	struct net *net;
	__u32 most;

	/* four bits of a byte before Linux 6.8 */
	if (FL_READ_BIT(b, inet_conn.icsk_inet.sk.sk_userlocks) & SOCK_RCVBUF_LOCK)
		return rcvbuf;
	net = FL_READ(b, inet_conn.icsk_inet.sk.__sk_common.skc_net.net);
	most = FL_READ(net, ipv4.sysctl_tcp_rmem[2]);
	return most > rcvbuf ? most : rcvbuf;
}

/* What a CPU may have charged without telling: SK_MEMORY_PCPU_RESERVE, and less than that for a memory cgroup. */
#define FL_PAGES_HIDDEN 256

/* Of this memory cgroup or of one above it, as a pod is above its containers. */
fl_func bool fl_near_limit(__u64 counter, __s64 pages)
{
	for (int i = 0; i < FL_CGROUP_DEPTH && counter; i++) {
		if ((__s64)fl_load(counter + bpf_core_field_offset(struct page_counter, usage)) + pages >
		    (__s64)fl_load(counter + bpf_core_field_offset(struct page_counter, max)))
			return true;
		counter = fl_load(counter + bpf_core_field_offset(struct page_counter, parent));
	}
	return counter != 0;
}

/*
 * bpf_tcp_ingress() charges the receiver and fails with ENOMEM where TCP would wait, or takes only a part of the message,
 * and the books never close again. That its own sk_forward_alloc covers the message says nothing: b's lock is not held
 * here, and b's own sends and TCP receives take from it too. So it is TCP from well below the limit on: TCP's own begins to
 * press at the second of tcp_mem and refuses at the third. Test: test_memory.
 */
fl_inline __u32 fl_yield_memory(__u64 b, __u32 size)
{
	__u64 prot = fl_load(b + bpf_core_field_offset(struct sock_common, skc_prot));
	__u64 allocated = fl_load(prot + bpf_core_field_offset(struct proto, memory_allocated));
	__u64 tcp_mem = fl_load(prot + bpf_core_field_offset(struct proto, sysctl_mem));
	/* the low bits are flags */
	__u64 memcg = fl_load(b + bpf_core_field_offset(struct sock, sk_memcg)) & ~3ULL;
	__s64 pages = size / 4096 + FL_PAGES_HIDDEN;

	if ((__s64)fl_load(allocated) + pages > (__s64)fl_load(tcp_mem + sizeof(long)))
		return FL_R_MEMORY;
	if (memcg && fl_near_limit(memcg + bpf_core_field_offset(struct mem_cgroup, memory), pages))
		return FL_R_MEMORY;
	return FL_R_NONE;
}

/* A receive that must look at TCP's own queue, or report what only an skb carries. */
fl_inline __u32 fl_yield_receiver(struct tcp_sock *b)
{
	unsigned long flags;

	if (FL_READ(b, inet_conn.icsk_inet.sk.sk_filter))
		return FL_R_SOCKET_FILTER;
	if (FL_READ(b, inet_conn.icsk_inet.sk.sk_rcvlowat) > 1)
		return FL_R_RCVLOWAT;
	if (FL_READ(b, inet_conn.icsk_inet.sk.sk_peek_off) >= 0)
		return FL_R_PEEK_OFF;
	if (FL_READ_BIT(b, recvmsg_inq))
		return FL_R_TCP_INQ;
	if (FL_READ(b, inet_conn.icsk_ulp_ops))
		return FL_R_ULP;
	flags = FL_READ(b, inet_conn.icsk_inet.sk.__sk_common.skc_flags);
	if (flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_RCVTSTAMP) |
		     1UL << bpf_core_enum_value(enum sock_flags, SOCK_TIMESTAMPING_RX_SOFTWARE)))
		return FL_R_RX_TIMESTAMP;
	if (flags & 1UL << bpf_core_enum_value(enum sock_flags, SOCK_URGINLINE))
		return FL_R_OOBINLINE;
	return FL_R_NONE;
}

fl_inline __u32 fl_yield_sender(struct tcp_sock *a)
{
	if (FL_SKC(a).skc_flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY)))
		return FL_R_ZEROCOPY;
	if (FL_SK(a).sk_tsflags & SOF_TIMESTAMPING_TX)
		return FL_R_TX_TIMESTAMP;
	if (FL_SK(a).sk_max_pacing_rate != ~0UL)
		return FL_R_PACING;
	if (a->inet_conn.icsk_ulp_ops)
		return FL_R_ULP;
	if (BPF_CORE_READ_BITFIELD(a, repair))
		return FL_R_TCP_REPAIR;
	return FL_R_NONE;
}

/* Not enough to yield: in the sockmap it goes wrong over TCP, too (tcp_bpf_sendmsg() drops control messages, FIONREAD). */
fl_inline bool fl_yield_stays(__u32 reason)
{
	return reason == FL_R_MSG_OOB || reason == FL_R_SEND_CONTROL || reason == FL_R_TX_TIMESTAMP || reason == FL_R_ULP ||
	       reason == FL_R_EDGE_TRIGGERED;
}

/* Which packets may reach it is then TCP's to say. */
fl_inline __u32 fl_yield_device(struct tcp_sock *a, struct tcp_sock *b)
{
	if (FL_SKC(a).skc_bound_dev_if || FL_READ(b, inet_conn.icsk_inet.sk.__sk_common.skc_bound_dev_if))
		return FL_R_BOUND_DEVICE;
	return FL_R_NONE;
}

/* `effective` of a cgroup holds what is attached to its ancestors too. */
#define FL_FILTERED(cg, type)                                                                            \
	({                                                                                                \
		struct bpf_prog_array *__e = FL_READ(cg, bpf.effective[type]);                            \
		__e && FL_READ(__e, items[0].prog);                                                       \
	})

fl_inline __u32 fl_yield_filters(struct tcp_sock *a, struct tcp_sock *b)
{
	struct cgroup *ca = FL_SK(a).sk_cgrp_data.cgroup;
	struct cgroup *cb = FL_READ(b, inet_conn.icsk_inet.sk.sk_cgrp_data.cgroup);
	struct bpf_prog_array *in, *out;

	if (!ca || !cb)
		return FL_R_CGROUP_FILTER; /* never on a full socket: not known, so TCP */
	in = ca->bpf.effective[CGROUP_INET_INGRESS];
	out = ca->bpf.effective[CGROUP_INET_EGRESS];
	/* both are the kernel's empty list, mostly */
	if ((in && in->items[0].prog) || (out && out != in && out->items[0].prog))
		return FL_R_CGROUP_FILTER;
	if (cb != ca && (FL_FILTERED(cb, CGROUP_INET_INGRESS) || FL_FILTERED(cb, CGROUP_INET_EGRESS)))
		return FL_R_CGROUP_FILTER;
	return FL_R_NONE;
}

#if defined(__TARGET_ARCH_x86)
/* struct user_msghdr and struct mmsghdr as the 64-bit system calls take them */
#define FL_MSG_CONTROLLEN 40
#define FL_MMSG_SIZE 64
#define FL_MMSG_MAX 16

fl_func bool fl_control(__u64 msgs, __u32 n)
{
	__u64 len = 0;

	for (__u32 i = 0; i < FL_MMSG_MAX && i < n; i++)
		if (!bpf_probe_read_user(&len, sizeof(len), (void *)(msgs + i * FL_MMSG_SIZE + FL_MSG_CONTROLLEN)) && len)
			return true;
	return false;
}
#endif

/*
 * The flags of the send call under way, and whether it carries control messages: sk_msg has neither, the caller's saved
 * registers lead to both. FL_R_MSG_OOB, FL_R_SEND_CONTROL, FL_R_UNKNOWN_CALLER or FL_R_NONE.
 */
fl_inline __u32 fl_yield_caller(void)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct *task = bpf_get_current_task_btf();
	/* bpf_task_pt_regs() takes 30 ns */
	struct pt_regs *regs = FL_CAST((__u64)task->stack + 16216, struct pt_regs);
	__u64 nr, flags = 0;

	if (!fl_ctl.host.regs || task->thread_info.status & TS_COMPAT)
		return FL_R_UNKNOWN_CALLER;
	nr = FL_READ(regs, orig_ax);
	if (nr == 44 || nr == 307) /* sendto, sendmmsg */
		flags = FL_READ(regs, r10);
	else if (nr == 46) /* sendmsg */
		flags = FL_READ(regs, dx);
	if (flags & MSG_OOB)
		return FL_R_MSG_OOB;
	if ((nr == 46 || nr == 307) && fl_control(FL_READ(regs, si), nr == 46 ? 1 : FL_READ(regs, dx)))
		return FL_R_SEND_CONTROL;
	return FL_R_NONE;
#else
	return FL_R_UNKNOWN_CALLER;
#endif
}

#endif
