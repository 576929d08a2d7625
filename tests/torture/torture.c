/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stream torture: two-way streams whose every byte names its offset, of random sizes by random calls, over
 * eager and observed pairs of every address kind, between threads and between processes. A wrong byte, a
 * missing one or 30 s without progress fails; so does a scenario that never spliced, or never yielded.
 * The seed is printed; --seed with --scenario does the same calls again.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "traffic.h"

#define CONFIG "[policy torture]\ncgroup = @CGROUP@\n" /* whoever does not opt in himself is observed */
#define ABREAST 2 /* pairs at a time: enough to keep two CPUs busy */
#define WILD (TRAFFIC_PEEK | TRAFFIC_PAUSE | TRAFFIC_VECTORS)
#define TALK (WILD | TRAFFIC_CATCHUP) /* a sender that never waits for its reader soon stays on TCP */

struct scenario {
	const char *name;
	enum kind kind;
	bool eager, processes;
	unsigned int flags;
	size_t max_send, max_recv;
	int share;  /* of the bytes asked for, in parts of all shares */
	int pairs;  /* opened one after the other */
	bool tcp_only; /* may legitimately never be spliced */
};

static const struct scenario scenarios[] = {
	{ "eager-v4", V4, true, false, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 10, 8 },
	{ "eager-v6", V6, true, true, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 10, 8 },
	{ "eager-mapped", MAPPED, true, false, TALK, 1 << 16, 1 << 16, 8, 8 },
	{ "eager-own", OWN, true, true, TALK, 1 << 16, 1 << 16, 8, 8 },
	{ "eager-full", V6, true, true, WILD | TRAFFIC_BUFFERS, 1 << 20, 1 << 20, 8, 8 },
	{ "eager-blocking", V4, true, true, TALK | TRAFFIC_BLOCKING, 1 << 16, 1 << 18, 10, 8 },
	{ "eager-waitall", V6, true, false, WILD | TRAFFIC_BLOCKING | TRAFFIC_WAITALL, 1 << 18, 1 << 18, 6, 8, true },
	{ "eager-small", V4, true, false, TRAFFIC_PEEK | TRAFFIC_VECTORS, 400, 3000, 1, 4 },
	{ "eager-mixed", V6, true, true, TRAFFIC_VECTORS | TRAFFIC_CATCHUP, 1 << 18, 3000, 2, 4 },
	{ "eager-short", V4, true, false, TALK, 1 << 15, 1 << 15, 2, 400 },
	{ "observed-v4", V4, false, true, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 10, 8 },
	{ "observed-v6", V6, false, false, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 10, 8 },
	{ "observed-mapped", MAPPED, false, true, TALK, 1 << 16, 1 << 16, 8, 8 },
	{ "observed-own", OWN, false, false, TALK, 1 << 16, 1 << 16, 8, 8 },
	{ "observed-full", V4, false, false, WILD | TRAFFIC_BUFFERS, 1 << 20, 1 << 20, 8, 8 },
	{ "observed-small", V6, false, true, WILD, 400, 3000, 1, 4 },
	{ "observed-short", MAPPED, false, false, TALK, 1 << 15, 1 << 15, 2, 400 },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

static struct {
	uint64_t bytes, seed;
	int64_t until; /* ms; 0: no limit */
	const char *scenario;
} opt = { .bytes = 10ULL << 30 };

struct result {
	uint64_t bytes, spliced, tcp;
	int error;
};

static int run_pairs(const struct scenario *s, uint64_t per_direction, uint64_t seed, struct result *res)
{
	struct pair p[ABREAST];
	struct traffic *t[ABREAST];
	int n, r = 0;

	for (n = 0; n < ABREAST && r == 0; n++) {
		struct traffic_opts o = { .bytes = per_direction, .seed = seed + n, .max_send = s->max_send,
					  .max_recv = s->max_recv, .flags = s->flags };

		r = pair_open(&p[n], s->kind, s->eager, s->eager);
		if (r < 0)
			break;
		p[n].seed = seed * 1000 + n * 2;
		r = (s->processes ? traffic_fork : traffic_start)(&t[n], &p[n], &o);
	}
	for (int i = 0; i < n; i++) {
		int e = traffic_stop(t[i]);

		if (e < 0) {
			fprintf(stderr, "%s: pair seed %llu: %s\n", s->name, (unsigned long long)seed + i,
				e == -EBADMSG ? "MISMATCH" : strerror(-e));
			pair_dump(stderr, &p[i]);
			r = e;
		}
		for (int side = 0; side < 2; side++) {
			res->bytes += p[i].got[side];
			res->spliced += info(p[i].fd[side]).tx_spliced_bytes;
			res->tcp += info(p[i].fd[side]).tx_tcp_bytes;
		}
		pair_close(&p[i]);
	}
	return r;
}

static bool time_left(void)
{
	return !opt.until || now_ms() < opt.until;
}

static bool run_scenario(const struct scenario *s, uint64_t bytes, uint64_t seed)
{
	uint64_t per_direction = bytes / s->pairs / ABREAST / 2 * ABREAST;
	int64_t start = now_ms();
	struct result res = { 0 };
	int rounds = s->pairs / ABREAST;
	const char *why = NULL;

	if (per_direction < 4096)
		per_direction = 4096;
	for (int i = 0; i < rounds && res.error == 0 && (i == 0 || time_left()); i++)
		res.error = run_pairs(s, per_direction, seed * 100003 + i * ABREAST, &res);
	if (res.error)
		why = res.error == -EBADMSG ? "wrong byte" : strerror(-res.error);
	else if (!env.plain && !s->tcp_only && !res.spliced)
		why = "nothing was spliced";
	else if (!env.plain && res.spliced + res.tcp != res.bytes)
		why = "the sockets' counters do not add up";
	printf("%s %-16s %8.1f MiB %6.1f s, %5.1f %% spliced%s%s\n", why ? "FAIL" : "  ok", s->name,
	       res.bytes / 1048576.0, (now_ms() - start) / 1000.0,
	       res.bytes ? 100.0 * res.spliced / res.bytes : 0, why ? ": " : "", why ? why : "");
	if (why && !env.plain)
		printf("     spliced %llu + tcp %llu, received %llu\n", (unsigned long long)res.spliced,
		       (unsigned long long)res.tcp, (unsigned long long)res.bytes);
	fflush(stdout);
	return !why;
}

static uint64_t size_arg(const char *text)
{
	char *end;
	double n = strtod(text, &end);
	const char *unit = "kMGT", *at = *end ? strchr(unit, *end) : NULL;

	if (end == text || n < 0 || (*end && (!at || end[1]))) {
		fprintf(stderr, "torture: '%s' is not a size such as 500M or 10G\n", text);
		exit(1);
	}
	return at ? (uint64_t)(n * (1ULL << 10 * (at - unit + 1))) : (uint64_t)n;
}

static void usage(void)
{
	puts("usage: torture [--bytes N[kMGT]] [--seconds N] [--seed N] [--scenario NAME]\n"
	     "--seconds alone goes round and round until the time is over. PLAIN=1: without fastlod.\nscenarios:");
	for (size_t i = 0; i < SCENARIOS; i++)
		printf("  %s\n", scenarios[i].name);
}

static void parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "bytes", required_argument, NULL, 'b' },    { "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },     { "scenario", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },	      { 0 },
	};
	bool bytes = false;
	int c;

	opt.seed = (uint64_t)time(NULL) * 1000 + getpid() % 1000;
	while ((c = getopt_long(argc, argv, "b:s:r:n:h", longs, NULL)) != -1) {
		if (c == 'b') {
			opt.bytes = size_arg(optarg);
			bytes = true;
		} else if (c == 's') {
			opt.until = now_ms() + 1000 * (int64_t)size_arg(optarg);
		} else if (c == 'r') {
			opt.seed = strtoull(optarg, NULL, 0);
		} else if (c == 'n') {
			opt.scenario = optarg;
		} else {
			usage();
			exit(c == 'h' ? 0 : 1);
		}
	}
	if (opt.until && !bytes)
		opt.bytes = 0;
}

int main(int argc, char **argv)
{
	int passed = 0, failed = 0, shares = 0;
	int64_t start = now_ms();

	parse(argc, argv);
	if (geteuid() != 0) {
		puts("torture needs root\n0 passed, 0 failed, 1 skipped");
		return 0;
	}
	for (size_t i = 0; i < SCENARIOS; i++)
		if (!opt.scenario || strcmp(opt.scenario, scenarios[i].name) == 0)
			shares += scenarios[i].share;
	if (!shares) {
		fprintf(stderr, "torture: no scenario '%s'\n", opt.scenario);
		usage();
		return 1;
	}
	if (env_up(CONFIG) < 0)
		return 1;
	printf("seed %llu%s\n", (unsigned long long)opt.seed, env.plain ? ", plain TCP" : "");
	for (uint64_t round = 0; round == 0 || (!opt.bytes && time_left() && !failed); round++)
		for (size_t i = 0; i < SCENARIOS && (time_left() || passed + failed == 0); i++) {
			const struct scenario *s = &scenarios[i];
			uint64_t all = opt.bytes ? opt.bytes : 1ULL << 30;

			if (opt.scenario && strcmp(opt.scenario, s->name) != 0)
				continue;
			if (run_scenario(s, all / shares * s->share + (1 << 20), opt.seed + round * SCENARIOS + i))
				passed++;
			else
				failed++;
		}
	if (failed)
		env_log_dump(stderr);
	printf("%.0f s in all\n%d passed, %d failed, 0 skipped\n", (now_ms() - start) / 1000.0, passed, failed);
	return failed ? 1 : 0;
}
