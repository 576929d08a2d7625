/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packet sockets that get what passes the loopback device, and the processes that hold them.
 */
#include <ctype.h>
#include <dirent.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "causes.h"
#include "text.h"

static void comm_of(const char *pid, char comm[64])
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(comm, 64, f))
		snprintf(comm, 64, "?");
	comm[strcspn(comm, "\n")] = '\0';
	text_mask(comm);
	if (f)
		fclose(f);
}

static bool holds(const char *pid, const char *link)
{
	char path[300], name[600], target[64];
	struct dirent *e;
	bool found = false;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		n = readlink(name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		found = strcmp(target, link) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

static void add_holders(struct json_object *list, unsigned long inode)
{
	char link[64], comm[64];
	DIR *d = opendir("/proc");
	struct dirent *e;
	int found = 0;

	snprintf(link, sizeof(link), "socket:[%lu]", inode);
	while (d && (e = readdir(d))) {
		if (!isdigit((unsigned char)*e->d_name) || !holds(e->d_name, link))
			continue;
		comm_of(e->d_name, comm);
		causes_add(list, "a packet socket of process %s (%s)", e->d_name, comm);
		found++;
	}
	if (!found)
		causes_add(list, "a packet socket (inode %lu)", inode);
	if (d)
		closedir(d);
}

void causes_packet(struct json_object *list, unsigned int lo)
{
	FILE *f = fopen("/proc/thread-self/net/packet", "re");
	unsigned int protocol, device;
	unsigned long inode;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*s %*s %x %u %*s %*s %*s %lu", &protocol, &device, &inode) != 3)
			continue;
		if ((protocol == ETH_P_ALL || protocol == ETH_P_IP || protocol == ETH_P_IPV6) && (!device || device == lo))
			add_holders(list, inode);
	}
	if (f)
		fclose(f);
}
