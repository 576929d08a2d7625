/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs counted, for the control socket.
 */
#ifndef FASTLOD_COUNTERS_H
#define FASTLOD_COUNTERS_H

#include "programs.h"

struct json_object;

/* Adds "totals" and "reasons" to an object, or returns a negative errno and adds nothing. */
int counters_to_json(struct programs *p, struct json_object *ret_json);

#endif
