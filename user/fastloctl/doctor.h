/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `fastloctl doctor` finds, one finding a line. Nothing is derived from a version: a finding was looked at
 * or tried on this kernel, now.
 */
#ifndef FASTLOCTL_DOCTOR_H
#define FASTLOCTL_DOCTOR_H

#include <stddef.h>

enum verdict {
	DOCTOR_GOOD,	 /* as it should be, or as on plain TCP */
	DOCTOR_DIFFERS,	 /* a spliced socket differs here from plain TCP; fastlo lives with it */
	DOCTOR_BAD,	 /* fastlo cannot work */
	DOCTOR_UNTRIED,	 /* see text */
	DOCTOR_VERDICTS,
};

struct finding {
	const char *name; /* static */
	enum verdict verdict;
	char text[160];
};

#define DOCTOR_MAX 32
struct findings {
	struct finding list[DOCTOR_MAX];
	size_t n;
};

void doctor_say(struct findings *f, const char *name, enum verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* doctor_live.c: a pair of our own, opted in, on 127.0.0.1. Needs a fastlod that serves this process. */
void doctor_live(struct findings *f);

#endif
