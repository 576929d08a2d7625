/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What traffic.c (starting, watching, ending) and traffic_work.c (the four workers) share. Nobody else.
 */
#ifndef FASTLO_TESTS_TRAFFIC_PRIVATE_H
#define FASTLO_TESTS_TRAFFIC_PRIVATE_H

#include <pthread.h>

#include "traffic.h"

#define TRAFFIC_WORKERS 4 /* worker w: direction w / 2, receiver if w is odd */
#define TRAFFIC_PIECE_MAX (1U << 20)

/* In shared memory: with traffic_fork() the workers are in other processes. */
struct traffic {
	struct traffic_opts o;
	struct pair *owner; /* only the starter looks at it */
	struct pair p;	    /* descriptors, seed; offsets at the start */
	_Alignas(64) uint64_t sent[2];
	_Alignas(64) uint64_t got[2];
	_Alignas(64) int stop;
	uint64_t end[2]; /* of each stream; UINT64_MAX: as long as nobody stops it */
	int error;
	_Alignas(64) int64_t pause_ns[2]; /* each receiver's own */
	uint64_t errors[2];
	pthread_t thread[TRAFFIC_WORKERS];
	pid_t child[2];
	uint64_t seen[2]; /* the watchdog's: the last progress of each direction, */
	int64_t idle_ms[2]; /* for how long it has seen none, */
	int64_t checked; /* and when it looked last */
};

#define load(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define store(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

void traffic_set_error(struct traffic *t, int error); /* the first one stays */
int traffic_worker(struct traffic *t, int which);     /* starts it */

#endif
