/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What this host offers: capabilities, BTF, bpffs, and which observer the kernel allows. Everything is
 * found by trying, nothing by version. Functions return 0 or a negative errno, after one line in the log.
 */
#ifndef FASTLOD_KERNEL_H
#define FASTLOD_KERNEL_H

#include <stdbool.h>
#include "config.h"

struct kernel {
	bool rdonly_cast;  /* bpf_rdonly_cast(), Linux 6.2 */
	bool recv_length;  /* tp_btf/sock_recv_length, Linux 6.3 */
	bool trampoline;   /* fentry and fexit attach */
	bool ipv6;	   /* inet6_recvmsg is in the kernel itself, not in a module */
	const char *observer; /* "trampoline", "tracepoint" or "none": what will be used */
};

/* Fills *ret from probes; cfg->observer narrows the choice. */
int kernel_probe(const struct config *cfg, struct kernel *ret);

/* Makes sure that dir's file system is bpffs (mounting one at /sys/fs/bpf if dir is to lie there). */
int kernel_bpffs(const char *dir);

#endif
