/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Patterns over the cgroup tree. The walk goes as deep as the pattern has components and reads only
 * directories that a wildcard needs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.h"

struct walk {
	cgroup_walk_fn fn;
	void *arg;
	char path[PATH_MAX]; /* of the directory that the walk is in, no trailing '/' */
	size_t len;
};

static bool is_literal(const char *component, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (strchr("*?[", component[i]))
			return false;
	return true;
}

static int step(struct walk *w, const char *rest);

/* Goes on below `name`, leaving w as it was. A name that doesn't fit can't exist. */
static int descend(struct walk *w, const char *name, size_t name_len, const char *rest)
{
	size_t len = w->len;
	int r;

	if (len + 1 + name_len >= sizeof(w->path))
		return 0;
	w->path[len] = '/';
	memcpy(w->path + len + 1, name, name_len);
	w->len = len + 1 + name_len;
	w->path[w->len] = '\0';
	r = step(w, rest);
	w->len = len;
	w->path[len] = '\0';
	return r;
}

static int step_glob(struct walk *w, const char *component, size_t len, const char *rest)
{
	char glob[NAME_MAX + 1];
	struct dirent *d;
	int r = 0;
	DIR *dir;

	if (len >= sizeof(glob))
		return 0;
	memcpy(glob, component, len);
	glob[len] = '\0';
	dir = opendir(w->path);
	if (!dir)
		return 0;
	while (!r && (d = readdir(dir))) {
		if (d->d_type != DT_DIR || strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (fnmatch(glob, d->d_name, FNM_PATHNAME | FNM_NOESCAPE) == 0)
			r = descend(w, d->d_name, strlen(d->d_name), rest);
	}
	closedir(dir);
	return r;
}

static int step(struct walk *w, const char *rest)
{
	struct stat st;
	size_t len;

	while (*rest == '/')
		rest++;
	if (!*rest) {
		if (stat(w->len ? w->path : "/", &st) < 0 || !S_ISDIR(st.st_mode))
			return 0;
		return w->fn(w->path, w->arg);
	}
	len = strcspn(rest, "/");
	if (is_literal(rest, len))
		return descend(w, rest, len, rest + len);
	return step_glob(w, rest, len, rest + len);
}

int cgroup_walk(const char *root, const char *pattern, cgroup_walk_fn fn, void *arg)
{
	struct walk *w;
	int r;

	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->arg = arg;
	w->len = strlen(root);
	while (w->len > 0 && root[w->len - 1] == '/')
		w->len--;
	if (w->len >= sizeof(w->path)) {
		free(w);
		return -ENAMETOOLONG;
	}
	memcpy(w->path, root, w->len);
	if (w->len && strncmp(pattern, root, w->len) == 0 && (!pattern[w->len] || pattern[w->len] == '/'))
		pattern += w->len;
	r = step(w, pattern);
	free(w);
	return r;
}

struct match {
	cgroup_match_fn fn;
	void *arg;
};

static int with_id(const char *abs_path, void *arg)
{
	struct match *m = arg;
	uint64_t id;

	if (cgroup_id_of(abs_path, &id) < 0)
		return 0; /* gone meanwhile, or no cgroup at all */
	return m->fn(abs_path, id, m->arg);
}

int cgroup_match(const char *mount, const char *pattern, cgroup_match_fn fn, void *arg)
{
	struct match m = { .fn = fn, .arg = arg };

	return cgroup_walk(mount, pattern, with_id, &m);
}
