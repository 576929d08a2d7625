/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pin directory: which maps and links are there, re-opening them after a restart, replacing programs
 * behind links without a gap where the kernel can. Layout: one file per map (its name without dots), one
 * per link ("link_..."), and beside a tracing link its program ("prog_...").
 */
#ifndef FASTLOD_PINS_H
#define FASTLOD_PINS_H

#include <stdbool.h>

struct pins;
struct bpf_object;
struct bpf_program;

/* dir exists, on a bpffs. */
int pins_open(const char *dir, struct pins **ret);

/*
 * Lets obj, not loaded yet, use the maps that are pinned, which are of this ABI. -EEXIST, with a line in the log, if
 * they are incomplete or another user's: nothing has been changed then.
 */
int pins_adopt_maps(struct pins *p, struct bpf_object *obj, bool *ret_adopted);
int pins_pin_maps(struct pins *p, const struct bpf_object *obj);

/* Some of obj's maps are pinned and some are not, and links are: not what a fastlod that was killed leaves. */
bool pins_incomplete(const struct pins *p, const struct bpf_object *obj);

/*
 * Makes again what somebody removed while fastlod runs: without its pins a crash would end the maps, and with them what is
 * unread. 1: in a new directory, which is not locked; 0, or a negative errno.
 */
int pins_renew(struct pins *p, const struct bpf_object *obj);

/* Attach prog, or put it behind the pinned link. prog NULL: the pinned link, if any, is removed. */
int pins_attach_cgroup(struct pins *p, const char *name, struct bpf_program *prog, int cgroup_fd);
void pins_detach(struct pins *p, const char *name); /* a link, if it is there */
int pins_attach_tracing(struct pins *p, const char *name, struct bpf_program *prog);

/* The link of an iterator over that map; its descriptor, which lives as long as p. */
int pins_attach_iter(struct pins *p, const char *name, struct bpf_program *prog, int map_fd);

/* Detaches every link and removes every pin. */
void pins_clear(const struct pins *p);
/* The same, and the directory if it is this user's to remove. */
void pins_remove(struct pins *p);
void pins_free(struct pins *p);

#endif
