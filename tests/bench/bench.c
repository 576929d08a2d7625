/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Plain TCP against an eager fastlo pair, two processes, in one run: A B A B ..., medians, ratio, and from
 * the sockets' own counters the share of the bytes that were spliced. Never a pass or a failure.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define MAX_ROUNDS 101

struct bench {
	const char *name, *unit;
	size_t msg;
	bool stream;  /* client sends only; otherwise a round trip */
	bool polled;  /* O_NONBLOCK and poll(); otherwise blocking calls */
	bool two_cpus;
	double amount; /* round trips or bytes of one sample */
};

static const struct bench benches[] = {
	{ "round trip 64 B, one CPU", "us", 64, false, false, false, 20000 },
	{ "round trip 64 B, one CPU, poll", "us", 64, false, true, false, 20000 },
	{ "round trip 64 B, two CPUs", "us", 64, false, false, true, 10000 },
	{ "round trip 4 KiB, one CPU", "us", 4096, false, false, false, 20000 },
	{ "stream 64 B, one CPU", "Gbit/s", 64, true, false, false, 16 << 20 },
	{ "stream 4 KiB, one CPU", "Gbit/s", 4096, true, false, false, 512 << 20 },
	{ "stream 64 KiB, one CPU", "Gbit/s", 65536, true, false, false, 2048.0 * (1 << 20) },
	{ "stream 64 KiB, two CPUs", "Gbit/s", 65536, true, false, true, 2048.0 * (1 << 20) },
	{ "stream 1 MiB, one CPU", "Gbit/s", 1 << 20, true, false, false, 2048.0 * (1 << 20) },
};
#define BENCHES (sizeof(benches) / sizeof(benches[0]))

static struct {
	int rounds, rcvbuf;
	double scale;
	bool json;
	const char *only;
} opt = { .rounds = 7, .scale = 1 };

struct sample {
	double value;	/* in the bench's unit */
	double spliced; /* 0 .. 1 */
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	poll(&p, 1, -1);
}

/* An eager socket's blocking receive may say EAGAIN (docs/DEVIATIONS.md): again. False: the other end is gone. */
static bool get(const struct bench *b, int fd, char *mem, size_t len)
{
	while (len) {
		ssize_t n;

		if (b->polled)
			wait_readable(fd);
		n = recv(fd, mem, len, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		len -= n > 0 ? n : 0;
	}
	return true;
}

static bool put(const struct bench *b, int fd, const char *mem, size_t len)
{
	while (len) {
		ssize_t n = send(fd, mem, len, MSG_NOSIGNAL);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (n < 0 && errno == EAGAIN && b->polled)
			poll(&p, 1, -1);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		len -= n > 0 ? n : 0;
	}
	return true;
}

static uint64_t count_of(const struct bench *b)
{
	double n = b->amount * opt.scale / (b->stream ? b->msg : 1);

	return n < 10 ? 10 : (uint64_t)n;
}

static void server(const struct bench *b, int fd)
{
	char *mem = malloc(b->msg);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(b->two_cpus ? 1 : 0);
	for (;;) {
		if (b->stream) {
			/* whatever is there; an answer for the whole */
			uint64_t left = count_of(b) * b->msg;

			while (left) {
				ssize_t n = recv(fd, mem, b->msg < left ? b->msg : left, 0);

				if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
					_exit(0);
				left -= n > 0 ? n : 0;
			}
			put(b, fd, mem, 1);
		} else if (!get(b, fd, mem, b->msg) || !put(b, fd, mem, b->msg)) {
			_exit(0);
		}
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double client(const struct bench *b, int fd)
{
	uint64_t n = count_of(b);
	char *mem = calloc(1, b->msg);
	double start = now(), took;
	bool good = true;

	for (uint64_t i = 0; i < n && good; i++) {
		good = put(b, fd, mem, b->msg);
		if (!b->stream)
			good = good && get(b, fd, mem, b->msg);
	}
	if (b->stream)
		good = good && get(b, fd, mem, 1);
	took = now() - start;
	free(mem);
	if (!good)
		return -1;
	return b->stream ? n * b->msg * 8 / took / 1e9 : took / n * 1e6;
}

static int sample(const struct bench *b, bool fast, struct sample *ret)
{
	struct dial d = { .kind = V4, .opt = { fast, fast }, .rcvbuf = opt.rcvbuf };
	struct fastlo_info before, after;
	struct pair p;
	pid_t pid;
	double bytes;
	int r;

	r = pair_dial(&p, &d);
	if (r < 0)
		return r;
	for (int i = 0; i < 2 && !b->polled; i++)
		fcntl(p.fd[i], F_SETFL, fcntl(p.fd[i], F_GETFL) & ~O_NONBLOCK);
	r = fast ? pair_warm(&p) : pair_pingpong(&p, 8, 64);
	fflush(NULL);
	pid = r < 0 ? -1 : fork();
	if (pid == 0) {
		close(p.fd[CLIENT]);
		server(b, p.fd[SERVER]);
	}
	if (pid > 0) {
		before = info(p.fd[CLIENT]);
		ret->value = client(b, p.fd[CLIENT]);
		after = info(p.fd[CLIENT]);
		bytes = (double)count_of(b) * b->msg;
		ret->spliced = fast ? (after.tx_spliced_bytes - before.tx_spliced_bytes) / bytes : 0;
		shutdown(p.fd[CLIENT], SHUT_RDWR);
		waitpid(pid, NULL, 0);
		r = ret->value < 0 ? -EPIPE : 0;
	}
	pair_close(&p);
	return r;
}

static int by_value(const void *a, const void *b)
{
	double x = ((const struct sample *)a)->value, y = ((const struct sample *)b)->value;

	return x < y ? -1 : x > y;
}

static int run(const struct bench *b, struct json_object *all)
{
	struct sample s[2][MAX_ROUNDS], *tcp = &s[0][opt.rounds / 2], *fast = &s[1][opt.rounds / 2];
	struct json_object *j;
	int r;

	for (int i = 0; i < 2 * opt.rounds; i++) {
		r = sample(b, i % 2, &s[i % 2][i / 2]);
		if (r < 0) {
			fprintf(stderr, "bench: %s: %s\n", b->name, strerror(-r));
			return r;
		}
	}
	for (int i = 0; i < 2; i++)
		qsort(s[i], opt.rounds, sizeof(s[i][0]), by_value);
	if (!opt.json) {
		printf("%-32s %10.2f %10.2f %-7s %6.2f %9.1f %%   [%.2f-%.2f | %.2f-%.2f]\n", b->name, tcp->value,
		       fast->value, b->unit, fast->value / tcp->value, 100 * fast->spliced, s[0][0].value,
		       s[0][opt.rounds - 1].value, s[1][0].value, s[1][opt.rounds - 1].value);
		fflush(stdout);
		return 0;
	}
	j = json_object_new_object();
	json_object_object_add(j, "name", json_object_new_string(b->name));
	json_object_object_add(j, "unit", json_object_new_string(b->unit));
	json_object_object_add(j, "tcp", json_object_new_double(tcp->value));
	json_object_object_add(j, "fastlo", json_object_new_double(fast->value));
	json_object_object_add(j, "ratio", json_object_new_double(fast->value / tcp->value));
	json_object_object_add(j, "spliced", json_object_new_double(fast->spliced));
	json_object_object_add(j, "rounds", json_object_new_int(opt.rounds));
	json_object_array_add(all, j);
	return 0;
}

static void parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "rounds", required_argument, NULL, 'r' }, { "only", required_argument, NULL, 'o' },
		{ "scale", required_argument, NULL, 's' },  { "rcvbuf", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },	    { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "r:o:s:b:jh", longs, NULL)) != -1) {
		if (c == 'r')
			opt.rounds = atoi(optarg);
		else if (c == 'o')
			opt.only = optarg;
		else if (c == 's')
			opt.scale = atof(optarg);
		else if (c == 'b')
			opt.rcvbuf = atoi(optarg);
		else if (c == 'j')
			opt.json = true;
		else {
			puts("usage: bench [-j] [--rounds N] [--only SUBSTRING] [--scale X] [--rcvbuf BYTES]\n"
			     "ratio is fastlo / TCP: below 1 is better for a round trip, above 1 for a stream");
			exit(c == 'h' ? 0 : 1);
		}
	}
	if (opt.rounds < 1 || opt.rounds > MAX_ROUNDS || opt.scale <= 0) {
		fprintf(stderr, "bench: --rounds is 1 to %d, --scale above 0\n", MAX_ROUNDS);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct json_object *all = json_object_new_array();
	int r = 0;

	parse(argc, argv);
	if (geteuid() != 0) {
		fputs("bench: needs root\n", stderr);
		return 1;
	}
	if (env_up(NULL) < 0)
		return 1;
	pin(0);
	if (!opt.json)
		printf("%-32s %10s %10s %-7s %6s %11s   [range tcp | range fastlo], medians of %d\n", "", "tcp", "fastlo",
		       "", "ratio", "spliced", opt.rounds);
	for (size_t i = 0; i < BENCHES && r == 0; i++)
		if (!opt.only || strstr(benches[i].name, opt.only))
			r = run(&benches[i], all);
	if (opt.json)
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY));
	json_object_put(all);
	return r < 0;
}
