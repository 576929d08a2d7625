/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The benchmark: cells (what is measured) times peers (over what), measured by one worker process per peer
 * that lives in the peer's cgroup, in interleaved rounds, so that what the machine does meanwhile meets every peer
 * alike. Results are ratios to plain TCP of the same round. Never a pass or a failure.
 */
#ifndef FASTLO_BENCH_H
#define FASTLO_BENCH_H

#include "harness.h"

#define MAX_ROUNDS 101
#define MAX_CELLS 160
#define MAX_OTHERS 50000
#define READ_SIZE 65536 /* at least, of a reader that polls: with less it would be the slower end */

enum peer { TCP, EAGER, OBSERVED, SOCKMAP, UNIX, PIPE, PEERS, SERVED = PEERS, ALL_PEERS }; /* SERVED: bystanders.c */
extern const char *const peer_names[ALL_PEERS];

enum work { ROUND_TRIP, STREAM, DUPLEX, MANY, CROWDED, CONNECT, RATE, SETSOCKOPT };
enum place { ONE_CPU, TWO_CPUS, UNPINNED };

struct cell {
	enum work work;
	enum place place;
	char name[72];
	const char *unit;
	size_t msg;
	bool more_is_better;
	bool polled; /* O_NONBLOCK and poll() or epoll; otherwise blocking calls */
	bool slow;   /* the reader spends time per byte, more than the writer needs */
	int rcvbuf;  /* 0: the default */
	int conns;
	int others;  /* pairs that are open besides and say nothing; CROWDED */
	int rate;    /* messages per second; RATE */
	double seconds;
};

extern struct {
	int rounds, rcvbuf;
	double scale;
	bool json, quick, sorted;
	const char *only, *tsv, *setting;
	bool peer[ALL_PEERS];
} opt;

/* ---- stats.c: latencies in buckets of 1/32 of a power of two, in ns */
#define HIST_BUCKETS (64 * 32)
struct hist {
	uint32_t count[HIST_BUCKETS];
};
void hist_add(struct hist *h, uint64_t ns);
double hist_percentile(const struct hist *h, double percent); /* us; NAN if empty */
double quantile(double *values, int n, double q); /* of those that are not NAN; sorts; NAN if none */

/* ---- One sample, a peer's in a cell. */
struct sample {
	int error;	   /* negative errno: nothing below holds */
	double value;	   /* in the cell's unit */
	double spliced;	   /* share of the client's bytes; NAN where it is not asked */
	double messages, bytes;
	double cpu[2];	   /* seconds of CLIENT and SERVER */
	struct hist hist;  /* RATE */
};

/* ---- cells.c */
int cells_make(struct cell *ret, int max);
int files_limit(void); /* raised as far as it goes; workers inherit it */

/* ---- connection.c: a connection over a peer, both ends in this process */
struct connection {
	int in[2], out[2]; /* CLIENT, SERVER; the same fd unless it is a pipe */
};
/* Over TCP by way of that listener: ports are too few for one each. */
int connection_open(struct connection *ret, enum peer peer, const struct cell *c, int listener, uint16_t port);
void connection_close(struct connection *c, int side);
void connection_finish(const struct connection *c, int side); /* the other end sees the end of the stream */
int peer_listen(enum peer peer, const struct cell *c, int *ret_fd, uint16_t *ret_port);
int peer_connect(enum peer peer, const struct cell *c, uint16_t port, int *ret_fd);
int peer_accept(const struct cell *c, int listener);

/* ---- worker.c */
int worker_start(enum peer peer, const struct cell *cells);
void worker_stop(enum peer peer);
int worker_sample(enum peer peer, int cell, struct sample *ret); /* may give up: -ETIMEDOUT */
#define NO_CELL (-1) /* closes what was kept */

/* ---- crowd.c: in the worker. So many pairs of that peer are open afterwards, besides those of samples. */
int crowd_set(enum peer peer, int pairs);

/* ---- sample.c, work_*.c: in the worker */
struct shared { /* with the server, a process of its own */
	volatile int ready;
	volatile double finished; /* when the server saw the end */
	double bytes, cpu;
};
struct run {
	const struct cell *cell;
	enum peer peer;
	struct connection *conns;
	int n;
	int epoll;  /* of this process; MANY */
	pid_t server;
	int listener;
	uint16_t port;
	struct shared *shared;
	struct sample *sample;
	char *mem; /* read_size bytes */
	size_t read_size;
	double start, until; /* the client's */
};
/* What MANY and CROWDED opened stays open until a sample of no cell, NULL. */
void sample_take(enum peer peer, const struct cell *c, struct sample *ret);
double now(void);
double cpu_used(void);
/* False: the other end is gone. An eager socket's blocking receive may say EAGAIN (docs/DEVIATIONS.md): again. */
bool get(const struct cell *c, int fd, char *mem, size_t len);
ssize_t get_some(const struct cell *c, int fd, char *mem, size_t len); /* > 0, or <= 0 at the end */
bool put(const struct cell *c, int fd, const char *mem, size_t len);

struct work_ops {
	void (*prepare)(struct run *r, int side); /* in its process, once, not measured; may be NULL */
	void (*server)(struct run *r); /* until the client ends */
	bool (*client)(struct run *r); /* sets the sample's value, messages and bytes, unless settle does */
	void (*settle)(struct run *r); /* after the server's end; may be NULL */
};
extern const struct work_ops round_trip_ops, stream_ops, duplex_ops, many_ops, connect_ops, rate_ops, setsockopt_ops;

/* ---- report.c, report_data.c: the samples as [cell][peer][round] */
struct result {
	struct sample *at[ALL_PEERS]; /* each an array of rounds; NULL: not measured */
};
enum metric { VALUE, CPU_CLIENT, CPU_SERVER, CPU_BOTH, METRICS };
struct summary {
	double median, low, high; /* quartiles */
	double ratio, ratio_low, ratio_high; /* to the base peer, of the same round */
};
struct summary summarize(const struct result *r, enum peer peer, enum peer base, enum metric m, int rounds);
void report_head(enum metric m);
void report_row(const struct cell *c, const struct result *r, enum metric m);
void report_percentiles(const struct cell *c, const struct result *r);
void report_crowded(const struct cell *cells, const struct result *results, int n);
double spliced_share(const struct result *r, enum peer peer);
struct hist *result_hist(const struct result *r, enum peer peer); /* of all rounds; free() it */
struct json_object *json_cell(const struct cell *c, const struct result *r);
struct json_object *json_head(void);
void tsv_head(FILE *to);
void tsv_cell(FILE *to, const struct cell *c, const struct result *r);

/* ---- report_sorted.c */
void report_sorted(const struct cell *cells, const struct result *results, int n);

/* ---- bystanders.c: after the matrix; stops and starts fastlod */
int bystanders_run(const struct cell *cells, int n, struct json_object *all, FILE *tsv);
int bystander_cells(struct cell *ret);

#endif
