/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server of RUN_DIR/control (protocol: control_call.h), on the daemon's event loop. Root, the daemon's
 * own user and members of group PATHS_GROUP may ask: the socket's mode says so. Only the first two may
 * change anything, by the credentials of the connection. A client that is slow, silent or hostile costs one of CONTROL_CLIENTS_MAX places for CONTROL_TIMEOUT_S, nothing else.
 */
#ifndef FASTLO_CONTROL_H
#define FASTLO_CONTROL_H

#include <stddef.h>
#include <systemd/sd-event.h>

#include "policy.h"

struct json_object;
struct control;

#define CONTROL_CLIENTS_MAX 64
#define CONTROL_CLIENTS_OTHERS 48 /* of these, for users who may only ask */

/*
 * Called from the event loop. Objects returned become the server's. status returns an object, whose
 * members go into the reply (version, pid, mode, observer, cgroup, pin_dir, max_pairs, ...);
 * policy_list an array. records returns a descriptor, which goes to the client, counters fills the reply; the others
 * return 0, or a negative errno and a sentence in err.
 */
struct control_ops {
	struct json_object *(*status)(void *arg);
	struct json_object *(*policy_list)(void *arg);
	int (*policy_add)(void *arg, const struct policy *p, char *err, size_t errlen);
	int (*policy_remove)(void *arg, const char *name, char *err, size_t errlen);
	int (*drain)(void *arg, char *err, size_t errlen);
	int (*resume)(void *arg, char *err, size_t errlen);
	int (*records)(void *arg);
	int (*counters)(void *arg, struct json_object *reply);
};

/*
 * Makes run_dir (0755) and the socket. -EADDRINUSE: a fastlod answers there (control_owner() knows
 * its pid). A socket that nobody listens on is replaced. ops and arg must outlive ret_control.
 */
int control_listen(sd_event *event, const char *run_dir, const struct control_ops *ops, void *arg,
		   struct control **ret_control);

/* Drops every client, removes the socket; run_dir stays. */
void control_free(struct control *c);

#endif
