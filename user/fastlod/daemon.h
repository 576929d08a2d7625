/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon: one event loop from "ready" to "drained". Everything runs in it, nothing blocks.
 */
#ifndef FASTLOD_DAEMON_H
#define FASTLOD_DAEMON_H

#include "config.h"

/* config_path (NULL: embedded default) is read again on SIGHUP. cfg becomes the daemon's. Returns the exit
 * status: 0, or 2 if the kernel, the host or another fastlod refused. */
int daemon_run(struct config *cfg, const char *config_path);

#endif
