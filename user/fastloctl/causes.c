/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a reason to what caused it. cgroups are looked at from here, the rest in the pair's own network namespace, which
 * is entered for as long as it takes.
 */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "causes.h"
#include "cgroup.h"
#include "text.h"

void causes_add(struct json_object *list, const char *fmt, ...)
{
	char text[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_object_array_add(list, json_object_new_string(text_mask(text)));
}

void causes_add_program(struct json_object *list, const char *prefix, uint32_t id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0)
		bpf_obj_get_info_by_fd(fd, &info, &len);
	causes_add(list, "%s: program %u '%.16s'", prefix, id, info.name);
	if (fd >= 0)
		close(fd);
}

static void cgroup_programs(struct json_object *list, const char *mount, const char *rel)
{
	static const struct {
		enum bpf_attach_type type;
		const char *name;
	} sides[] = { { BPF_CGROUP_INET_INGRESS, "ingress" }, { BPF_CGROUP_INET_EGRESS, "egress" } };
	char path[4096], prefix[512];
	int fd;

	snprintf(path, sizeof(path), "%s%s", mount, rel);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; fd >= 0 && i < sizeof(sides) / sizeof(sides[0]); i++) {
		uint32_t ids[64], n = sizeof(ids) / sizeof(ids[0]);

		if (bpf_prog_query(fd, sides[i].type, BPF_F_QUERY_EFFECTIVE, NULL, ids, &n) < 0)
			continue;
		snprintf(prefix, sizeof(prefix), "cgroup %.400s %s", rel, sides[i].name);
		for (uint32_t j = 0; j < n; j++)
			causes_add_program(list, prefix, ids[j]);
	}
	if (fd >= 0)
		close(fd);
}

static void causes_cgroup(struct json_object *list, const struct fl_record *r)
{
	char *mount = NULL, *rel;

	if (cgroup_mount_find(&mount) < 0)
		return;
	for (int side = 0; side < 2; side++) {
		if (side && r->data.side[1].cgroup == r->data.side[0].cgroup)
			continue;
		if (cgroup_path_of(mount, r->data.side[side].cgroup, &rel) < 0) {
			causes_add(list, "a cgroup that was removed, and still filters its sockets");
			continue;
		}
		cgroup_programs(list, mount, rel);
		free(rel);
	}
	free(mount);
}

static void in_namespace(struct json_object *list, uint32_t reason)
{
	unsigned int lo = if_nametoindex("lo");

	switch (reason) {
	case FL_R_PACKET_SOCKET:
		causes_packet(list, lo);
		break;
	case FL_R_NETFILTER:
		causes_netfilter(list);
		break;
	case FL_R_TC:
		causes_tc(list, lo);
		break;
	case FL_R_XDP:
		causes_xdp(list, lo);
		break;
	}
}

struct json_object *causes_find(const struct fl_record *r, uint32_t reason)
{
	struct json_object *list = json_object_new_array();
	int home;

	if (reason == FL_R_CGROUP_FILTER)
		causes_cgroup(list, r);
	if (reason != FL_R_PACKET_SOCKET && reason != FL_R_NETFILTER && reason != FL_R_TC && reason != FL_R_XDP)
		return list;
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (causes_enter(r))
		in_namespace(list, reason);
	else
		causes_add(list, "its network namespace cannot be entered: no process was found that has a socket there");
	if (home >= 0) {
		setns(home, CLONE_NEWNET);
		close(home);
	}
	return list;
}
