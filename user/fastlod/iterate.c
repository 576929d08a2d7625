/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A read() ends where the kernel's buffer does, which may be in the middle of a record.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "iterate.h"

int iterate_read(int fd, size_t record, void (*fn)(const void *rec, void *arg), void *arg)
{
	char buf[8192] __attribute__((aligned(8)));
	size_t have = 0, at;
	ssize_t n;
	int r = 0;

	for (;;) {
		n = read(fd, buf + have, sizeof(buf) - have);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
		for (at = 0; have - at >= record; at += record)
			if (fn)
				fn(buf + at, arg);
		have -= at;
		memmove(buf, buf + at, have);
	}
	if (n < 0)
		r = -errno;
	close(fd);
	return r;
}

int iterate_link(int link_fd, size_t record, void (*fn)(const void *rec, void *arg), void *arg)
{
	int fd = bpf_iter_create(link_fd);

	return fd < 0 ? -errno : iterate_read(fd, record, fn, arg);
}
