/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlo for applications: opt one socket in to the loopback fast path. C and C++, header only.
 *
 * Both ends of a connection must opt in: the connecting side before connect(2), the listening side
 * before the connection is established (accepted sockets inherit). Without fastlod the kernel itself
 * answers to an unknown level (setsockopt: ENOPROTOOPT, getsockopt: EOPNOTSUPP), and the socket is
 * plain TCP.
 */
#ifndef FASTLO_FASTLO_H
#define FASTLO_FASTLO_H

#ifndef __bpf__
#include <linux/types.h>
#include <sys/socket.h>
#endif

/* Socket option level; not used by any kernel level of socket.h. */
#define SOL_FASTLO 64081

/*
 * int, 0 or 1; set and get. Setting fails with
 *   EINVAL      size is not sizeof(int), or the value is not 0 or 1
 *   EOPNOTSUPP  not a TCP stream socket (UDP, unix, MPTCP, SMC, ...)
 *   EISCONN     1 on a socket that is connected or connecting already
 *   ENOPROTOOPT fastlod does not serve this socket's cgroup
 * 0 is accepted at any time: a connected socket goes back to plain TCP, losing nothing.
 */
#define FASTLO_ENABLE 1

/*
 * struct fastlo_info; get only. EINVAL if the buffer is smaller than FASTLO_INFO_SIZE_V1.
 */
#define FASTLO_INFO 2

enum fastlo_state {
	FASTLO_STATE_OFF = 0,	    /* not opted in */
	FASTLO_STATE_TCP = 1,	    /* opted in, ordinary TCP: see reason */
	FASTLO_STATE_OBSERVING = 2, /* paired, ordinary TCP until its readers are known */
	FASTLO_STATE_SPLICED = 3,   /* the last message that this socket sent was spliced */
	FASTLO_STATE_YIELDING = 4,  /* may be spliced; its last message went over TCP: see reason */
	FASTLO_STATE_DRAINING = 5,  /* on its way back to plain TCP */
};

/* Byte and message counts are of this connection, since it was established or adopted. */
struct fastlo_info {
	__u32 state;  /* enum fastlo_state */
	__u32 reason; /* enum fl_reason; its names: include/fastlo/reason.def */
	__u64 pair;   /* id as shown by `fastloctl list`; 0: none */
	__u64 tx_spliced_bytes;
	__u64 tx_spliced_msgs;
	__u64 tx_tcp_bytes;	/* sent over TCP, retransmissions not counted */
	__u64 rx_spliced_bytes; /* what the peer spliced to this socket, read or not */
	__u64 rx_returned_bytes; /* handed over by completed receives, spliced or not */
};
#define FASTLO_INFO_SIZE_V1 56

#ifndef __bpf__
/*
 * Opts fd in. Call before connect() or listen(). Returns 0, or -1 with errno as listed at
 * FASTLO_ENABLE; on failure nothing has changed and the socket is good for plain TCP.
 */
static inline int fastlo_enable(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_FASTLO, FASTLO_ENABLE, &on, sizeof(on));
}
#endif

#endif
