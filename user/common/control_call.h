/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The client of fastlod's control socket, RUN_DIR/control: one JSON object and a newline each way,
 * then both sides close. Requests have a "verb"; replies have "ok", and when that is false "error"
 * (a sentence) and "code" (fastloctl's exit status). A reply to "records" comes with a descriptor (SCM_RIGHTS).
 */
#ifndef FASTLO_CONTROL_CALL_H
#define FASTLO_CONTROL_CALL_H

#include <sys/types.h>
#include <sys/un.h>

struct json_object;

#define CONTROL_TIMEOUT_S 5 /* a client's patience with connect and send, fastlod's with a client */
#define CONTROL_REPLY_TIMEOUT_S 30 /* fastlod may be busy with thousands of policies, or wait long for a CPU */
#define CONTROL_REQUEST_MAX (64 << 10)
#define CONTROL_REPLY_MAX (16 << 20) /* FL_MAX_POLICIES policies with room to spare */

/* -ENOENT or -ECONNREFUSED: fastlod is not there. -ETIMEDOUT: it is, but says nothing. */
int control_call(const char *run_dir, struct json_object *req, struct json_object **ret_reply);

/* *ret_fd: the descriptor that came with the reply, or -1. */
int control_call_fd(const char *run_dir, struct json_object *req, struct json_object **ret_reply, int *ret_fd);

/* The pid of whoever listens there now; errors as control_call. */
int control_owner(const char *run_dir, pid_t *ret_pid);

/* -ENAMETOOLONG */
int control_address(const char *run_dir, struct sockaddr_un *ret_addr);

#endif
