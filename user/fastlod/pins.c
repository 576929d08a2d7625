/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The directory and the maps; see pins_links.c for the links.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "log.h"
#include "pins_private.h"

int pins_open(const char *dir, struct pins **ret)
{
	struct pins *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->dir = strdup(dir);
	p->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!p->dir || p->fd < 0) {
		r = p->dir ? -errno : -ENOMEM;
		pins_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pins_path(const struct pins *p, const char *name, char *path, size_t size)
{
	int n = snprintf(path, size, "%s/", p->dir);

	/* bpffs takes no dots: ".data.ctl" is pinned as "data_ctl" */
	if (*name == '.')
		name++;
	snprintf(path + n, size - n, "%s", name);
	for (char *c = path + n; *c; c++)
		if (*c == '.')
			*c = '_';
}

static bool is_pinned_map(const struct bpf_map *map)
{
	return !strstr(bpf_map__name(map), "rodata") && strcmp(bpf_map__name(map), "fl_wanted") != 0 &&
	       strcmp(bpf_map__name(map), "fl_chunks") != 0;
}

static bool is_link(const char *name)
{
	return strncmp(name, "link_", 5) == 0;
}

static DIR *read_pins(const struct pins *p)
{
	int fd = openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

static void unlink_all(const struct pins *p, DIR *dir, bool links)
{
	struct dirent *e;

	rewinddir(dir);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || is_link(e->d_name) != links)
			continue;
		if (unlinkat(dirfd(dir), e->d_name, 0) < 0)
			log_warn("cannot remove '%s/%s': %s, ignoring", p->dir, e->d_name, strerror(errno));
	}
}

static bool has_links(DIR *dir)
{
	struct dirent *e;
	bool links = false;

	while ((e = readdir(dir)))
		links |= is_link(e->d_name);
	return links;
}

/*
 * Some maps, but no link: it was killed while it pinned or unpinned. Links come last and go first, so nothing is at
 * work here. The directory stays: it is locked.
 */
static bool clear_leftovers(const struct pins *p)
{
	DIR *dir = read_pins(p);
	bool links;

	if (!dir)
		return false;
	links = has_links(dir);
	if (!links)
		unlink_all(p, dir, false);
	closedir(dir);
	return !links;
}

/* Same name, but somebody else's, or damaged: the verifier would say so in its own way. */
static bool fits(struct bpf_map *map, int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map);
}

static int reuse_map(struct bpf_map *map, const char *path)
{
	int fd = bpf_obj_get(path), r = fd < 0 ? -errno : fits(map, fd) ? bpf_map__reuse_fd(map, fd) : -EILSEQ;

	if (fd >= 0)
		close(fd);
	if (r == 0)
		return 0;
	if (r == -EILSEQ) {
		log_err("'%s' is not what a fastlod pins there (remove the directory if no fastlod uses it)", path);
		return -EEXIST;
	}
	log_err("cannot open the pin '%s': %s%s", path, strerror(-r),
		r == -EACCES || r == -EPERM ? " (start fastlod as the user that made it)" : "");
	return -EEXIST;
}

int pins_adopt_maps(struct pins *p, struct bpf_object *obj, bool *ret_adopted)
{
	int found = 0, missing = 0, r;
	struct bpf_map *map;
	char path[4096];

	bpf_object__for_each_map(map, obj) {
		if (!is_pinned_map(map))
			continue;
		pins_path(p, bpf_map__name(map), path, sizeof(path));
		if (access(path, F_OK) == 0) {
			found++;
		} else if (errno != ENOENT) {
			r = errno;
			log_err("cannot open the pin '%s': %s (start fastlod as the user that made it)", path, strerror(r));
			return -EEXIST;
		} else {
			missing++;
		}
	}
	if (found && missing) {
		if (clear_leftovers(p)) {
			log_warn("'%s' held what a fastlod that was killed had begun to pin, removed", p->dir);
			return 0;
		}
		log_err("'%s' holds only a part of the maps (remove it if no fastlod uses it)", p->dir);
		return -EEXIST;
	}
	for (map = bpf_object__next_map(obj, NULL); found && map; map = bpf_object__next_map(obj, map)) {
		if (!is_pinned_map(map))
			continue;
		pins_path(p, bpf_map__name(map), path, sizeof(path));
		r = reuse_map(map, path);
		if (r < 0)
			return r;
	}
	*ret_adopted = found > 0;
	return 0;
}

int pins_pin_maps(struct pins *p, const struct bpf_object *obj)
{
	struct bpf_map *map;
	char path[4096];

	bpf_object__for_each_map(map, obj) {
		if (!is_pinned_map(map))
			continue;
		pins_path(p, bpf_map__name(map), path, sizeof(path));
		if (bpf_obj_pin(bpf_map__fd(map), path) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

bool pins_incomplete(const struct pins *p, const struct bpf_object *obj)
{
	bool found = false, missing = false, links;
	struct bpf_map *map;
	char path[4096];
	DIR *dir;

	bpf_object__for_each_map(map, obj) {
		pins_path(p, bpf_map__name(map), path, sizeof(path));
		if (is_pinned_map(map))
			*(access(path, F_OK) == 0 ? &found : &missing) = true;
	}
	dir = found && missing ? read_pins(p) : NULL;
	if (!dir)
		return false;
	links = has_links(dir);
	closedir(dir);
	return links;
}

void pins_clear(const struct pins *p)
{
	DIR *dir = read_pins(p);

	if (!dir)
		return;
	/* links first: no program may run without its maps being listed */
	unlink_all(p, dir, true);
	unlink_all(p, dir, false);
	closedir(dir);
}

static bool is_missing(const char *path)
{
	return access(path, F_OK) < 0 && errno == ENOENT;
}

/* A tracing link's program is not: without it the next start attaches the observer anew. */
static int pin_missing(const struct pins *p, const struct bpf_object *obj)
{
	struct bpf_map *map;
	char path[4096];
	int n = 0;

	bpf_object__for_each_map(map, obj) {
		pins_path(p, bpf_map__name(map), path, sizeof(path));
		if (!is_pinned_map(map) || !is_missing(path))
			continue;
		if (bpf_obj_pin(bpf_map__fd(map), path) < 0)
			return -errno;
		n++;
	}
	/* last, as always */
	for (int i = 0; i < p->n_links; i++) {
		const char *link = bpf_link__pin_path(p->links[i]);

		if (!is_missing(link))
			continue;
		if (bpf_obj_pin(bpf_link__fd(p->links[i]), link) < 0)
			return -errno;
		n++;
	}
	return n;
}

int pins_renew(struct pins *p, const struct bpf_object *obj)
{
	bool remade = is_missing(p->dir) && mkdir(p->dir, 0700) == 0;
	int n = pin_missing(p, obj), fd;

	if (n > 0)
		log_warn("%d pins in '%s' had been removed, made again", n, p->dir);
	if (n < 0 && !p->renew_failed)
		log_warn("pins in '%s' were removed, and cannot be made again: %s", p->dir, strerror(-n));
	p->renew_failed = n < 0;
	if (n < 0 || !remade)
		return n < 0 ? n : 0;
	fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	pins_clear(p); /* where it was before: another bpffs may have been mounted over it */
	close(p->fd);
	p->fd = fd;
	return 1;
}

void pins_remove(struct pins *p)
{
	struct stat st;

	pins_clear(p);
	/*
	 * One that tmpfiles.d made stays for the next start: it is another user's, or this one has no rights in the bpffs, or
	 * that is read-only for the service but for a mount here.
	 */
	if (stat(p->dir, &st) == 0 && st.st_uid == geteuid() && rmdir(p->dir) < 0 && errno != EACCES && errno != EROFS &&
	    errno != EBUSY)
		log_warn("cannot remove '%s': %s, ignoring", p->dir, strerror(errno));
}

void pins_free(struct pins *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->n_links; i++)
		bpf_link__destroy(p->links[i]);
	if (p->fd >= 0)
		close(p->fd);
	free(p->dir);
	free(p);
}
