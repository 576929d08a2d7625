/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engage rule, the receive-buffer rule and the backlog bound: plain functions over plain values,
 * compiled into the sk_msg program and into tests/unit/test_rules.c. A is the sender, B the receiver.
 * Sequence numbers and byte sums are u32 and wrap; equality is all that is ever asked of them.
 */
#ifndef FL_RULES_H
#define FL_RULES_H

/* clang for bpf and gcc for the host agree on these */
#define fl_inline static inline __attribute__((always_inline))

/*
 * Rule 1, drained. B reads ingress_msg before sk_receive_queue, so a message spliced while TCP bytes
 * are unread (or still on the wire) would overtake them.
 * With rule 2 at every switch, and `engaged` bound to an unmoved write_seq, it is implied: a cheap first answer, and
 * a second fence.
 */
fl_inline _Bool fl_drained(__u32 a_write_seq, __u32 b_copied_seq)
{
	return a_write_seq == b_copied_seq;
}

/*
 * Rule 2, handed over. copied_seq moves while a receive is still running; a reader parked inside
 * tcp_recvmsg with bytes in hand never looks at ingress_msg. Only when every byte was returned by a
 * completed receive is nobody parked. Readers that cannot be seen leave the sums unequal: TCP.
 * Without it: test_observed, splice_then_plain.
 */
fl_inline _Bool fl_handed_over(__u32 a_write_seq, __u32 b_base, __u32 a_spliced, __u32 b_returned)
{
	return (__u32)(a_write_seq - b_base) + a_spliced == b_returned;
}

/*
 * The receive-buffer rule. bpf_tcp_ingress() never compares with sk_rcvbuf. Half of it, since TCP
 * bytes inside the advertised window must still find room, or they are dropped and cost an RTO.
 * Without it: test_bounds, stopped_reader_*.
 */
#ifndef FL_RCVBUF_SHARE
#define FL_RCVBUF_SHARE 2
#endif
fl_inline _Bool fl_fits(__u32 size, __u32 rcvbuf, __u32 unread)
{
	__u32 half = rcvbuf / FL_RCVBUF_SHARE;

	return unread <= half && size <= half - unread;
}

/*
 * The backlog bound. A spliced message costs the kernel a struct sk_msg (a 1 KiB allocation on 6.18)
 * that nothing accounts for, so 1-byte messages could pin a thousand times their size. How many are
 * unread is not known; a mark remembers (position, messages sent) and once the reader has passed that
 * position, those messages are free. The mark moves at most every limit/2 messages, so a healthy
 * stream looks at the reader's cache line that rarely.
 * See test_bounds for the numbers.
 */
fl_inline __u32 fl_backlog_limit(__u32 rcvbuf)
{
	return rcvbuf / 256 > 8 ? rcvbuf / 256 : 8;
}

struct fl_backlog {
	__u32 mark_pos;
	__u32 mark_msgs;
	__u32 freed_msgs;
};

/* msgs, pos: messages and bytes sent so far; returned: what B has handed over of those bytes. */
fl_inline _Bool fl_backlog_ok(struct fl_backlog *b, __u32 msgs, __u32 pos, __u32 returned, __u32 limit)
{
	if ((__s32)(returned - b->mark_pos) >= 0) {
		b->freed_msgs = b->mark_msgs;
		b->mark_msgs = msgs;
		b->mark_pos = pos;
	}
	return msgs - b->freed_msgs < limit;
}

/*
 * A stream whose writer is always ahead fills TCP's buffers once and then never meets rule 1 again, while an admitted
 * socket that sends over TCP is about a quarter slower than a plain one (tcp_bpf_sendmsg copies into a sk_msg first).
 * So after that many bytes without a splice the pair leaves the sockmap for a while. Sums wrap.
 */
#define FL_BULK_BYTES (256U << 20)

fl_inline _Bool fl_bulk(__u32 yielded, __u32 run)
{
	return yielded - run > FL_BULK_BYTES;
}

/* Is it time to look? Between looks msgs - freed only grows. */
fl_inline _Bool fl_backlog_look(__u32 msgs, __u32 freed_msgs, __u32 limit)
{
	return msgs - freed_msgs >= limit / 2;
}

#endif
