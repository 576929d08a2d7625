/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef FASTLO_BENCH_REDIRECT_H
#define FASTLO_BENCH_REDIRECT_H

/* Attaches the textbook redirector to a cgroup, until this process ends. */
int redirect_attach(const char *cgroup);

#endif
