/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * RUN_DIR/policies.json: the policies that did not come from the configuration file, so that a fastlod that
 * takes over after a crash goes on with them. Removed by a clean stop.
 */
#ifndef FASTLOD_REMEMBER_H
#define FASTLOD_REMEMBER_H

#include "policies.h"

/* Replaces the file, atomically. Failure is logged, and ignored: it costs memory of a crash only. */
void remember_save(const struct policies *policies, const char *run_dir);

/* Adds what the file holds; what is not a policy any more is logged and left out. */
void remember_load(struct policies *policies, const char *run_dir);

void remember_forget(const char *run_dir);

#endif
