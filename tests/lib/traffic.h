/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two-way verified traffic on a pair, in the background: a sender and a receiver per direction, as four
 * threads, or two threads in each of two processes. Its state is in shared memory, so whoever started
 * it can watch. The streams go on from the pair's offsets, and the pair's offsets go on from there.
 */
#ifndef FASTLO_TESTS_TRAFFIC_H
#define FASTLO_TESTS_TRAFFIC_H

#include "harness.h"

enum {
	TRAFFIC_BLOCKING = 1 << 0, /* blocking calls */
	TRAFFIC_PEEK = 1 << 1,	   /* some receives are looked at with MSG_PEEK first */
	TRAFFIC_WAITALL = 1 << 2,  /* some receives are MSG_WAITALL; needs a budget */
	TRAFFIC_PAUSE = 1 << 3,	   /* short pauses now and then */
	TRAFFIC_VECTORS = 1 << 4,  /* some sends are sendmsg of several pieces, some with MSG_MORE */
	TRAFFIC_CATCHUP = 1 << 6, /* now and then a sender waits for its reader, so that splice can engage again */
	TRAFFIC_BUFFERS = 1 << 5,  /* SO_RCVBUF and SO_SNDBUF change on the way */
};

/* What its owner would have noticed. */
struct traffic_tally {
	int64_t pause_ns; /* the longest that a receiver waited for its next bytes */
	uint64_t lost;	  /* bytes sent and not received */
	uint64_t resets;  /* ends of a stream that nobody asked for */
	uint64_t errors;  /* EAGAIN of a blocking receive, or of one that poll had called ready; errors that end a stream */
};

struct traffic_opts {
	uint64_t bytes; /* per direction; 0: until traffic_stop() */
	uint64_t seed;
	size_t max_send, max_recv; /* 0: 64 KiB; at most 1 MiB */
	unsigned int flags;
	struct traffic_tally *tally; /* traffic_stop() adds to it; may be NULL */
};

struct traffic;

int traffic_start(struct traffic **ret, struct pair *p, const struct traffic_opts *o); /* four threads */
int traffic_fork(struct traffic **ret, struct pair *p, const struct traffic_opts *o);  /* two processes */
uint64_t traffic_bytes(const struct traffic *t); /* received so far, both directions */
/* The watchdog, for who does something else meanwhile: call it now and then. 0, or the error. */
int traffic_check(struct traffic *t);
/* Waits until each direction has received `more` bytes more than now. */
int traffic_more(struct traffic *t, uint64_t more);
/*
 * Waits until everything sent was received, ending it first unless it has a budget. 0, or the first error:
 * -EBADMSG wrong byte, -ETIMEDOUT no progress of a direction for 30 s (after a dump of both ends). Frees t.
 */
int traffic_stop(struct traffic *t);

#endif
