/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the runner shares with the process of a case. Written by the case's process until it is dead, then
 * read by the runner.
 */
#ifndef FASTLO_TESTS_CONFORM_STATE_H
#define FASTLO_TESTS_CONFORM_STATE_H

#include "conform.h"

enum outcome {
	UNFINISHED, /* crashed, or killed */
	FINISHED,
	SKIPPED,
	FAILED, /* see why: broken, hung, proves nothing */
};

struct conform_state {
	enum outcome outcome;
	char why[512];
	unsigned int expects;
	const char *name;
	bool moment_was;
	uint64_t tcp_before; /* bytes that both ends had sent over TCP when the case started */
	int busy;	     /* a lock of the text */
	size_t len;
	char text[256 << 10];
};

const char *mode_name(enum mode mode);
/* The case's process, start to end. */
void child_main(struct conform *c, const struct conform_case *what) __attribute__((noreturn));
/* Line by line; what say_about() wrote may differ by a factor of two. */
bool transcript_same(const char *plain, const char *other);
/* Two transcripts side by side. */
void transcript_diff(const char *plain, const char *other, const char *name);

/* How long a case may take before its watchdog dumps it: 20, or CASE_SECONDS of the environment. */
int case_seconds(void);

#endif
