/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlod --drain: what a fastlod left pinned that no longer runs, because it was killed or its drain_timeout was over,
 * goes back to plain TCP, and its pins go.
 */
#ifndef FASTLOD_DRAIN_H
#define FASTLOD_DRAIN_H

#include "config.h"

/*
 * fastlod's exit status, after a line in the log: 0 done, 2 refused, or drain_timeout is over again and the rest stays
 * pinned, 3 nothing is left there. Releases cfg.
 */
int drain_left(struct config *cfg);

#endif
