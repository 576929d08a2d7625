/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Verified traffic while something else happens. Two resident pairs (one eager, one observed) and one of blocking
 * readers, which stays TCP, live through all of it; guests come and go. The disturbance is one step after the other
 * until the time is over; in the end it is undone, and every resident must be spliced again in both directions.
 */
#ifndef FASTLO_TORTURE_CHAOS_H
#define FASTLO_TORTURE_CHAOS_H

#include "torture.h"

#define CHAOS_RESIDENTS 2
#define CHAOS_LASTING 3 /* the residents, and the blocking pair */
#define CHAOS_MAX 7
#define CHAOS_PATIENCE_MS 60000 /* with fastlod: the traffic takes all the CPU that there is */

struct chaos {
	const struct disturbance *d;
	struct run *run;
	uint64_t rnd;
	unsigned int opened; /* pairs so far */
	unsigned int steps;
	uint64_t guests_spliced; /* bytes */
	unsigned int grown; /* times that all residents were seen to be spliced further */
	struct {
		struct pair pair;
		struct traffic *traffic; /* NULL: nobody there */
	} crowd[CHAOS_MAX];
};

/* All but step and proof may be missing. */
struct disturbance {
	int guests;
	bool nobody_opts_in;
	bool blocking_let_in; /* on terms that bring EAGAIN with them */
	bool forgetful; /* the sockets' counters do not outlive it */
	int (*begin)(struct chaos *c); /* 0, TORTURE_SKIP, or an error */
	int (*enter)(struct chaos *c); /* around the opening of pairs */
	void (*leave)(struct chaos *c);
	int (*step)(struct chaos *c);  /* something happens, and passes */
	int (*calm)(struct chaos *c);  /* nothing of it is left */
	int (*proof)(struct chaos *c); /* by counters; pairs are still open */
	void (*end)(struct chaos *c);  /* always, after a begin() that returned 0 */
};

int chaos_run(const struct scenario *s, struct run *run);
int chaos_with_fastlod(struct chaos *c); /* for begin() */
int chaos_pause(struct chaos *c, int ms); /* the traffic goes on, watched */
/* Waits until all residents have been spliced further in both directions. */
int chaos_grow(struct chaos *c);
/* Waits until no resident's messages are spliced any more. */
int chaos_on_tcp(struct chaos *c);
/* Starts env.bin's fastlod and waits until it is ready. */
int chaos_start(struct chaos *c);


extern const struct disturbance disturb_cgroup_filters, disturb_socket_filters; /* disturb_filters.c */
extern const struct disturbance disturb_none, disturb_killed, disturb_stopped; /* disturb_daemon.c */
extern const struct disturbance disturb_upgraded, disturb_other_abi; /* disturb_upgrade.c */
extern const struct disturbance disturb_drained, disturb_reloaded, disturb_policies; /* disturb_told.c */
extern const struct disturbance disturb_full, disturb_ring; /* disturb_table.c */
extern const struct disturbance disturb_memory, disturb_cpu, disturb_clock; /* disturb_host.c */
extern const struct disturbance disturb_forks, disturb_cgroup; /* disturb_owner.c */

#endif
