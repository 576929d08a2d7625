/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names of processes and cgroups, each looked up once per command. Their owners chose them, so they
 * are masked before they reach a terminal. A number without a name any more is remembered as such.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "cgroup.h"
#include "pairs.h"
#include "text.h"

struct name {
	uint64_t number;
	char *text; /* NULL: unknown */
	UT_hash_handle hh;
};

struct names {
	char *mount; /* NULL: no cgroup2 */
	struct name *comms;
	struct name *cgroups;
};

struct names *names_new(void)
{
	struct names *n = calloc(1, sizeof(*n));

	if (n && cgroup_mount_find(&n->mount) < 0)
		n->mount = NULL;
	return n;
}

static void free_all(struct name *all)
{
	struct name *name, *next;

	HASH_ITER(hh, all, name, next) {
		HASH_DEL(all, name);
		free(name->text);
		free(name);
	}
}

void names_free(struct names *n)
{
	if (!n)
		return;
	free_all(n->comms);
	free_all(n->cgroups);
	free(n->mount);
	free(n);
}

static char *read_comm(uint32_t pid)
{
	char path[64], comm[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	len = read(fd, comm, sizeof(comm) - 1);
	close(fd);
	if (len <= 0)
		return NULL;
	comm[len] = '\0';
	if (comm[len - 1] == '\n')
		comm[len - 1] = '\0';
	return strdup(text_mask(comm));
}

static struct name *find(struct name *all, uint64_t number)
{
	struct name *name;

	HASH_FIND(hh, all, &number, sizeof(number), name);
	return name;
}

/* text becomes the cache's */
static const char *remember(struct name **all, uint64_t number, char *text)
{
	struct name *name = calloc(1, sizeof(*name));

	if (!name) {
		free(text);
		return NULL;
	}
	name->number = number;
	name->text = text;
	HASH_ADD(hh, *all, number, sizeof(name->number), name);
	return text;
}

static const char *comm_of(void *arg, uint32_t pid)
{
	struct names *n = arg;
	struct name *name = find(n->comms, pid);

	return name ? name->text : remember(&n->comms, pid, read_comm(pid));
}

static const char *cgroup_of(void *arg, uint64_t id)
{
	struct names *n = arg;
	struct name *name = find(n->cgroups, id);
	char *path = NULL;

	if (name)
		return name->text;
	if (n->mount && cgroup_path_of(n->mount, id, &path) == 0)
		text_mask(path);
	return remember(&n->cgroups, id, path);
}

struct pairs_names names_ops(struct names *n)
{
	return (struct pairs_names){ .comm = comm_of, .cgroup = cgroup_of, .arg = n };
}
