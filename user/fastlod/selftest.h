/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel self-test: what fastlo rests on, tried at start on a pair of fastlod's own. A kernel that gets something
 * wrong has exactly that switched off, whatever its version says.
 */
#ifndef FASTLOD_SELFTEST_H
#define FASTLOD_SELFTEST_H

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "findings.h"

/* What the findings switch off. */
struct selftest_result {
	bool unfit;	 /* bytes were lost, changed or stuck: nothing is spliced */
	bool rmem_blind; /* sk_rmem_alloc does not count spliced bytes, or nobody knows: the books are asked, too */
};

/*
 * Runs the trials in a child process, in a cgroup of its own below `cgroup` where that may be made, while the event loop
 * goes on (releases need it). The programs must be attached, in mode RUN. Never fails: what could not be tried is a
 * finding. Takes 3 s at most.
 */
void selftest_run(sd_event *event, const char *cgroup, struct findings *ret);

struct selftest_result selftest_judge(const struct findings *f);

/* trials.c: the trials themselves, in the calling process. */
void trials_run(struct findings *f);

#endif
