/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections in masses: a server process that answers each byte with the same one, on every address kind and
 * for each way of opting in; clients; and what is left when all of them are gone. Each connection's stream
 * begins with a header that says what is to come, so that the server can tell that the last byte arrived.
 */
#ifndef FASTLO_TORTURE_MASS_H
#define FASTLO_TORTURE_MASS_H

#include "torture.h"

#define MASS_PORT 20000
#define MASS_STREAM_MAX 4096
#define MASS_SILENT 0x80000000U /* header.length: the server only listens */

/* MASS_PORT + kind * WAYS + BOTH_OBSERVED */
#define MASS_POLICIES                                                                                         \
	"[policy v4]\nport = 20001\n[policy v6]\nport = 20005\n"                                              \
	"[policy mapped]\nport = 20009\n[policy own]\nport = 20013\n"

enum way { BOTH_EAGER, BOTH_OBSERVED, CLIENT_ONLY, SERVER_ONLY, WAYS };

struct mass_header {
	uint64_t seed;
	uint32_t length; /* of the whole stream; 0: as it comes */
	uint32_t pad;
};

/* Counted by the server, read by the clients' process */
struct mass_counts {
	uint64_t accepted, closed, resets, bytes;
	uint64_t wrong; /* bytes that are not what the header promised */
	uint64_t cut;	/* streams that ended before their length */
	uint64_t errors; /* system calls that must not fail */
	int ready;
};

/* ---- mass_server.c */
int mass_server_start(pid_t *ret, struct mass_counts **ret_counts);
int mass_server_stop(pid_t pid, struct mass_counts *counts); /* -EPROTO, if it found anything wrong */
void mass_bytes(void *buf, size_t len, uint64_t seed, uint32_t length, uint64_t off); /* of a stream */
struct dial mass_dial(enum kind k, enum way w);

/* ---- mass_left.c: what fastlod and its maps hold, before and after */
struct mass_left;
int mass_left_new(struct mass_left **ret);
void mass_left_middle(struct mass_left *l); /* fastlod's memory now, for the note */
/* Waits until the maps are as empty as before; what is not, and memory that has grown, goes into run->why. */
int mass_left_check(struct mass_left *before, struct run *run);

#endif
