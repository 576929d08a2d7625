/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pairs whose bytes name their offsets, for splice_check. Functions return true, or complain()ed; the first
 * complaint of a check is the one that counts. No cmocka, no libraries: it is linked statically.
 */
#ifndef FASTLO_VM_STREAM_H
#define FASTLO_VM_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "fastlo/fastlo.h"

#define TOTAL (1U << 20)
#define PATIENCE_MS 10000

enum {
#define FL_REASON(sym, name, text) R_##sym,
#include "fastlo/reason.def"
#undef FL_REASON
	REASONS
};
extern const char *const reasons[REASONS];

enum { CLIENT, SERVER };
struct pair {
	int fd[2];
	uint32_t sent[2], got[2]; /* per direction: [d] from fd[d] to fd[!d] */
};

extern char why[512]; /* of the check under way; empty: all is well */
extern bool blind;    /* observer = none */

bool complain(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* false */
int64_t now_ms(void);

struct fastlo_info info_of(int fd);
void show_pair(struct pair *p);

/* family 0: a v4 client of a [::] listener. port 0: any */
bool dial(struct pair *p, int family, uint16_t port, bool eager);
void hang_up(struct pair *p);
void nonblock(struct pair *p, bool on);

bool send_some(struct pair *p, int d, uint32_t end); /* one call; towards the offset end */
bool pump(struct pair *p, uint32_t len);		     /* len further bytes both ways, non-blocking, one thread */
bool pump_blocking(struct pair *p);		     /* TOTAL bytes both ways, four threads in blocking calls */
bool engage(struct pair *p);			     /* short messages until both directions are spliced */
bool both_spliced(struct pair *p);

#endif
