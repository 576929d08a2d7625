/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was looked at or tried on this host, one finding a line; nothing is derived from a version. fastlod's self-test
 * makes them at start, `fastloctl doctor` adds its own and prints all.
 */
#ifndef FASTLO_FINDINGS_H
#define FASTLO_FINDINGS_H

#include <stddef.h>

struct json_object;

enum verdict {
	FINDING_GOOD,	 /* as it should be, or as on plain TCP */
	FINDING_DIFFERS, /* a spliced socket differs here from plain TCP; fastlo lives with it */
	FINDING_BAD,	 /* fastlo cannot work */
	FINDING_UNTRIED, /* see text */
	FINDING_VERDICTS,
};

struct finding {
	char name[24];
	enum verdict verdict;
	char text[160];
};

#define FINDINGS_MAX 32
struct findings {
	struct finding list[FINDINGS_MAX];
	size_t n;
};

/* More than FINDINGS_MAX are dropped, long texts cut. */
void findings_say(struct findings *f, const char *name, enum verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* NULL if there is none of that name. */
const struct finding *findings_get(const struct findings *f, const char *name);

const char *finding_verdict_name(enum verdict verdict);

/* An array of {name, verdict, text}; the caller's. */
struct json_object *findings_to_json(const struct findings *f);

/* Appends what such an array holds; what is malformed is left out. */
void findings_from_json(struct findings *f, struct json_object *array);

#endif
