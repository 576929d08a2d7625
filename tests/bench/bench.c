/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The driver: options, and every cell in rounds of one sample per peer, A B C A B C.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define CROWD 5000 /* opening so many takes longer than the sample: fewer rounds */
#define CROWD_ROUNDS 3

typeof(opt) opt = { .rounds = 7, .scale = 1 };

static const char usage[] =
	"usage: bench [-j] [--rounds N] [--only SUBSTRING] [--peers LIST] [--scale X] [--rcvbuf BYTES] [--quick]\n"
	"             [--tsv FILE]\n"
	"peers: tcp,eager,observed,sockmap,unix,pipe; tcp is always one of them. A ratio is of the peer to tcp,\n"
	"below 1 is better for a time, above 1 for a rate. --quick: 3 rounds of half the time.\n"
	"--only bystander: what a running fastlod costs those that did not opt in.\n";

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
		{ "help", no_argument, NULL, 'h' },	    { 0 },
	};
	bool some = false;
	int c;

	while ((c = getopt_long(argc, argv, "r:o:s:b:p:t:qjh", longs, NULL)) != -1) {
		switch (c) {
		case 'r': opt.rounds = atoi(optarg); break;
		case 'o': opt.only = optarg; break;
		case 's': opt.scale = atof(optarg); break;
		case 'b': opt.rcvbuf = atoi(optarg); break;
		case 'p': parse_peers(optarg); some = true; break;
		case 't': opt.tsv = optarg; break;
		case 'q': opt.quick = true; opt.rounds = 3; break;
		case 'j': opt.json = true; break;
		default:
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 1);
		}
	}
	if (opt.rounds < 1 || opt.rounds > MAX_ROUNDS || opt.scale <= 0) {
		fprintf(stderr, "bench: --rounds is 1 to %d, --scale above 0\n", MAX_ROUNDS);
		exit(1);
	}
	opt.peer[TCP] = true;
	for (int i = 0; i < PEERS && !some; i++)
		opt.peer[i] = true;
}

/* A pipe has no connect, and takes four files; a fixed receive buffer means nothing to what has none. */
static bool fits(enum peer peer, const struct cell *c)
{
	if (peer == PIPE && (c->work == CONNECT || 4 * c->conns > files_limit()))
		return false;
	return !c->rcvbuf || (peer != UNIX && peer != PIPE);
}

static void measure(const struct cell *cells, int at, struct result *ret)
{
	const struct cell *c = &cells[at];
	int rounds = c->conns >= CROWD && opt.rounds > CROWD_ROUNDS ? CROWD_ROUNDS : opt.rounds;

	for (int p = 0; p < PEERS; p++)
		if (opt.peer[p] && fits(p, c))
			ret->at[p] = calloc(opt.rounds, sizeof(struct sample));
	for (int i = 0; i < opt.rounds; i++)
		for (int p = 0; p < PEERS; p++) {
			if (!ret->at[p])
				continue;
			if (i >= rounds) {
				ret->at[p][i].error = -ECANCELED;
				continue;
			}
			ret->at[p][i].error = worker_sample(p, at, &ret->at[p][i]);
			if (ret->at[p][i].error)
				fprintf(stderr, "bench: %s, %s: %s\n", c->name, peer_names[p],
					strerror(-ret->at[p][i].error));
		}
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

static void run(const struct cell *cells, int n, struct json_object *all, FILE *tsv)
{
	struct result *results = calloc(n, sizeof(*results));

	for (int i = 0; i < n; i++) {
		if (i == 0 && !opt.json)
			report_head(VALUE);
		measure(cells, i, &results[i]);
		if (!opt.json)
			report_row(&cells[i], &results[i], VALUE);
		json_object_array_add(all, json_cell(&cells[i], &results[i]));
		tsv_cell(tsv, &cells[i], &results[i]);
	}
	for (enum metric m = CPU_CLIENT; m < METRICS && !opt.json && n; m++) {
		report_head(m);
		for (int i = 0; i < n; i++)
			report_row(&cells[i], &results[i], m);
	}
	for (int i = 0; i < n && !opt.json; i++)
		report_percentiles(&cells[i], &results[i]);
	for (int i = 0; i < n; i++)
		for (int p = 0; p < PEERS; p++)
			free(results[i].at[p]);
	free(results);
}

int main(int argc, char **argv)
{
	static struct cell cells[MAX_CELLS], others[MAX_CELLS];
	struct json_object *doc, *all = json_object_new_array();
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
	if (env_up(NULL) < 0)
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
	if (r == 0 && n)
		r = bystanders_run(others, n, all, tsv);
	if (opt.json)
		puts(json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY));
	json_object_put(doc);
	fclose(tsv);
	return r < 0;
}
