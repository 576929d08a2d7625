/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The torture: scenarios, each in an environment of its own (env_up), so that fastlod's counters are the
 * scenario's. A scenario fails at a wrong byte, a missing one, a direction without progress for 30 s, and if its
 * counters do not prove that it did what its name says.
 */
#ifndef FASTLO_TORTURE_H
#define FASTLO_TORTURE_H

#include "harness.h"
#include "traffic.h"

/* Whoever does not opt in himself is observed. */
#define TORTURE_POLICY "[policy torture]\ncgroup = @CGROUP@\n"
#define TORTURE_SKIP 1

struct run {
	uint64_t seed;
	uint64_t bytes; /* 0: until the time is over */
	uint64_t connections; /* at least; 0: see mass.c */
	int64_t until;	/* now_ms() */
	uint64_t moved, spliced, tcp; /* received; sent, by the sockets' own counters */
	unsigned int injected; /* faults */
	struct traffic_tally tally;
	char why[256];	/* it failed, or was skipped */
	char note[256]; /* what the scenario counted */
};

struct scenario {
	const char *name;
	const char *config; /* see env_up() */
	bool by_name_only;  /* it does something to the whole machine */
	int share;	    /* of --bytes, in parts of all shares; 0: goes by --seconds alone */
	int (*run)(const struct scenario *s, struct run *run); /* 0, TORTURE_SKIP, or a negative errno */
	const struct stream *stream;
	const struct disturbance *disturbance;
};

extern const struct scenario scenarios[];
extern const size_t n_scenarios;

/* Sets run->why, if nothing is there yet; returns -EPROTO. */
int run_fail(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A counter of `fastloctl stats` must be above 0. */
int run_counted(struct run *run, const char *counter);

/* ---- streams.c */
struct stream {
	enum kind kind;
	bool eager, processes;
	unsigned int flags; /* TRAFFIC_ */
	size_t max_send, max_recv;
	int pairs;     /* opened one after the other */
	bool tcp_only; /* may legitimately never be spliced */
};
int streams_run(const struct scenario *s, struct run *run);

/* ---- mass.c */
int mass_churn(const struct scenario *s, struct run *run);
int mass_open(const struct scenario *s, struct run *run);

/* ---- faults.c: the table of what each disturbance did to the traffic */
void faults_add(const struct scenario *s, const struct run *run);
void faults_print(void);

#endif
