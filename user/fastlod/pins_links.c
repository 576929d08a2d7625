/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Links. A pinned one whose program has the same tag as the new one is kept as it is: after a restart of the same
 * build the observer has not missed one receive.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "pins_private.h"

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

	pins_path(p, name, path, sizeof(path));
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

void pins_detach(struct pins *p, const char *name)
{
	char path[4096];

	pins_path(p, name, path, sizeof(path));
	unlink(path);
	for (int i = 0; i < p->n_links; i++) {
		const char *pinned = bpf_link__pin_path(p->links[i]);

		if (pinned && strcmp(pinned, path) == 0) {
			bpf_link__destroy(p->links[i]);
			p->links[i] = p->links[--p->n_links];
			break;
		}
	}
}

int pins_attach_iter(struct pins *p, const char *name, struct bpf_program *prog, int map_fd)
{
	union bpf_iter_link_info info = { .map.map_fd = map_fd };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link;
	char path[4096];
	int r;

	pins_path(p, name, path, sizeof(path));
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

	pins_path(p, name, path, sizeof(path));
	snprintf(prog_name, sizeof(prog_name), "prog_%s", name + strlen("link_"));
	pins_path(p, prog_name, prog_path, sizeof(prog_path));
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
