/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The driver: options, and every cell in rounds of one sample per peer, A B C C B A: no peer always follows the same
 * one.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define STAY 4 /* rounds before the crowd grows or shrinks: that takes seconds */

/* two peers with a crowd each, all of one user */
#define CROWD_CONFIG "max_pairs = 131072\nmax_pairs_per_uid = 0\n"

typeof(opt) opt = { .rounds = 7, .scale = 1 };

static const char usage[] =
	"usage: bench [-j] [--rounds N] [--only SUBSTRING] [--peers LIST] [--scale X] [--rcvbuf BYTES] [--quick]\n"
	"             [--tsv FILE] [--sorted] [--setting LINE]\n"
	"peers: tcp,eager,observed,sockmap,unix,pipe; tcp is always one of them. A ratio is of the peer to tcp,\n"
	"below 1 is better for a time, above 1 for a rate. --quick: 3 rounds of half the time.\n"
	"--only: names with this text; 'A|B': with A or with B.\n"
	"--sorted: eager and observed only, the worst first, those that lose to TCP marked.\n"
	"--only bystander: what a running fastlod costs those that did not opt in.\n"
	"--setting: a line of fastlod's configuration, as 'socket_opt_in = no' (eager pairs then stay TCP).\n";

static void parse_peers(char *list)
{
	char *save = NULL;

	for (char *s = strtok_r(list, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
		int i = 0;

		while (i < PEERS && strcmp(s, peer_names[i]) != 0)
			i++;
		if (i == PEERS) {
			fprintf(stderr, "bench: --peers: '%s' is none of tcp, eager, observed, sockmap, unix, pipe\n", s);
			exit(1);
		}
		opt.peer[i] = true;
	}
}

static void parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "rounds", required_argument, NULL, 'r' }, { "only", required_argument, NULL, 'o' },
		{ "scale", required_argument, NULL, 's' },  { "rcvbuf", required_argument, NULL, 'b' },
		{ "peers", required_argument, NULL, 'p' },  { "tsv", required_argument, NULL, 't' },
		{ "quick", no_argument, NULL, 'q' },	    { "json", no_argument, NULL, 'j' },
		{ "sorted", no_argument, NULL, 'S' },	    { "help", no_argument, NULL, 'h' },
		{ "setting", required_argument, NULL, 'c' }, { 0 },
	};
	bool some = false;
	int c;

	while ((c = getopt_long(argc, argv, "r:o:s:b:p:t:c:qSjh", longs, NULL)) != -1) {
		switch (c) {
		case 'r': opt.rounds = atoi(optarg); break;
		case 'o': opt.only = optarg; break;
		case 's': opt.scale = atof(optarg); break;
		case 'b': opt.rcvbuf = atoi(optarg); break;
		case 'p': parse_peers(optarg); some = true; break;
		case 't': opt.tsv = optarg; break;
		case 'c': opt.setting = optarg; break;
		case 'q': opt.quick = true; opt.rounds = 3; break;
		case 'S': opt.sorted = true; break;
		case 'j': opt.json = true; break;
		default:
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 1);
		}
	}
	if (opt.sorted && opt.json) {
		fputs("bench: --sorted and --json are two ways to print\n", stderr);
		exit(1);
	}
	if (opt.rounds < 1 || opt.rounds > MAX_ROUNDS || opt.scale <= 0) {
		fprintf(stderr, "bench: --rounds is 1 to %d, --scale above 0\n", MAX_ROUNDS);
		exit(1);
	}
	opt.peer[TCP] = true;
	for (int i = 0; i < PEERS && !some; i++)
		opt.peer[i] = !opt.sorted || i <= OBSERVED;
}

/*
 * A pipe has no connect, and takes four files; a fixed receive buffer means nothing to what has none. A crowd is a
 * question to fastlod's table; the textbook sockmap has no room for one.
 */
static bool fits(enum peer peer, const struct cell *c)
{
	if (peer == PIPE && (c->work == CONNECT || 4 * c->conns > files_limit()))
		return false;
	if (c->work == CROWDED)
		return peer == TCP || peer == EAGER || peer == OBSERVED;
	return !c->rcvbuf || (peer != UNIX && peer != PIPE);
}

static void measure_round(const struct cell *cells, int at, struct result *ret, int round)
{
	for (int i = 0; i < PEERS; i++) {
		int p = round % 2 ? PEERS - 1 - i : i;
		struct sample *s = ret->at[p] ? &ret->at[p][round] : NULL;

		if (!s)
			continue;
		s->error = worker_sample(p, at, s);
		if (s->error)
			fprintf(stderr, "bench: %s, %s: %s\n", cells[at].name, peer_names[p], strerror(-s->error));
	}
}

static void measure(const struct cell *cells, int at, struct result *ret)
{
	static struct sample nothing;

	for (int i = 0; i < opt.rounds; i++)
		measure_round(cells, at, ret, i);
	for (int p = 0; p < PEERS && cells[at].work == MANY; p++)
		if (ret->at[p])
			worker_sample(p, NO_CELL, &nothing);
}

/* Cells that differ in the crowd only, by turns: up and down again. */
static void measure_crowded(const struct cell *cells, int from, int n, struct result *results)
{
	static struct sample nothing;
	bool down = false;

	for (int round = 0; round < opt.rounds; round += STAY, down = !down)
		for (int step = 0; step < n; step++) {
			int at = from + (down ? n - 1 - step : step);

			for (int p = 0; p < PEERS; p++)
				if (results[at].at[p]) /* all crowds are there before anything is measured */
					worker_sample(p, at, &nothing);
			for (int i = round; i < round + STAY && i < opt.rounds; i++)
				measure_round(cells, at, &results[at], i);
		}
	for (int p = 0; p < PEERS; p++)
		if (results[from].at[p])
			worker_sample(p, NO_CELL, &nothing);
}

static int start(const struct cell *cells)
{
	char path[512];
	int r = 0;

	for (int p = 0; p < PEERS && r == 0; p++) {
		if (!opt.peer[p])
			continue;
		r = worker_start(p, cells);
		if (r == 0 && p == OBSERVED) {
			snprintf(path, sizeof(path), "%s/observed", env.rel);
			r = env_ctl(NULL, "policy", "add", "bench", "--cgroup", path, NULL) == 0 ? 0 : -EIO;
		}
		if (r < 0)
			fprintf(stderr, "bench: cannot start peer '%s': %s\n", peer_names[p], strerror(-r));
	}
	return r;
}

static void report_rest(const struct cell *cells, const struct result *results, int n)
{
	for (enum metric m = CPU_CLIENT; m < METRICS; m++) {
		report_head(m);
		for (int i = 0; i < n; i++)
			report_row(&cells[i], &results[i], m);
	}
	report_crowded(cells, results, n);
	for (int i = 0; i < n; i++)
		report_percentiles(&cells[i], &results[i]);
}

static void run(const struct cell *cells, int n, struct json_object *all, FILE *tsv)
{
	struct result *results = calloc(n, sizeof(*results));
	bool tables = !opt.json && !opt.sorted;

	for (int i = 0; i < n; i++)
		for (int p = 0; p < PEERS; p++)
			if (opt.peer[p] && fits(p, &cells[i]))
				results[i].at[p] = calloc(opt.rounds, sizeof(struct sample));
	if (tables)
		report_head(VALUE);
	for (int i = 0, next; i < n; i = next) {
		for (next = i + 1; next < n && cells[i].work == CROWDED && cells[next].work == CROWDED;)
			next++;
		if (cells[i].work == CROWDED)
			measure_crowded(cells, i, next - i, results);
		else
			measure(cells, i, &results[i]);
		for (int at = i; at < next; at++) {
			if (tables)
				report_row(&cells[at], &results[at], VALUE);
			json_object_array_add(all, json_cell(&cells[at], &results[at]));
			tsv_cell(tsv, &cells[at], &results[at]);
		}
	}
	if (tables)
		report_rest(cells, results, n);
	if (opt.sorted)
		report_sorted(cells, results, n);
	for (int i = 0; i < n; i++)
		for (int p = 0; p < PEERS; p++)
			free(results[i].at[p]);
	free(results);
}

int main(int argc, char **argv)
{
	static struct cell cells[MAX_CELLS], others[MAX_CELLS];
	struct json_object *doc, *all = json_object_new_array();
	char config[1024];
	FILE *tsv;
	int r = 0, n;

	parse(argc, argv);
	if (geteuid() != 0) {
		fputs("bench: needs root\n", stderr);
		return 1;
	}
	tsv = fopen(opt.tsv ? opt.tsv : "/dev/null", "w");
	if (!tsv) {
		fprintf(stderr, "bench: cannot write '%s': %s\n", opt.tsv, strerror(errno));
		return 1;
	}
	snprintf(config, sizeof(config), "%s\n%s", opt.setting ? opt.setting : "", CROWD_CONFIG);
	if (env_up(config) < 0)
		return 1;
	doc = json_head();
	json_object_object_add(doc, "cells", all);
	tsv_head(tsv);
	n = cells_make(cells, MAX_CELLS);
	if (n) {
		r = start(cells);
		if (r == 0)
			run(cells, n, all, tsv);
		for (int p = 0; p < PEERS; p++)
			worker_stop(p);
	}
	n = bystander_cells(others);
	if (r == 0 && n && !opt.sorted)
		r = bystanders_run(others, n, all, tsv);
	if (opt.json)
		puts(json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY));
	json_object_put(doc);
	fclose(tsv);
	return r < 0;
}
