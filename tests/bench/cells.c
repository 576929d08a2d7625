/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The matrix: every workload, size, place and way to wait that is measured, each with a name that
 * --only can pick.
 */
#include <string.h>
#include <sys/resource.h>

#include "bench.h"

#define SECONDS 0.08	   /* of a sample: short, since what counts is the number of interleaved rounds */
#define FIXED_RCVBUF 262144
#define MANY_SECONDS 1e-4  /* of a sample, per connection: each is asked several times */
#define CROWDED_SECONDS 0.25 /* long enough that fastlod, which has more to look after, takes its share of the CPU */
#define CROWD 10000	   /* connections, if the limit of open files allows: both ends start in one process */
#define SPARE_FILES 64

static const size_t trip_sizes[] = { 1, 64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 0 };
static const size_t stream_sizes[] = { 1, 64, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 0 };
static const size_t goal_sizes[] = { 64, 4 << 10, 64 << 10, 1 << 20, 0 };
static const size_t few_sizes[] = { 64, 64 << 10, 0 };
static const int crowds[] = { 0, 1000, 10000, MAX_OTHERS };
static const char *const places[] = { "one CPU", "two CPUs", "unpinned" };

static struct {
	struct cell *at;
	int n, max;
} list;

static const char *size_name(size_t n)
{
	static char text[32];
	int step = n >= 1 << 20 ? 20 : n >= 1 << 10 ? 10 : 0;

	snprintf(text, sizeof(text), "%zu %s", n >> step, step == 20 ? "MiB" : step == 10 ? "KiB" : "B");
	return text;
}

static void add(struct cell c, const char *what)
{
	size_t n;

	if (list.n == list.max)
		return;
	n = snprintf(c.name, sizeof(c.name), "%s %s, %s", what, size_name(c.msg), places[c.place]);
	if (c.conns > 1)
		n += snprintf(c.name + n, sizeof(c.name) - n, ", %d connections", c.conns);
	if (c.work == CROWDED)
		n += snprintf(c.name + n, sizeof(c.name) - n, ", %d others open", c.others);
	if (c.rate)
		n += snprintf(c.name + n, sizeof(c.name) - n, ", %d per s", c.rate);
	snprintf(c.name + n, sizeof(c.name) - n, "%s%s%s", c.polled && c.work == ROUND_TRIP ? ", poll" : "",
		 c.slow ? ", slow reader" : "", c.rcvbuf ? ", fixed buffer" : "");
	c.conns = c.conns ? c.conns : 1;
	c.seconds = (c.seconds ? c.seconds : SECONDS) * opt.scale * (opt.quick ? 0.5 : 1);
	list.at[list.n++] = c;
}

static void add_trips(enum place place, bool polled, const size_t *sizes)
{
	for (; *sizes; sizes++)
		add((struct cell){ .work = ROUND_TRIP, .place = place, .polled = polled, .msg = *sizes, .unit = "us" },
		    "round trip");
}

/* The readers of servers: a blocking one would keep an observed pair on TCP. */
static void add_streams(enum place place, bool slow, int rcvbuf, const size_t *sizes)
{
	for (; *sizes; sizes++)
		add((struct cell){ .work = STREAM, .place = place, .slow = slow, .rcvbuf = rcvbuf, .msg = *sizes,
				   .polled = true, .unit = "Gbit/s", .more_is_better = true }, "stream");
}

int files_limit(void)
{
	struct rlimit files;

	/* raising the hard limit takes a capability that root in a container may lack */
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_max < 1 << 20 ? (int)files.rlim_max : 1 << 20;
}

static void add_others(void)
{
	int conns[] = { 1, 64, 1000, files_limit() / 2 - SPARE_FILES };
	static const int rates[] = { 1000, 10000, 30000 };

	conns[3] = conns[3] < CROWD ? conns[3] : CROWD;
	for (enum place p = ONE_CPU; p <= TWO_CPUS; p++)
		for (const size_t *s = few_sizes; *s; s++)
			add((struct cell){ .work = DUPLEX, .place = p, .msg = *s, .polled = true, .unit = "Gbit/s",
					   .more_is_better = true }, "both ways");
	for (int i = 0; i < 4; i++)
		add((struct cell){ .work = MANY, .place = TWO_CPUS, .msg = 64, .polled = true, .conns = conns[i],
				   .seconds = conns[i] > 1000 ? conns[i] * MANY_SECONDS : 0, .unit = "k/s",
				   .more_is_better = true }, "epoll");
	for (int i = 0; i < 4; i++)
		add((struct cell){ .work = CROWDED, .msg = 64, .polled = true, .others = crowds[i],
				   .seconds = CROWDED_SECONDS,
				   .unit = "us" }, "round trip");
	for (enum place p = ONE_CPU; p <= TWO_CPUS; p++)
		add((struct cell){ .work = CONNECT, .place = p, .msg = 64, .unit = "k/s", .more_is_better = true },
		    "connect");
	for (int i = 0; i < 3; i++)
		add((struct cell){ .work = RATE, .place = TWO_CPUS, .msg = 64, .polled = true, .rate = rates[i],
				   .seconds = 0.2, .unit = "us" }, "latency");
}

/* --only: alternatives between bars */
static bool wanted(const char *name)
{
	const char *at = opt.only;

	while (at) {
		size_t len = strcspn(at, "|");

		if (memmem(name, strlen(name), at, len))
			return true;
		at = at[len] ? at + len + 1 : NULL;
	}
	return !opt.only;
}

static int keep(struct cell *ret)
{
	int kept = 0;

	for (int i = 0; i < list.n; i++)
		if (wanted(ret[i].name))
			ret[kept++] = ret[i];
	return kept;
}

int cells_make(struct cell *ret, int max)
{
	list.at = ret;
	list.max = max;
	for (enum place p = ONE_CPU; p <= TWO_CPUS; p++) {
		add_trips(p, false, trip_sizes);
		add_trips(p, true, trip_sizes);
	}
	add_trips(UNPINNED, true, few_sizes);
	for (enum place p = ONE_CPU; p <= TWO_CPUS; p++)
		add_streams(p, false, 0, stream_sizes);
	add_streams(UNPINNED, false, 0, few_sizes);
	/* message by message, in blocking calls */
	for (enum place p = ONE_CPU; p <= TWO_CPUS; p++)
		for (const size_t *s = goal_sizes; *s; s++)
			add((struct cell){ .work = STREAM, .place = p, .msg = *s, .unit = "Gbit/s",
					   .more_is_better = true }, "stream, blocking");
	add_streams(TWO_CPUS, false, FIXED_RCVBUF, stream_sizes);
	add_streams(TWO_CPUS, true, 0, stream_sizes);
	add_streams(TWO_CPUS, true, FIXED_RCVBUF, stream_sizes);
	add_others();
	return keep(ret);
}

/* Of those that did not opt in. */
int bystander_cells(struct cell *ret)
{
	struct cell trip = { .work = ROUND_TRIP, .msg = 64, .unit = "us" }, two = trip, sockopt, conns;

	list.at = ret;
	list.n = 0;
	list.max = 4;
	two.place = TWO_CPUS;
	conns = (struct cell){ .work = CONNECT, .msg = 64, .unit = "k/s", .more_is_better = true };
	sockopt = (struct cell){ .work = SETSOCKOPT, .msg = 4, .unit = "ns" };
	add(trip, "bystander: round trip");
	add(two, "bystander: round trip");
	add(conns, "bystander: connect");
	add(sockopt, "bystander: setsockopt");
	return keep(ret);
}
