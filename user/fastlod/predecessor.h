/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an earlier fastlod left pinned and this one cannot go on with: it is of another ABI, or damaged. Only what abi.h
 * keeps for ever is known of it: how to set it to drain, and its own sweep, which releases its pairs. So a socket is
 * never in two sets.
 */
#ifndef FASTLOD_PREDECESSOR_H
#define FASTLOD_PREDECESSOR_H

#include <stdbool.h>

/*
 * dir is locked. anyway: drain it even if it is of this ABI, since it "..." (for the log); NULL: no reason to. 0: there is no such set, or all of its pairs are released
 * (*ret_drained), and its pins may go. -EEXIST, after a line in the log: it can't be drained, or not in timeout_s seconds; it stays at work,
 * set to drain in the latter case, and the next start goes on. -ECANCELED: SIGTERM or SIGINT came meanwhile.
 */
int predecessor_drain(const char *dir, const char *anyway, unsigned int timeout_s, bool *ret_drained);

#endif
