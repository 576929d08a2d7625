/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The same as JSON (everything) and as TSV (what plot.gnuplot reads): a line per cell and peer.
 */
#include <math.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

static const char *const works[] = { "round_trip", "stream",  "both_ways", "epoll",
				     "crowded",	   "connect", "latency",   "setsockopt" };
static const char *const places[] = { "one", "two", "unpinned" };
static const double percents[] = { 50, 90, 99, 99.9 };

static void add(struct json_object *to, const char *name, double value)
{
	if (!isnan(value))
		json_object_object_add(to, name, json_object_new_double(value));
}

static void text(struct json_object *to, const char *name, const char *value)
{
	json_object_object_add(to, name, json_object_new_string(value));
}

static double median_of(const struct result *r, enum peer peer, size_t offset)
{
	double v[MAX_ROUNDS];

	for (int i = 0; i < opt.rounds; i++)
		v[i] = r->at[peer][i].error ? NAN : *(double *)((char *)&r->at[peer][i] + offset);
	return quantile(v, opt.rounds, 0.5);
}

static struct json_object *json_peer(const struct cell *c, const struct result *r, enum peer p)
{
	struct summary s = summarize(r, p, TCP, VALUE, opt.rounds);
	struct summary cpu[2] = { summarize(r, p, TCP, CPU_CLIENT, opt.rounds),
				  summarize(r, p, TCP, CPU_SERVER, opt.rounds) };
	struct json_object *j = json_object_new_object();
	struct hist *h = result_hist(r, p);

	add(j, "median", s.median);
	add(j, "low", s.low);
	add(j, "high", s.high);
	add(j, "ratio", s.ratio);
	add(j, "ratio_low", s.ratio_low);
	add(j, "ratio_high", s.ratio_high);
	add(j, "spliced", median_of(r, p, offsetof(struct sample, spliced)));
	for (int side = 0; side < 2; side++) {
		add(j, side == CLIENT ? "client_us_per_message" : "server_us_per_message", cpu[side].median);
		add(j, side == CLIENT ? "client_ns_per_byte" : "server_ns_per_byte", cpu[side].median * 1000 / c->msg);
		add(j, side == CLIENT ? "client_cpu_ratio" : "server_cpu_ratio", cpu[side].ratio);
	}
	for (int i = 0; i < 4 && c->work == RATE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%g", percents[i]);
		add(j, name, hist_percentile(h, percents[i]));
	}
	free(h);
	return j;
}

struct json_object *json_cell(const struct cell *c, const struct result *r)
{
	struct json_object *j = json_object_new_object(), *peers = json_object_new_object();

	text(j, "name", c->name);
	text(j, "work", works[c->work]);
	text(j, "cpus", places[c->place]);
	text(j, "unit", c->unit);
	text(j, "better", c->more_is_better ? "more" : "less");
	json_object_object_add(j, "message", json_object_new_int64(c->msg));
	json_object_object_add(j, "connections", json_object_new_int(c->conns));
	json_object_object_add(j, "others", json_object_new_int(c->others));
	json_object_object_add(j, "rate", json_object_new_int(c->rate));
	json_object_object_add(j, "rcvbuf", json_object_new_int(opt.rcvbuf ? opt.rcvbuf : c->rcvbuf));
	json_object_object_add(j, "polled", json_object_new_boolean(c->polled));
	json_object_object_add(j, "slow_reader", json_object_new_boolean(c->slow));
	for (int p = 0; p < ALL_PEERS; p++)
		if (r->at[p])
			json_object_object_add(peers, peer_names[p], json_peer(c, r, p));
	json_object_object_add(j, "peers", peers);
	return j;
}

struct json_object *json_head(void)
{
	struct json_object *j = json_object_new_object();
	double load[3] = { NAN, NAN, NAN };
	struct utsname u;

	uname(&u);
	getloadavg(load, 3);
	text(j, "kernel", u.release);
	text(j, "machine", u.machine);
	json_object_object_add(j, "cpus", json_object_new_int64(sysconf(_SC_NPROCESSORS_ONLN)));
	add(j, "load_before", load[0]);
	json_object_object_add(j, "rounds", json_object_new_int(opt.rounds));
	return j;
}

void tsv_head(FILE *to)
{
	fputs("work\tcpus\tpolled\tslow\trcvbuf\tconnections\trate\tmessage\tpeer\tunit\tmedian\tlow\thigh\tratio\t"
	      "ratio_low\tratio_high\tspliced\tclient_us\tserver_us\tp50\tp90\tp99\tp99.9\tothers\n", to);
}

void tsv_cell(FILE *to, const struct cell *c, const struct result *r)
{
	for (int p = 0; p < ALL_PEERS; p++) {
		struct hist *h = result_hist(r, p);
		struct summary s = summarize(r, p, TCP, VALUE, opt.rounds);

		if (r->at[p]) {
			fprintf(to, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%zu\t%s\t%s\t%g\t%g\t%g\t%g\t%g\t%g\t%g\t%g\t%g",
				works[c->work], places[c->place], c->polled, c->slow, opt.rcvbuf ? opt.rcvbuf : c->rcvbuf,
				c->conns, c->rate, c->msg, peer_names[p], c->unit, s.median, s.low, s.high, s.ratio,
				s.ratio_low, s.ratio_high, median_of(r, p, offsetof(struct sample, spliced)),
				summarize(r, p, TCP, CPU_CLIENT, opt.rounds).median,
				summarize(r, p, TCP, CPU_SERVER, opt.rounds).median);
			for (int i = 0; i < 4; i++)
				fprintf(to, "\t%g", hist_percentile(h, percents[i]));
			fprintf(to, "\t%d\n", c->others);
		}
		free(h);
	}
	fflush(to);
}
