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
 * The receive-buffer rule. bpf_tcp_ingress() never compares with sk_rcvbuf. Half of it, and no more than is left beside
 * the window that TCP has promised and cannot take back: TCP bytes inside it must still find room, or they are dropped and
 * cost a retransmission. A stream that fills its segments opens the window to nearly all of the buffer; but where the
 * owner has not fixed the buffer's size, the kernel lets it grow to `most` before it drops (tcp_clamp_window).
 * Where nothing is unread, one message may take all of it: a reply of 64 KiB and its head does not fit in half of what a
 * connection begins with.
 * Without it: test_bounds, stopped_reader_*, room_for_the_promised_window, one_large_message.
 */
#ifndef FL_RCVBUF_SHARE
#define FL_RCVBUF_SHARE 2
#endif
fl_inline _Bool fl_fits(__u32 size, __u32 rcvbuf, __u32 most, __u32 window, __u32 unread)
{
	__u32 room = most > window ? most - window : 0, share = rcvbuf / (unread ? FL_RCVBUF_SHARE : FL_RCVBUF_SHARE / 2);

	if (room > share)
		room = share;
	return unread <= room && size <= room - unread;
}

/* tcp_receive_window() */
fl_inline __u32 fl_window(__u32 rcv_wup, __u32 rcv_wnd, __u32 rcv_nxt)
{
	__s32 window = rcv_wup + rcv_wnd - rcv_nxt;

	return window < 0 ? 0 : window;
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
 * An admitted socket that sends over TCP is slower than a plain one by a third (tcp_bpf_sendmsg copies into a sk_msg
 * first), and a stream whose writer is ahead of its reader goes over TCP most of the time. So each message that the
 * receive buffer did not take, or that had to follow such a one, makes a debt, about a microsecond each and one per
 * page; each spliced one pays an eighth of that. A direction that splices less than eight ninths for some four milliseconds
 * of work has FL_DEBT_MAX together, and the pair leaves the sockmap for a while. (A stream of 1 MiB messages needs about that
 * long until TCP has grown the receive buffer to where they fit.)
 * Without it: test_bulk, and every stream on one CPU at 0.6 of TCP's rate.
 */
#define FL_DEBT_SHARE 8
#define FL_DEBT_MAX (4096 * FL_DEBT_SHARE)
#define FL_DEBT_FILTERED (16 * FL_DEBT_MAX)

fl_inline __u32 fl_debt_add(__u32 debt, __u32 size)
{
	return debt < FL_DEBT_FILTERED ? debt + (1 + size / 4096) * FL_DEBT_SHARE : debt;
}

fl_inline __u32 fl_debt_pay(__u32 debt, __u32 size)
{
	__u32 pays = 1 + size / 4096;

	return debt > pays ? debt - pays : 0;
}

/* Is it time to look? Between looks msgs - freed only grows. */
fl_inline _Bool fl_backlog_look(__u32 msgs, __u32 freed_msgs, __u32 limit)
{
	return msgs - freed_msgs >= limit / 2;
}

#endif
