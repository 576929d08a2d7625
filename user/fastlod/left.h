/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a stop could not release in drain_timeout: pairs of which somebody has not read all that was spliced.
 */
#ifndef FASTLOD_LEFT_H
#define FASTLOD_LEFT_H

struct programs;

/* A line in the log for each. */
void left_log(struct programs *p);

#endif
