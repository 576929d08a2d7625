/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The BPF side's life: open, size, adopt what an earlier fastlod left pinned, load, attach, pin, unpin.
 * Everything pinned stays at work when fastlod dies; only programs_remove() ends it.
 */
#ifndef FASTLOD_PROGRAMS_H
#define FASTLOD_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "kernel.h"
#include "fastlo/abi.h"

struct programs;

/*
 * Loads and attaches everything below cgroup (a directory of the cgroup2 mount) and pins it in
 * cfg->pin_dir. Mode is FL_MODE_DRAIN until programs_ctl()->mode says otherwise. Negative errno after one
 * line in the log; what was attached on the way is undone, what was pinned before is not.
 */
int programs_load(const struct config *cfg, const struct kernel *kernel, const char *cgroup,
		  struct programs **ret);

/* The words that the BPF programs read; lives as long as p. */
struct fl_ctl *programs_ctl(struct programs *p);
int programs_policy_fd(struct programs *p);
int programs_events_fd(struct programs *p);
bool programs_adopted(const struct programs *p); /* an earlier fastlod's maps are in use */
bool programs_replaced(const struct programs *p); /* they were of another ABI: drained, and removed */
uint32_t programs_max_pairs(const struct programs *p);

/*
 * Whether programs may opt in themselves. Without it nobody's setsockopt meets a BPF program, which costs each such call of
 * every program about 250 ns. What has opted in stays so. A negative errno: as before.
 */
int programs_opt_in(struct programs *p, bool on);

/* Puts the ends of READY pairs into the sockmap. */
int programs_admit(struct programs *p);
/* Enters connections that are open already and that a policy wants. */
int programs_scan(struct programs *p);

/* One pass of housekeeping; calls fn for every struct fl_sweep_rec. */
int programs_sweep(struct programs *p, void (*fn)(const void *rec, void *arg), void *arg);

/*
 * Looks for kernel symbols by name; the same n names each time. Calls fn with a struct fl_symbol for each that is there, more
 * than once if several have that name. Takes some 20 ms.
 */
int programs_symbols(struct programs *p, const char *const *names, uint32_t n,
		     void (*fn)(const void *symbol, void *arg), void *arg);

/* A descriptor that yields a struct fl_record per pair, to whoever reads it; or a negative errno. */
int programs_list_fd(struct programs *p);
/* Sums over the CPUs. */
int programs_counters(struct programs *p, uint64_t totals[FL_T_MAX], uint64_t reasons[FL_R_MAX]);

/* Detaches and unpins everything. The sockmap must be empty, or unread bytes are lost. */
int programs_renew_pins(struct programs *p); /* pins_renew() */
void programs_remove(struct programs *p);

/* Frees the handles only: what is pinned stays. NULL is fine. */
void programs_free(struct programs *p);

#endif
