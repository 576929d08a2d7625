/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses as abi.h has them, for people.
 */
#ifndef FASTLO_ADDRESS_H
#define FASTLO_ADDRESS_H

#include "fastlo/abi.h"

#define ADDRESS_TEXT_MAX 64

/* ::ffff:a.b.c.d prints as a.b.c.d */
void address_text(const __u8 addr[16], char ret_text[ADDRESS_TEXT_MAX]);

#endif
