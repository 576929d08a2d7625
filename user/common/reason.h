/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names and sentences of enum fl_reason, both straight from reason.def.
 */
#ifndef FASTLO_REASON_NAMES_H
#define FASTLO_REASON_NAMES_H

#include <stdint.h>

/* "unknown" for a number that this build doesn't know. Static strings. */
const char *reason_name(uint32_t reason);
const char *reason_text(uint32_t reason);

#endif
