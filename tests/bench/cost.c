/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the look at the host's filters costs per message: the kernel's own run time of the sk_msg program on a spliced
 * pair, with every kind of [yield] switched off and with the defaults, in turn, medians. Once in an empty namespace,
 * once with connection tracking in it, once with empty chains.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter.h"

#define ROUNDS 9
#define EXCHANGES 20000
#define NEVER "[yield]\npacket = never\nnetfilter = never\ntc = never\nxdp = never\nxfrm = never\nlsm = never\n"

static const struct {
	const char *what, *setup;
} hosts[] = {
	{ "no filter", "true" },
	{ "connection tracking", "nft add table inet t && nft add chain inet t f '{ type filter hook forward priority 0; }' && "
				 "nft add rule inet t f ct state established counter" },
	{ "two empty chains", "nft add table inet t && nft add chain inet t i '{ type filter hook input priority 0; }' && "
			      "nft add chain inet t o '{ type filter hook output priority 0; }'" },
};

static int reload(const char *section)
{
	int64_t until = now_ms() + PATIENCE_MS;
	char text[4096];

	snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s\nrun_dir = %s\ncgroup = %s\n%s", env.pins, env.run, env.cgroup,
		 section);
	file_write(env.config, text);
	file_write(env.log, "");
	kill(env_daemon(), SIGHUP);
	do {
		if (file_read(env.log, text, sizeof(text)) > 0 && strstr(text, "reloaded"))
			return 0;
	} while (tick(until));
	return -ETIMEDOUT;
}

/* The program that every socket of our sockmap runs. */
static int program(void)
{
	uint32_t id = 0, n = 1;
	char path[256];
	int map, r;

	snprintf(path, sizeof(path), "%s/fl_sock", env.pins);
	map = bpf_obj_get(path);
	if (map < 0)
		return -errno;
	r = bpf_prog_query(map, BPF_SK_MSG_VERDICT, 0, NULL, &id, &n);
	close(map);
	return r < 0 ? r : bpf_prog_get_fd_by_id(id);
}

static int measure(int prog, struct pair *p, double *ret_ns)
{
	struct bpf_prog_info before = { 0 }, after = { 0 };
	uint32_t len = sizeof(before);
	int r = pair_warm(p);

	if (r == 0)
		r = bpf_obj_get_info_by_fd(prog, &before, &len);
	if (r == 0)
		r = pair_pingpong(p, EXCHANGES, 64);
	if (r == 0)
		r = bpf_obj_get_info_by_fd(prog, &after, &len);
	*ret_ns = (double)(after.run_time_ns - before.run_time_ns) / (double)(after.run_cnt - before.run_cnt);
	return r;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int compare(int prog, const char *what, const char *setup)
{
	static const char *const configs[2] = { NEVER, "" };
	double ns[2][ROUNDS];
	struct pair p;
	int netns, r = netns_new(&netns);

	if (r < 0)
		return r;
	if (sh(netns, "%s", setup) != 0) {
		printf("%-20s cannot be set up: %s", what, sh_said);
		close(netns);
		return 0;
	}
	r = pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .ns = netns });
	close(netns);
	if (r < 0)
		return r;
	for (int i = 0; i < ROUNDS * 2 && r == 0; i++) {
		r = reload(configs[i % 2]);
		if (r == 0)
			r = measure(prog, &p, &ns[i % 2][i / 2]);
	}
	pair_close(&p);
	for (int i = 0; i < 2; i++)
		qsort(ns[i], ROUNDS, sizeof(double), by_value);
	if (r == 0)
		printf("%-20s %6.1f ns without, %6.1f ns with: %+.1f ns (least %.1f and %.1f)\n", what, ns[0][ROUNDS / 2],
		       ns[1][ROUNDS / 2], ns[1][ROUNDS / 2] - ns[0][ROUNDS / 2], ns[0][0], ns[1][0]);
	return r;
}

int main(void)
{
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME), prog, r = env_up(NULL);

	prog = r == 0 ? program() : r;
	if (stats < 0 || prog < 0) {
		fprintf(stderr, "cannot measure: %s\n", strerror(stats < 0 ? -stats : -prog));
		return 1;
	}
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]) && r == 0; i++)
		r = compare(prog, hosts[i].what, hosts[i].setup);
	if (r < 0)
		fprintf(stderr, "cannot measure: %s\n", strerror(-r));
	env_down();
	return r < 0;
}
