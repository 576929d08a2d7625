/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See mass.h. Memory: fastlod's resident set, and what the kernel accounts to each map.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "mass.h"

#define MAPS_MAX 24
/*
 * What fastlod allocates per event it frees again; glibc may keep a page or two more than before, and code that
 * never ran before becomes resident. A leak of 8 bytes per pair would be 400 kB.
 */
#define RSS_SLACK_KB 256

struct mass_left {
	int64_t rss_kb, middle_rss_kb;
	int n_maps;
	struct {
		char name[32];
		int64_t bytes;
	} map[MAPS_MAX];
};

/* The number after `key` in a file of /proc; -1: not there */
static int64_t proc_number(const char *path, const char *key)
{
	char text[8192], *at;

	if (file_read(path, text, sizeof(text)) < 0)
		return -1;
	at = strstr(text, key);
	return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

static int64_t map_bytes(const char *name)
{
	char path[512];
	int64_t bytes;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", env.pins, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	bytes = proc_number(path, "memlock:");
	close(fd);
	return bytes;
}

static int64_t daemon_rss_kb(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", env_daemon());
	return proc_number(path, "VmRSS:");
}

static int measure(struct mass_left *l)
{
	DIR *d = opendir(env.pins);
	struct dirent *e;

	if (!d)
		return -errno;
	memset(l, 0, sizeof(*l));
	while ((e = readdir(d)) && l->n_maps < MAPS_MAX) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, "link_", 5) == 0 || strcmp(e->d_name, "list") == 0)
			continue;
		snprintf(l->map[l->n_maps].name, sizeof(l->map[0].name), "%.31s", e->d_name);
		l->map[l->n_maps++].bytes = map_bytes(e->d_name);
	}
	closedir(d);
	l->rss_kb = daemon_rss_kb();
	return l->rss_kb < 0 || !l->n_maps ? -ENOENT : 0;
}

int mass_left_new(struct mass_left **ret)
{
	struct mass_left *l = calloc(1, sizeof(*l));
	int r = l ? measure(l) : -ENOMEM;

	if (r < 0)
		free(l);
	else
		*ret = l;
	return r;
}

void mass_left_middle(struct mass_left *l)
{
	l->middle_rss_kb = daemon_rss_kb();
}

static bool is_empty(const struct table_left *l)
{
	return !l->pairs && !l->pending && !l->admitted && !l->not_free && !l->twice;
}

/* Sockets die a moment after their last close; ends whose death no program saw are found by the sweep, every 10 s. */
static int wait_empty(struct table_left *left)
{
	int64_t until = now_ms() + 3 * PATIENCE_MS;
	int r;

	do
		r = table_left(left);
	while (r == 0 && !is_empty(left) && tick(until));
	return r;
}

static void compare(const struct mass_left *a, const struct mass_left *b, struct run *run)
{
	if (b->rss_kb > a->rss_kb + RSS_SLACK_KB)
		run_fail(run, "fastlod grew from %lld to %lld kB", (long long)a->rss_kb, (long long)b->rss_kb);
	for (int i = 0; i < a->n_maps; i++)
		if (a->map[i].bytes < 0 || a->map[i].bytes != b->map[i].bytes)
			run_fail(run, "map %s: %lld bytes, %lld before", a->map[i].name, (long long)b->map[i].bytes,
				 (long long)a->map[i].bytes);
}

int mass_left_check(struct mass_left *before, struct run *run)
{
	struct table_left left = { 0 };
	struct json_object *list = NULL;
	struct mass_left after;
	size_t at = strlen(run->note);
	int r = wait_empty(&left);

	if (r == 0)
		r = measure(&after);
	if (r < 0)
		return run_fail(run, "cannot see what is left: %s", strerror(-r));
	if (!is_empty(&left))
		run_fail(run, "left: %u slots in use, %u pending, %u in the sockmap; of %u used %u not free, %u twice",
			 left.pairs, left.pending, left.admitted, left.used, left.not_free, left.twice);
	compare(before, &after, run);
	if (env_ctl(&list, "list", NULL) != 0 || !list || json_object_array_length(list) != 0)
		run_fail(run, "fastloctl list is not empty");
	json_object_put(list);
	snprintf(run->note + at, sizeof(run->note) - at, ", slots %u, fastlod %lld -> %lld -> %lld kB", left.used,
		 (long long)before->rss_kb, (long long)before->middle_rss_kb, (long long)after.rss_kb);
	return run->why[0] ? -EPROTO : 0;
}
