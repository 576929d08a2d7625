/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cgroup2 lookups. An id is the kernfs file handle of the cgroup's directory, which is also what
 * bpf_get_current_cgroup_id() and friends return. Cgroups come and go while we look: a vanished
 * directory is never an error of a walk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"

#define FILEID_KERNFS 0xfe /* include/linux/exportfs.h, not in uapi */
#define DEPTH_MAX 64

struct handle {
	struct file_handle head;
	uint64_t id;
};

/* mountinfo writes space, tab, newline and backslash as \ooo */
static void unescape(char *path)
{
	char *in = path, *out = path;

	while (*in) {
		if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' &&
		    in[3] >= '0' && in[3] <= '7') {
			*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 4;
		} else {
			*out++ = *in++;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 ROOT MOUNTPOINT OPTIONS [TAG...] - FSTYPE SOURCE OPTIONS" */
static bool mountinfo_line(char *line, char **ret_root, char **ret_point)
{
	char *field[6], *save = NULL, *tail;
	int i;

	tail = strstr(line, " - ");
	if (!tail || strncmp(tail + 3, "cgroup2 ", 8) != 0)
		return false;
	*tail = '\0';
	for (i = 0; i < 6; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	unescape(field[3]);
	unescape(field[4]);
	*ret_root = field[3];
	*ret_point = field[4];
	return true;
}

int cgroup_mount_find_in(const char *mountinfo, char **ret_path)
{
	char *line = NULL, *found = NULL, *root, *point;
	size_t size = 0;
	FILE *f;

	f = fopen(mountinfo, "re");
	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		bool whole;

		if (!mountinfo_line(line, &root, &point))
			continue;
		whole = strcmp(root, "/") == 0;
		if (found && !whole)
			continue;
		free(found);
		found = strdup(point);
		if (!found || whole)
			break;
	}
	free(line);
	fclose(f);
	if (!found)
		return -ENOENT;
	*ret_path = found;
	return 0;
}

int cgroup_mount_find(char **ret_path)
{
	return cgroup_mount_find_in("/proc/self/mountinfo", ret_path);
}

int cgroup_id_of(const char *abs_path, uint64_t *ret_id)
{
	struct handle h = { .head.handle_bytes = sizeof(h.id) };
	int mount_id;

	if (name_to_handle_at(AT_FDCWD, abs_path, &h.head, &mount_id, 0) < 0)
		return errno == EOVERFLOW ? -EMEDIUMTYPE : -errno;
	if (h.head.handle_type != FILEID_KERNFS || h.head.handle_bytes != sizeof(h.id))
		return -EMEDIUMTYPE;
	memcpy(ret_id, h.head.f_handle, sizeof(*ret_id));
	return 0;
}

/* NULL if path is neither the mount nor below it; "" is returned as "/" */
static const char *below(const char *mount, const char *path)
{
	size_t len = strlen(mount);

	while (len > 0 && mount[len - 1] == '/')
		len--;
	if (strncmp(path, mount, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path[len] ? path + len : "/";
}

int cgroup_path_of(const char *mount, uint64_t id, char **ret_rel)
{
	struct handle h = { .head = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS } };
	char link[64], path[PATH_MAX];
	int mount_fd, fd, r = 0;
	const char *rel;
	ssize_t n;

	memcpy(h.head.f_handle, &id, sizeof(id));
	mount_fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* O_PATH is refused below */
	if (mount_fd < 0)
		return -errno;
	fd = open_by_handle_at(mount_fd, &h.head, O_PATH | O_CLOEXEC);
	r = -errno;
	close(mount_fd);
	if (fd < 0)
		return r;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	r = -errno;
	close(fd);
	if (n < 0)
		return r;
	path[n] = '\0';
	rel = below(mount, path);
	if (!rel)
		return -ESTALE;
	*ret_rel = strdup(rel);
	return *ret_rel ? 0 : -ENOMEM;
}

int cgroup_of_pid(const char *mount, pid_t pid, char **ret_rel)
{
	char path[64], *line = NULL, *rel = NULL;
	size_t size = 0;
	ssize_t n;
	FILE *f;

	(void)mount; /* one hierarchy: the line "0::" is of whatever cgroup2 is mounted */
	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	else
		snprintf(path, sizeof(path), "/proc/self/cgroup");
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (!rel && (n = getline(&line, &size, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (strncmp(line, "0::/", 4) == 0)
			rel = strdup(line + 3);
	}
	free(line);
	fclose(f);
	if (!rel)
		return -ENOENT;
	*ret_rel = rel;
	return 0;
}

int cgroup_populated(const char *abs_path, bool *ret_populated)
{
	char path[PATH_MAX], line[128];
	int r = -EPROTO, value;
	FILE *f;

	if ((size_t)snprintf(path, sizeof(path), "%s/cgroup.events", abs_path) >= sizeof(path))
		return -ENAMETOOLONG;
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "populated %d", &value) == 1) {
			*ret_populated = value != 0;
			r = 0;
		}
	}
	if (ferror(f))
		r = -ENODEV; /* what kernfs says of a cgroup removed while its file is open */
	fclose(f);
	return r;
}

static int remove_below(int dir_fd, const char *name, int depth)
{
	struct dirent *d;
	int fd, r = 0;
	DIR *dir;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (!r && (d = readdir(dir)))
		if (d->d_type == DT_DIR && strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = remove_below(fd, d->d_name, depth + 1);
	closedir(dir);
	if (!r && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

int cgroup_remove(const char *abs_path)
{
	/* the usual case, and the one where nothing below may be touched before we know */
	if (rmdir(abs_path) == 0 || errno == ENOENT)
		return 0;
	return remove_below(AT_FDCWD, abs_path, 0);
}
