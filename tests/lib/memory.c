/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Limits on TCP's memory: of a cgroup, for the sockets that are made inside; and the host's.
 */
#include <errno.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

/* This process's cgroup in the v1 memory hierarchy */
static int find_home(char *ret, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	char text[4096], path[700], *at;
	struct mntent *m = NULL;

	while (mounts && (m = getmntent(mounts)))
		if (strcmp(m->mnt_type, "cgroup") == 0 && hasmntopt(m, "memory"))
			break;
	at = m && file_read("/proc/self/cgroup", text, sizeof(text)) >= 0 ? strstr(text, ":memory:") : NULL;
	if (at) {
		at += strlen(":memory:");
		at[strcspn(at, "\n")] = '\0';
		snprintf(ret, size, "%s%s", m->mnt_dir, at);
	}
	if (mounts)
		endmntent(mounts);
	if (!at)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/memory.kmem.tcp.limit_in_bytes", ret);
	return access(path, W_OK) < 0 ? -errno : 0;
}

int memory_new(struct memory *ret, const char *limit)
{
	static int count;
	struct memory m;
	int r;

	r = find_home(m.home, sizeof(m.home));
	if (r < 0)
		return r;
	snprintf(m.own, sizeof(m.own), "%s/fastlo-test-%d-%d", m.home, getpid(), ++count);
	if (mkdir(m.own, 0755) < 0)
		return -errno;
	r = memory_write(&m, "memory.kmem.tcp.limit_in_bytes", limit);
	if (r < 0)
		rmdir(m.own);
	else
		*ret = m;
	return r;
}

/* Beside env.app: fastlod's programs are attached above both. */
int memory_new_max(struct memory *ret, const char *limit)
{
	const char *const above[] = { env.mount, env.cgroup };
	struct memory m;
	int r = 0;

	snprintf(m.home, sizeof(m.home), "%s", env.app);
	snprintf(m.own, sizeof(m.own), "%s/limited", env.cgroup);
	for (int i = 0; i < 2 && r == 0; i++) {
		char path[400];

		snprintf(path, sizeof(path), "%s/cgroup.subtree_control", above[i]);
		r = file_write(path, "+memory");
	}
	if (r < 0)
		return r == -EINVAL ? -ENOENT : r;
	if (mkdir(m.own, 0755) < 0)
		return -errno;
	r = memory_write(&m, "memory.max", limit);
	if (r < 0)
		rmdir(m.own);
	else
		*ret = m;
	return r;
}

int memory_write(const struct memory *m, const char *file, const char *value)
{
	char path[800];

	snprintf(path, sizeof(path), "%s/%s", m->own, file);
	return file_write(path, value);
}

int64_t memory_read(const struct memory *m, const char *file)
{
	char path[800], text[64];
	int r;

	snprintf(path, sizeof(path), "%s/%s", m->own, file);
	r = file_read(path, text, sizeof(text));
	return r < 0 ? r : strtoll(text, NULL, 10);
}

int memory_enter(const struct memory *m)
{
	return env_join(m->own);
}

void memory_leave(const struct memory *m)
{
	env_join(m->home);
}

void memory_free(const struct memory *m)
{
	rmdir(m->own);
}

/* ---- net.ipv4.tcp_mem */

#define TCP_MEM "/proc/sys/net/ipv4/tcp_mem"

static char tcp_mem_was[128];
static pid_t tcp_mem_guard;

static void tcp_mem_undo(void *arg)
{
	(void)arg;
	file_write(TCP_MEM, tcp_mem_was);
}

int tcp_mem_borrow(void)
{
	int r = file_read(TCP_MEM, tcp_mem_was, sizeof(tcp_mem_was));

	if (r >= 0)
		r = file_write(TCP_MEM, tcp_mem_was);
	return r < 0 ? r : guard_start(&tcp_mem_guard, tcp_mem_undo, NULL);
}

int tcp_mem_write(const char *text)
{
	return file_write(TCP_MEM, text);
}

int tcp_mem_restore(void)
{
	return tcp_mem_write(tcp_mem_was);
}

void tcp_mem_give_back(void)
{
	tcp_mem_restore();
	guard_stop(tcp_mem_guard);
}
