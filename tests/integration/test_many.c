/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * PAIRS (10,000, or what the environment says) open pairs through fastlod's whole life: killed and started, drained
 * and resumed, stopped, and taken over by a policy from plain TCP. Every pair is checked after each step, byte by
 * byte. Figures are printed, none is judged.
 */
#include "check.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <bpf/bpf.h>

#define PER_HOLDER 4000

/* A process holds as many pairs as its limit of open files lets it, and looks at them when it is asked. */
struct holder {
	int fd;
	pid_t pid;
};

/* What is to be true of every pair, besides its bytes */
enum want { ANYTHING, SPLICED, TCP };

static struct {
	size_t pairs, n; /* n holders */
	struct holder *h;
} all;

static int open_one(struct pair *p, const struct dial *d, int listener)
{
	struct pollfd incoming = { listener, POLLIN, 0 };
	int r = pair_connect(d, d->port[SERVER], &p->fd[CLIENT]);

	if (r < 0)
		return r;
	if (poll(&incoming, 1, PATIENCE_MS) != 1)
		return -ETIMEDOUT;
	p->fd[SERVER] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return p->fd[SERVER] < 0 ? -errno : 0;
}

static int open_pairs(size_t n, bool opt, struct pair **ret)
{
	struct dial d = { .kind = V4, .opt = { opt, opt } };
	struct pair *p = calloc(n, sizeof(*p));
	int listener, r = p ? pair_listen(&d, &listener, &d.port[SERVER]) : -ENOMEM;

	for (size_t i = 0; i < n && r == 0; i++) {
		p[i] = (struct pair){ .fd = { -1, -1 }, .listener = -1, .seed = i * 2 };
		r = open_one(&p[i], &d, listener);
	}
	if (r < 0)
		return r;
	close(listener);
	*ret = p;
	return 0;
}

/* Observed pairs must be seen reading first, and are admitted in bursts: so all of them by turns. */
static int talk_until_spliced(struct pair *p, size_t n, const uint64_t *before)
{
	int64_t until = now_ms() + 6 * PATIENCE_MS;
	size_t left;
	int r = 0;

	do {
		left = 0;
		for (size_t i = 0; i < n && r == 0; i++) {
			if (spliced(p[i].fd[CLIENT]) != before[i])
				continue;
			left++;
			r = pair_pingpong(&p[i], 4, 64);
		}
	} while (r == 0 && left && tick(until));
	return r ? r : left ? -ENODATA : 0;
}

static int check_pairs(struct pair *p, size_t n, enum want want)
{
	uint64_t *before = calloc(n, sizeof(*before));
	int r = before ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && r == 0; i++) {
		before[i] = spliced(p[i].fd[CLIENT]);
		r = pair_pingpong(&p[i], 2, 64);
		if (r == 0 && want == TCP && spliced(p[i].fd[CLIENT]) != before[i])
			r = -EPROTO;
	}
	if (r == 0 && want == SPLICED)
		r = talk_until_spliced(p, n, before);
	free(before);
	return r;
}

static void holder_main(int fd, size_t n, bool opt)
{
	struct pair *p = NULL;
	int r = open_pairs(n, opt, &p);
	enum want want;

	while (write(fd, &r, sizeof(r)) == sizeof(r) && r == 0 && read(fd, &want, sizeof(want)) == sizeof(want))
		r = check_pairs(p, n, want);
	_exit(r != 0);
}

static void holder_answers(struct holder *h)
{
	int r = -EPIPE;

	assert_int_equal(read(h->fd, &r, sizeof(r)), sizeof(r));
	ok(r);
}

static void holder_start(struct holder *h, size_t n, bool opt)
{
	int fds[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), errno);
	h->pid = fork();
	if (h->pid == 0) {
		close(fds[0]);
		holder_main(fds[1], n, opt);
	}
	close(fds[1]);
	h->fd = fds[0];
	holder_answers(h);
}

static void open_all(bool opt)
{
	all.pairs = getenv("PAIRS") ? strtoul(getenv("PAIRS"), NULL, 10) : 10000;
	all.n = (all.pairs + PER_HOLDER - 1) / PER_HOLDER;
	all.h = calloc(all.n, sizeof(*all.h));
	assert_non_null(all.h);
	for (size_t i = 0; i < all.n; i++)
		holder_start(&all.h[i], all.pairs / all.n, opt);
	all.pairs = all.pairs / all.n * all.n;
}

static void check_all(enum want want)
{
	for (size_t i = 0; i < all.n; i++)
		assert_int_equal(write(all.h[i].fd, &want, sizeof(want)), sizeof(want));
	for (size_t i = 0; i < all.n; i++)
		holder_answers(&all.h[i]);
}

static void close_all(void)
{
	/* all first: the later ones have the earlier ones' descriptors, too */
	for (size_t i = 0; i < all.n; i++)
		close(all.h[i].fd);
	for (size_t i = 0; i < all.n; i++)
		assert_int_equal(ok(proc_wait(all.h[i].pid, 6 * PATIENCE_MS)), 0);
	free(all.h);
}

static long number_after(const char *path, const char *key)
{
	char text[8192], *at;

	ok(file_read(path, text, sizeof(text)));
	at = strstr(text, key);
	assert_non_null(at);
	return atol(at + strlen(key));
}

static long rss_kb(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", env_daemon());
	return number_after(path, "VmRSS:");
}

static int64_t map_bytes(const char *name)
{
	char path[256];
	int64_t bytes;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", env.pins, name);
	fd = ok(bpf_obj_get(path));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	bytes = number_after(path, "memlock:");
	close(fd);
	return bytes;
}

/* What one pair costs the maps is paid for in advance; what it costs the kernel, when it is spliced. */
static void say_memory(long slab_before, long slab_plain)
{
	static const char *const per_pair[] = { "fl_slots", "fl_free", "fl_pending", "fl_uids", "fl_sock" };
	long slab = number_after("/proc/meminfo", "Slab:");
	int64_t bytes = 0;

	for (size_t i = 0; i < sizeof(per_pair) / sizeof(per_pair[0]); i++)
		bytes += map_bytes(per_pair[i]);
	print_message("memory: maps %lld MiB; slab per pair %ld bytes as plain TCP, %ld spliced; fastlod's RSS %ld KiB\n",
		      (long long)bytes >> 20, slab_plain * 1024 / (long)all.pairs,
		      (slab - slab_before) * 1024 / (long)all.pairs, rss_kb());
}

/* From the process's start; "adopted": every pair is in the table of the fastlod that answers. */
static void start(const char *what)
{
	int64_t began = now_ms(), until = began + 6 * PATIENCE_MS, answered;

	ok(env_start());
	while (!ok(env_ready()))
		assert_true(tick(until));
	assert_int_equal(env_ctl(NULL, "status", NULL), 0);
	answered = now_ms();
	while (env_stat("pairs") != (int64_t)all.pairs)
		assert_true(tick(until));
	print_message("%s: answers after %lld ms, all pairs adopted after %lld ms, RSS %ld KiB\n", what,
		      (long long)(answered - began), (long long)(now_ms() - began), rss_kb());
}

static void drain_and_resume(void)
{
	int64_t released = env_stat("released"), began = now_ms();

	assert_int_equal(env_ctl(NULL, "drain", NULL), 0);
	for (int64_t until = began + 6 * PATIENCE_MS; env_stat("released") < released + 2 * (int64_t)all.pairs;)
		assert_true(tick(until));
	print_message("drained in %lld ms\n", (long long)(now_ms() - began));
	check_all(TCP);
	assert_int_equal(env_ctl(NULL, "resume", NULL), 0);
	check_all(SPLICED);
}

static void stop(void)
{
	int64_t began = now_ms();

	assert_int_equal(ok(env_sigterm_and_wait()), 0);
	print_message("stopped in %lld ms\n", (long long)(now_ms() - began));
	assert_false(env_has_pins());
	check_all(ANYTHING);
}

static void adopt_by_policy(void)
{
	char own[4096], text[8192];

	ok(file_read(env.config, own, sizeof(own)));
	snprintf(text, sizeof(text), "%s[policy all]\ncgroup = %s\n", own, env.rel);
	ok(file_write(env.config, text));
	start("started anew, by a policy");
	check_all(SPLICED);
	ok(file_write(env.config, own));
}

static void many_pairs(void **state)
{
	long slab = number_after("/proc/meminfo", "Slab:"), plain;
	int64_t began;

	(void)state;
	open_all(false);
	check_all(TCP);
	plain = number_after("/proc/meminfo", "Slab:") - slab;
	close_all();
	slab = number_after("/proc/meminfo", "Slab:");
	began = now_ms();
	open_all(true);
	check_all(ANYTHING);
	check_all(SPLICED);
	print_message("%zu pairs opened in %lld ms\n", all.pairs, (long long)(now_ms() - began));
	say_memory(slab, plain);
	for (int round = 0; round < 3; round++) {
		ok(env_kill());
		start("killed and started");
		check_all(SPLICED);
	}
	drain_and_resume();
	stop();
	adopt_by_policy();
	stop();
	close_all();
	ok(env_restart());
}

static int up(void **state)
{
	struct rlimit files;

	(void)state;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	return env_up("max_pairs_per_uid = 0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_pairs),
	};

	return run_group(tests, up, group_down);
}
