/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One request in, one reply out: no sockets here.
 */
#ifndef FASTLO_CONTROL_VERBS_H
#define FASTLO_CONTROL_VERBS_H

#include <stdbool.h>

#include "control.h"

/*
 * text: one JSON object. may_change: the client is root or ourselves. Never NULL but for lack of memory.
 * *ret_fd: a descriptor that goes with the reply, now the caller's; or -1.
 */
struct json_object *control_answer(const struct control_ops *ops, void *arg, const char *text, bool may_change,
				   int *ret_fd);

#endif
