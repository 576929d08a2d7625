/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Conformance against plain TCP: what a case may use. A case performs calls and writes down what it saw; it never
 * decides. It runs in a process of its own for each address kind, three times: over plain TCP, over an observed pair
 * that has engaged, over an eager pair. The runner compares the transcripts. Invariants of a case:
 * - nothing that depends on time, ports, descriptors or addresses goes into the transcript;
 * - every wait has a deadline (await(), arrived(), ...); a case that takes 20 s is dumped and has failed;
 * - it may leak descriptors and threads, change signal handlers, fork (reap the child): its process ends with it.
 *
 * To add cases: a file cases_FAMILY.c with
 *	static void something(struct conform *c) { DO(c, send(c->tx, "abc", 3, 0)); ... }
 *	CONFORM_CASES(family,
 *		{ .group = 14, .name = "something", .run = something, .expects = SPLICED_BEFORE },
 *	)
 * The Makefile links every file of this directory; no list needs an edit. Names are unique: `make conformance CASE=name`.
 */
#ifndef FASTLO_TESTS_CONFORM_H
#define FASTLO_TESTS_CONFORM_H

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

enum mode { PLAIN, OBSERVED, EAGER, MODES };

/* What a case says of its path (.expects). Not asked of the plain run. Without one of the two: no claim. */
enum {
	/*
	 * At moment(), or when the case starts if it never calls it, both ends are FASTLO_STATE_SPLICED and both directions
	 * have spliced bytes; else the case 'proves nothing' and fails. See also must_splice().
	 */
	SPLICED_BEFORE = 1 << 0,
	/* Between the start and moment(), or the end if it never calls it, at least one end sent bytes over TCP (both ends' fds
	 * of c->p must still be open then). */
	YIELDS = 1 << 1,
	/* No pair is made: the case dials, with dial() or by hand. Its sockets are made in the right cgroup by themselves; by
	 * hand, `if (c->mode == EAGER) opt_in(fd, 1)`. If it puts a pair into c->p, the claims are about that, and it has
	 * to call moment(). */
	OWN_PAIR = 1 << 2,
	/*
	 * The difference meets an observed pair, too, once it is spliced. Its entry in docs/DEVIATIONS.md has a paragraph
	 * "Observed pairs:" that says why neither a yield, nor a trait, nor the observer, nor staying out can prevent it.
	 */
	OBSERVED_TOO = 1 << 3,
};

struct conform {
	enum mode mode;
	enum kind kind;
	/*
	 * The pair: both ends non-blocking, Nagle off, warm: ping-pongs have run in every mode, in observed and eager mode
	 * until both ends are spliced. `from` is the end that a one-directional case sends from; it alternates with the kind
	 * (client for v4 and mapped, server for v6 and own). tx and rx are the same descriptors by their parts.
	 */
	struct pair p;
	int from;
	int tx, rx; /* p.fd[from], p.fd[!from] */
	struct conform_state *state; /* the runner's */
};

struct conform_case {
	int group;	  /* of CONFORMANCE.md */
	const char *name; /* [a-z0-9_]+ */
	void (*run)(struct conform *c);
	unsigned int expects;
	/*
	 * The heading in docs/DEVIATIONS.md (the line behind "### ") that lists this eager transcript's difference; NULL: none.
	 * Put what deviates into a case of its own, so that nothing else is excused by it. Observed mode is excused by
	 * OBSERVED_TOO only. An allowed difference that occurs for no kind is reported.
	 */
	const char *deviates;
};

void conform_register(const struct conform_case *cases, size_t count);
#define CONFORM_CASES(family, ...)                                                                                  \
	static const struct conform_case family##_cases[] = { __VA_ARGS__ };                                        \
	__attribute__((constructor)) static void family##_register(void)                                            \
	{                                                                                                           \
		conform_register(family##_cases, sizeof(family##_cases) / sizeof(family##_cases[0]));               \
	}

/* ---- Writing the transcript (transcript.c). Safe from several threads; the order is then the case's affair. */
__attribute__((format(printf, 2, 3))) void say(struct conform *c, const char *format, ...); /* one line */
/* "what = 5" or, with r == -1, "what = EAGAIN" by errno; gives r back. */
long said(struct conform *c, const char *what, long r);
/* A number that need not be the same, but within a factor of two of plain's. */
void say_about(struct conform *c, const char *what, long value);
/* One call, its text, and its result. Only where the text is the same in every run: no printed values in it. */
#define DO(c, call) said((c), #call, (errno = 0, (long)(call)))
/* "what = 5 'hello'" up to 40 printable bytes, otherwise length and hash; r as returned by the receive. */
long said_bytes(struct conform *c, const char *what, const void *mem, long r);
void say_hash(struct conform *c, const char *what, const void *mem, size_t len);
void say_poll(struct conform *c, const char *what, short bits); /* names of POLL* bits */
uint64_t hash(uint64_t seed, const void *mem, size_t len);	/* chains: start with 0 */

/* ---- What cases do all the time (steps.c); each writes one line, unless it says "quiet". */
long put(struct conform *c, int fd, const char *text); /* send(text), MSG_DONTWAIT | MSG_NOSIGNAL */
long get(struct conform *c, int fd, size_t len, int flags); /* recv up to 256 bytes, flags | MSG_DONTWAIT; its bytes */
void look(struct conform *c, int fd); /* poll(2) without waiting, for all bits that there are */
void so_error(struct conform *c, int fd);
/* Quiet unless in vain. await: until poll says any of events, or an error or hang-up. */
bool await(struct conform *c, int fd, short events);
/* Until what `fd` sent has all arrived in the peer's queues (SIOCOUTQ is 0); spliced bytes are there at once. */
bool arrived(struct conform *c, int fd);
/* Until that thread sleeps in that system call (SYS_*). tid as of gettid(2), of this process or of a child. */
bool asleep(struct conform *c, pid_t tid, long nr);
int sleeps(pid_t tid, long nr); /* the same, quiet: 1, 0 if it has ended, -ETIMEDOUT */
void blocking(int fd, bool on);		       /* quiet; pairs start non-blocking */
void opt(int fd, int level, int name, int value); /* setsockopt of an int, quiet */
/* Quiet, verified by pair.c: sends len bytes as messages of `msg` from end `from` and reads them at the other one. */
void stream(struct conform *c, int from, size_t len, size_t msg);
/* Sends one message of len pattern bytes (non-blocking), one receive of pattern bytes: the results are said. */
long put_pattern(struct conform *c, int from, size_t len);
long get_pattern(struct conform *c, int from, size_t len);

/* ---- One send or receive in a thread of its own (steps.c) */
struct job {
	int fd, flags;
	bool send;
	void *mem;
	size_t len;
	/* after job_start: for asleep(), with SYS_sendto or SYS_recvfrom; after job_end: the result */
	pid_t tid;
	long r;
	int error;
	unsigned long thread; /* pthread_t */
};
void job_start(struct conform *c, struct job *j);
/* Waits for it, says its result, of a receive the bytes, too. Nothing but the watchdog limits it. */
long job_end(struct conform *c, const char *what, struct job *j);
bool job_asleep(struct conform *c, const struct job *j);

/* ---- The path (runner) */
/* The interesting moment starts now: what .expects claims is checked here (the first call counts). */
void moment(struct conform *c);
/*
 * Quiet: at least `bytes` were spliced from p.fd[from] since `mark` (a value of spliced(fd) earlier), or the case proves
 * nothing. Nothing is asked of a plain run. Typical: uint64_t mark = spliced(c->tx); put(c, c->tx, "abc");
 * must_splice(c, c->from, mark, 3);
 */
void must_splice(struct conform *c, int from, uint64_t mark, uint64_t bytes);
/* The test, not fastlo, is broken (a socket cannot be made): the case fails, the message is shown. Returns. */
__attribute__((format(printf, 2, 3))) void broken(struct conform *c, const char *format, ...);
/* The kernel or this machine lacks what the case is about: skipped in every mode. Does not return. */
__attribute__((format(printf, 2, 3), noreturn)) void skip_case(struct conform *c, const char *format, ...);

/* ---- OWN_PAIR */
/* Dials as d says, with kind and opt filled in for this run. Sets c->tx and c->rx if ret is &c->p. */
int dial(struct conform *c, struct pair *ret, struct dial d);
/* Warm-up, in every mode. False (and broken) if it never engages. */
bool engage(struct conform *c, struct pair *p);

/* ---- main.c uses these */
struct conform_options {
	const char *only;  /* a case's name; NULL: all */
	const char *kind;  /* an address kind's name; NULL: all */
	int group;	   /* 0: all */
	bool verbose;	   /* also show transcripts that are identical or excused */
	bool list;
};
int conform_main(const struct conform_options *o); /* exit status */

#endif
