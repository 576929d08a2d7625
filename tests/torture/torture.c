/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Options, and the scenarios one after the other. The seed is printed; --seed with --scenario does the same
 * calls again (how they interleave is the machine's own).
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

static struct {
	uint64_t bytes, seed;
	uint64_t seconds;
	uint64_t connections;
	const char *scenario;
	bool faults;
} opt = { .seconds = 10 };

int run_fail(struct run *run, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!run->why[0])
		vsnprintf(run->why, sizeof(run->why), fmt, ap);
	va_end(ap);
	return -EPROTO;
}

int run_counted(struct run *run, const char *counter)
{
	size_t at = strlen(run->note);
	int64_t n;

	if (env.plain)
		return 0;
	n = env_stat(counter);
	if (n <= 0)
		return run_fail(run, "'%s' was never counted", counter);
	snprintf(run->note + at, sizeof(run->note) - at, ", %s %lld", counter, (long long)n);
	return 0;
}

static int run_one(const struct scenario *s, uint64_t seed, uint64_t bytes)
{
	struct run run = { .seed = seed, .bytes = bytes, .connections = opt.connections };
	int64_t start = now_ms();
	int r = env_up(s->config);

	run.until = now_ms() + 1000 * opt.seconds;
	if (r < 0)
		run_fail(&run, "no environment");
	else
		r = s->run(s, &run);
	if (r < 0)
		run_fail(&run, "%s", r == -EBADMSG ? "wrong byte" : strerror(-r));
	if (run.why[0] && r == 0)
		r = -EPROTO;
	printf("%s %-16s %8.1f MiB %6.1f s, %5.1f %% spliced%s%s%s\n", r < 0 ? "FAIL" : r ? "SKIP" : "  ok", s->name,
	       run.moved / 1048576.0, (now_ms() - start) / 1000.0, run.moved ? 100.0 * run.spliced / run.moved : 0,
	       run.note, run.why[0] ? ": " : "", run.why);
	if (r <= 0)
		faults_add(s, &run);
	if (r < 0)
		env_log_dump(stderr);
	env_down();
	fflush(stdout);
	return r;
}

static uint64_t size_arg(const char *text)
{
	char *end;
	double n = strtod(text, &end);
	const char *unit = "kMGT", *at = *end ? strchr(unit, *end) : NULL;

	if (end == text || n < 0 || (*end && (!at || end[1]))) {
		fprintf(stderr, "torture: '%s' is not a number such as 60, 500M or 10G\n", text);
		exit(1);
	}
	return at ? (uint64_t)(n * (1ULL << 10 * (at - unit + 1))) : (uint64_t)n;
}

static void list(void)
{
	for (size_t i = 0; i < n_scenarios; i++)
		puts(scenarios[i].name);
}

static void usage(FILE *to)
{
	fputs("usage: torture [--seconds N] [--bytes N[kMGT]] [--connections N] [--seed N] [--scenario NAME] [--faults]\n"
	      "               [--list]\n"
	      "Each scenario runs for --seconds (10). With --bytes the plain streams share that many bytes instead.\n"
	      "--connections: how many mass-churn opens and closes at least. --faults: only what disturbs the traffic.\n"
	      "PLAIN=1 in the environment: without fastlod.\n", to);
}

static void parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "bytes", required_argument, NULL, 'b' },    { "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },     { "scenario", required_argument, NULL, 'n' },
		{ "connections", required_argument, NULL, 'c' }, { "faults", no_argument, NULL, 'f' },
		{ "list", no_argument, NULL, 'l' },	      { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	opt.seed = (uint64_t)time(NULL) * 1000 + getpid() % 1000;
	while ((c = getopt_long(argc, argv, "b:s:r:n:c:flh", longs, NULL)) != -1) {
		if (c == 'b') {
			opt.bytes = size_arg(optarg);
		} else if (c == 's') {
			opt.seconds = size_arg(optarg);
		} else if (c == 'r') {
			opt.seed = strtoull(optarg, NULL, 0);
		} else if (c == 'n') {
			opt.scenario = optarg;
		} else if (c == 'c') {
			opt.connections = size_arg(optarg);
		} else if (c == 'f') {
			opt.faults = true;
		} else if (c == 'l') {
			list();
			exit(0);
		} else {
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 1);
		}
	}
}

static bool wanted(const struct scenario *s)
{
	if (opt.scenario)
		return strcmp(opt.scenario, s->name) == 0;
	return !s->by_name_only && (!opt.faults || s->disturbance);
}

int main(int argc, char **argv)
{
	int passed = 0, failed = 0, skipped = 0, shares = 0, found = 0;
	int64_t start = now_ms();

	parse(argc, argv);
	for (size_t i = 0; i < n_scenarios; i++) {
		found += wanted(&scenarios[i]);
		shares += wanted(&scenarios[i]) ? scenarios[i].share : 0;
	}
	if (!found) {
		fprintf(stderr, "torture: no scenario '%s' (--list shows them)\n", opt.scenario);
		return 1;
	}
	if (geteuid() != 0) {
		printf("torture needs root\n0 passed, 0 failed, %d skipped\n", found);
		return 0;
	}
	printf("seed %llu%s\n", (unsigned long long)opt.seed, getenv("PLAIN") ? ", plain TCP" : "");
	for (size_t i = 0; i < n_scenarios; i++) {
		const struct scenario *s = &scenarios[i];
		int r;

		if (!wanted(s))
			continue;
		r = run_one(s, opt.seed + i, s->share ? opt.bytes / shares * s->share : 0);
		passed += r == 0;
		failed += r < 0;
		skipped += r > 0;
	}
	faults_print();
	printf("%.0f s in all\n", (now_ms() - start) / 1000.0);
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}
