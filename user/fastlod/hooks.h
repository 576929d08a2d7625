/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What bpf/host.h must know of this kernel and cannot find out by itself: which netfilter hook function is which,
 * where nf_tables and x_tables keep their rules, whether a security module labels packets. What is not found stays 0,
 * and counts as a filter there.
 */
#ifndef FASTLOD_HOOKS_H
#define FASTLOD_HOOKS_H

#include "programs.h"

/* Fills programs_ctl(p)->host from the kernel's symbols and BTF: 0.1 s. */
void hooks_find(struct programs *p);

/* How many hook functions are known by their address. */
int hooks_known(const struct fl_ctl *ctl);

/*
 * The programs met a function that is not in ctl->host: look again, if the kernel's modules have changed since. To be
 * called now and then.
 */
void hooks_renew(struct programs *p);

#endif
