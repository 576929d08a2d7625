/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Text helpers. No locale: what is a digit or printable does not depend on the environment.
 */
#include <errno.h>
#include <stddef.h>

#include "text.h"

int text_to_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *c;

	if (!*text)
		return -EINVAL;
	for (c = text; *c; c++) {
		if (*c < '0' || *c > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(number, (uint64_t)10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*c - '0'), &number))
			return -EINVAL;
	}
	if (number < min || number > max)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

char *text_mask(char *text)
{
	char *c;

	for (c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return text;
}
