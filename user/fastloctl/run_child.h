/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process part of `fastloctl run`.
 */
#ifndef FASTLO_RUN_CHILD_H
#define FASTLO_RUN_CHILD_H

struct json_object;

/* Runs command inside cgroup, passing signals on; its exit status, or 126, 127, 128 + signal. */
int run_child(const char *cgroup, char **command);

/* Sends a request whose failure does not matter. Releases it. */
void run_forget(struct json_object *request);

#endif
