/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What daemon.c (start, reload, stop) and daemon_ops.c (what the control socket asks) share; nobody else includes it.
 */
#ifndef FASTLOD_DAEMON_PRIVATE_H
#define FASTLOD_DAEMON_PRIVATE_H

#include <time.h>

#include "control.h"
#include "daemon.h"
#include "keeper.h"
#include "kernel.h"
#include "policies.h"
#include "selftest.h"

struct daemon {
	struct config cfg;
	const char *config_path;
	char *cgroup_mount;
	struct kernel kernel;
	sd_event *event;
	struct programs *programs;
	struct keeper *keeper;
	struct policies *policies;
	struct control *control;
	struct timespec started;
	struct findings findings; /* of the self-test */
	bool unfit;		  /* by them */
	bool stopping;
	int clean_sweeps;
	unsigned int left;
};

extern const struct control_ops daemon_ops; /* daemon_ops.c; the argument is a struct daemon */

/* After any change of policies (always), or of the cgroups that their patterns name. */
int daemon_sync_policies(struct daemon *d, bool always);

#endif
