/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Small text helpers over plain values: numbers that people typed, and strings that others chose
 * (a process name, a cgroup, a configuration line) and that must not reach a terminal as they are.
 */
#ifndef FASTLO_TEXT_H
#define FASTLO_TEXT_H

#include <stdint.h>

/* Decimal digits only, min..max; -EINVAL else. */
int text_to_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number);

/* Every byte that is not printable ASCII becomes '?', in place. Returns text. */
char *text_mask(char *text);

#endif
