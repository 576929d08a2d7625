/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps the table of pairs: hears the ring buffer, has ready pairs admitted, releases what must leave the
 * sockmap, drains. A lost event costs time, never correctness: the periodic sweep finds everything again.
 */
#ifndef FASTLOD_KEEPER_H
#define FASTLOD_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "programs.h"

#define KEEPER_SWEEP_IDLE_US 10000000ULL /* the periodic sweep */
#define KEEPER_SWEEP_LATER_US 1000000ULL /* while a pair is out for a while, or an eager end waits for its peer */
#define KEEPER_SWEEP_MIN_US 500ULL	 /* while something cannot be released yet: from here, doubling, */
#define KEEPER_SWEEP_MAX_US 200000ULL	 /* to here */

struct keeper;

struct keeper_ops {
	/* the cgroup tree changed */
	void (*cgroup_event)(void *arg);
	/* after each sweep; left: pairs that still wait for something. true: sweep again soon all the same */
	bool (*swept)(void *arg, unsigned int left);
};

/* programs and ops must outlive the keeper. */
int keeper_new(sd_event *event, struct programs *programs, const struct keeper_ops *ops, void *arg,
	       struct keeper **ret);
void keeper_free(struct keeper *k);

/* The policy map was changed: stop what nothing wants any more, enter open connections that are wanted. */
int keeper_policies_changed(struct keeper *k);

/* Sets the mode, and sees to it that the table follows. */
int keeper_set_mode(struct keeper *k, enum fl_mode mode);

#endif
