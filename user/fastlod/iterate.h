/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading what a BPF iterator writes: whole records of one size.
 */
#ifndef FASTLOD_ITERATE_H
#define FASTLOD_ITERATE_H

#include <stddef.h>

/* Runs the iterator behind the link to its end. fn may be NULL. 0 or a negative errno. */
int iterate_link(int link_fd, size_t record, void (*fn)(const void *rec, void *arg), void *arg);

/* The same of a descriptor that reads it, which is closed. */
int iterate_read(int fd, size_t record, void (*fn)(const void *rec, void *arg), void *arg);

#endif
