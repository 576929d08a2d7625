/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pins and links. A pinned link whose program has the same tag as the new one is kept as it is: after a
 * restart of the same build the observer has not missed one receive.
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
#include "pins.h"

#define MAX_LINKS 16

struct pins {
	char *dir;
	struct bpf_link *links[MAX_LINKS];
	int n_links;
};

int pins_open(const char *dir, struct pins **ret)
{
	struct pins *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->dir = strdup(dir);
	if (!p->dir) {
		free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

static void path_of(const struct pins *p, const char *name, char *path, size_t size)
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

static void unlink_all(const struct pins *p, DIR *dir, bool links)
{
	struct dirent *e;
	char path[4096];

	rewinddir(dir);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || is_link(e->d_name) != links)
			continue;
		snprintf(path, sizeof(path), "%s/%s", p->dir, e->d_name);
		if (unlink(path) < 0)
			log_warn("cannot remove '%s': %s, ignoring", path, strerror(errno));
	}
}

/*
 * Some maps, but no link: it was killed while it pinned or unpinned. Links come last and go first, so nothing is at
 * work here. The directory stays: it is locked.
 */
static bool clear_leftovers(const struct pins *p)
{
	DIR *dir = opendir(p->dir);
	struct dirent *e;
	bool links = false;

	if (!dir)
		return false;
	while ((e = readdir(dir)))
		links |= is_link(e->d_name);
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
		path_of(p, bpf_map__name(map), path, sizeof(path));
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
		path_of(p, bpf_map__name(map), path, sizeof(path));
		r = reuse_map(map, path);
		if (r < 0)
			return r;
	}
	*ret_adopted = found > 0;
	return 0;
}

int pins_pin_maps(struct pins *p, struct bpf_object *obj)
{
	struct bpf_map *map;
	char path[4096];

	bpf_object__for_each_map(map, obj) {
		if (!is_pinned_map(map))
			continue;
		path_of(p, bpf_map__name(map), path, sizeof(path));
		if (bpf_obj_pin(bpf_map__fd(map), path) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int prog_tag(int fd, struct bpf_prog_info *info)
{
	uint32_t len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &len) < 0 ? -errno : 0;
}

/* pinned: where link's program is pinned; to ask for it by its number takes CAP_SYS_ADMIN. */
static bool runs_same_program(struct bpf_link *link, struct bpf_program *prog, const char *pinned)
{
	struct bpf_link_info info = { 0 };
	struct bpf_prog_info old, new;
	uint32_t len = sizeof(info);
	bool same;
	int fd;

	if (bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len) < 0)
		return false;
	fd = bpf_obj_get(pinned);
	if (fd < 0)
		return false;
	same = prog_tag(fd, &old) == 0 && prog_tag(bpf_program__fd(prog), &new) == 0 && old.id == info.prog_id &&
	       memcmp(old.tag, new.tag, sizeof(old.tag)) == 0;
	close(fd);
	return same;
}

static int keep(struct pins *p, struct bpf_link *link)
{
	if (p->n_links == MAX_LINKS) {
		bpf_link__destroy(link);
		return -E2BIG;
	}
	p->links[p->n_links++] = link;
	return 0;
}

static int pin_new(struct pins *p, struct bpf_link *link, const char *path)
{
	int r;

	if (!link)
		return -errno;
	r = bpf_link__pin(link, path);
	if (r < 0) {
		bpf_link__destroy(link);
		return r;
	}
	return keep(p, link);
}

int pins_attach_cgroup(struct pins *p, const char *name, struct bpf_program *prog, int cgroup_fd)
{
	struct bpf_link *link;
	char path[4096];
	int r;

	path_of(p, name, path, sizeof(path));
	link = bpf_link__open(path);
	if (!link)
		return pin_new(p, bpf_program__attach_cgroup(prog, cgroup_fd), path);
	r = bpf_link__update_program(link, prog);
	if (r == 0)
		return keep(p, link);
	/* its cgroup is gone, and with it the attachment */
	unlink(path);
	bpf_link__destroy(link);
	return pin_new(p, bpf_program__attach_cgroup(prog, cgroup_fd), path);
}

int pins_attach_iter(struct pins *p, const char *name, struct bpf_program *prog, int map_fd)
{
	union bpf_iter_link_info info = { .map.map_fd = map_fd };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link;
	char path[4096];
	int r;

	path_of(p, name, path, sizeof(path));
	link = bpf_link__open(path);
	r = link ? bpf_link__update_program(link, prog) : 0;
	if (r < 0) {
		bpf_link__destroy(link);
		return r;
	}
	r = link ? keep(p, link) : pin_new(p, bpf_program__attach_iter(prog, &opts), path);
	return r < 0 ? r : bpf_link__fd(p->links[p->n_links - 1]);
}

int pins_attach_tracing(struct pins *p, const char *name, struct bpf_program *prog)
{
	char path[4096], prog_name[64], prog_path[4096];
	struct bpf_link *link;
	int r;

	path_of(p, name, path, sizeof(path));
	snprintf(prog_name, sizeof(prog_name), "prog_%s", name + strlen("link_"));
	path_of(p, prog_name, prog_path, sizeof(prog_path));
	link = bpf_link__open(path);
	if (link && prog && runs_same_program(link, prog, prog_path))
		return keep(p, link);
	if (link) {
		/* a tracing link's program can't be exchanged, and two at once would count twice */
		unlink(path);
		bpf_link__destroy(link);
	}
	unlink(prog_path);
	if (!prog)
		return 0;
	r = pin_new(p, bpf_program__attach(prog), path);
	if (r == 0)
		r = bpf_program__pin(prog, prog_path);
	return r;
}

void pins_clear(const struct pins *p)
{
	DIR *dir = opendir(p->dir);

	if (!dir)
		return;
	/* links first: no program may run without its maps being listed */
	unlink_all(p, dir, true);
	unlink_all(p, dir, false);
	closedir(dir);
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
	free(p->dir);
	free(p);
}
