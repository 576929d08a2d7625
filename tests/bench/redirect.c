/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loads redirect.bpf.c and attaches it. Its file descriptors stay open: the programs go with the process.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "redirect.h"
#include "tests/bench/redirect.skel.h"

int redirect_attach(const char *cgroup)
{
	struct redirect_bpf *skel = redirect_bpf__open_and_load();
	int fd, r;

	if (!skel)
		return -errno;
	r = bpf_prog_attach(bpf_program__fd(skel->progs.redirect_msg), bpf_map__fd(skel->maps.redirect_socks),
			    BPF_SK_MSG_VERDICT, 0);
	if (r < 0)
		return r;
	fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	skel->links.redirect_ops = bpf_program__attach_cgroup(skel->progs.redirect_ops, fd);
	r = skel->links.redirect_ops ? 0 : -errno;
	close(fd);
	return r;
}
