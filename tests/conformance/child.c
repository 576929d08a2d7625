/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process that one case runs in: it joins the cgroup of its mode, makes and warms the pair, checks
 * which path the case took, and has a watchdog that tells both ends' state before it gives up.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "state.h"

#define WARM_ROUNDS 24

const char *mode_name(enum mode mode)
{
	static const char *const names[MODES] = { "plain", "observed", "eager" };

	return names[mode];
}

/* The first reason stays. */
static void give_up(struct conform *c, enum outcome outcome, const char *label, const char *text)
{
	struct conform_state *s = c->state;

	if (s->outcome != UNFINISHED)
		return;
	snprintf(s->why, sizeof(s->why), "%s%s", label, text);
	s->outcome = outcome;
}

void broken(struct conform *c, const char *format, ...)
{
	char text[400];
	va_list more;

	va_start(more, format);
	vsnprintf(text, sizeof(text), format, more);
	va_end(more);
	give_up(c, FAILED, "broken: ", text);
}

void skip_case(struct conform *c, const char *format, ...)
{
	char text[400];
	va_list more;

	va_start(more, format);
	vsnprintf(text, sizeof(text), format, more);
	va_end(more);
	give_up(c, SKIPPED, "", text);
	_exit(0);
}

static bool claims_count(const struct conform *c)
{
	return c->mode != PLAIN && !env.plain;
}

static void proves_nothing(struct conform *c, int side, const char *what)
{
	struct fastlo_info i = info(c->p.fd[side]);
	char text[400];

	snprintf(text, sizeof(text), "%s: %s; state %u reason %s tx_spliced %llu rx_spliced %llu tx_tcp %llu",
		 side == CLIENT ? "client" : "server", what, i.state, reason_name(i.reason),
		 (unsigned long long)i.tx_spliced_bytes, (unsigned long long)i.rx_spliced_bytes,
		 (unsigned long long)i.tx_tcp_bytes);
	give_up(c, FAILED, "proves nothing: ", text);
}

static uint64_t tcp_bytes(const struct conform *c)
{
	return info(c->p.fd[CLIENT]).tx_tcp_bytes + info(c->p.fd[SERVER]).tx_tcp_bytes;
}

void moment(struct conform *c)
{
	struct conform_state *s = c->state;

	if (s->moment_was || !claims_count(c))
		return;
	s->moment_was = true;
	for (int side = 0; side < 2 && (s->expects & SPLICED_BEFORE); side++) {
		struct fastlo_info i = info(c->p.fd[side]);

		if (i.state != FASTLO_STATE_SPLICED || !i.tx_spliced_bytes || !i.rx_spliced_bytes)
			proves_nothing(c, side, "not spliced at the moment");
	}
	if ((s->expects & YIELDS) && tcp_bytes(c) <= s->tcp_before)
		proves_nothing(c, c->from, "never yielded");
}

void must_splice(struct conform *c, int from, uint64_t mark, uint64_t bytes)
{
	char text[100];
	uint64_t more = spliced(c->p.fd[from]) - mark;

	if (!claims_count(c) || more >= bytes)
		return;
	snprintf(text, sizeof(text), "spliced %llu bytes of %llu", (unsigned long long)more, (unsigned long long)bytes);
	proves_nothing(c, from, text);
}

/* What every thread waits in: for a hang. */
static void dump_threads(pid_t self)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[300], text[256];

		snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", e->d_name);
		if (e->d_name[0] != '.' && atoi(e->d_name) != self && file_read(path, text, sizeof(text)) > 0)
			fprintf(stderr, "thread %s: system call %s", e->d_name, text);
	}
}

static void *watchdog_main(void *arg)
{
	struct conform *c = arg;
	struct timespec limit = { .tv_sec = case_seconds() };

	while (nanosleep(&limit, &limit) < 0)
		;
	fprintf(stderr, "%s %s %s: still running after %d s\n", c->state->name, mode_name(c->mode), kind_names[c->kind],
		case_seconds());
	pair_dump(stderr, &c->p);
	dump_threads((pid_t)syscall(SYS_gettid));
	give_up(c, FAILED, "hangs", "");
	_exit(1);
}

static void watchdog_start(struct conform *c)
{
	sigset_t all, old;
	pthread_t thread;

	/* so that no signal of the case's is ever delivered there */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, watchdog_main, c) != 0)
		broken(c, "no watchdog");
	sigprocmask(SIG_SETMASK, &old, NULL);
}

int dial(struct conform *c, struct pair *ret, struct dial d)
{
	int r;

	d.kind = c->kind;
	d.opt[CLIENT] = d.opt[SERVER] = c->mode == EAGER;
	r = pair_dial(ret, &d);
	if (r < 0)
		broken(c, "cannot dial: %s", strerror(-r));
	if (ret == &c->p) {
		c->tx = c->p.fd[c->from];
		c->rx = c->p.fd[!c->from];
	}
	return r;
}

bool engage(struct conform *c, struct pair *p)
{
	int r;

	/* the plain run's rounds are about as many as an observed pair needs */
	r = claims_count(c) ? pair_warm(p) : pair_pingpong(p, WARM_ROUNDS, 64);
	if (r < 0)
		broken(c, "never engages: %s", strerror(-r));
	/* how many rounds it took must not show: the acknowledgements have come, the streams start anew */
	arrived(c, p->fd[CLIENT]);
	arrived(c, p->fd[SERVER]);
	*p = (struct pair){ .fd = { p->fd[CLIENT], p->fd[SERVER] }, .listener = p->listener, .seed = 42 };
	return r == 0;
}

void child_main(struct conform *c, const struct conform_case *what)
{
	struct conform_state *s = c->state;
	bool up = true;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!env.plain && env_join(c->mode == OBSERVED ? env.app : env.cgroup) < 0)
		broken(c, "cannot join the cgroup");
	s->expects = what->expects;
	s->name = what->name;
	c->p = (struct pair){ .fd = { -1, -1 }, .listener = -1 };
	c->from = c->kind == V6 || c->kind == OWN ? SERVER : CLIENT;
	c->tx = c->rx = -1;
	watchdog_start(c);
	if (!(what->expects & OWN_PAIR)) {
		up = dial(c, &c->p, (struct dial){ 0 }) == 0 && engage(c, &c->p);
		if (up && claims_count(c))
			s->tcp_before = tcp_bytes(c);
		if (up && !(what->expects & YIELDS) && claims_count(c) && (what->expects & SPLICED_BEFORE)) {
			moment(c);
			s->moment_was = false; /* the case may name a later one */
		}
	}
	if (up) {
		what->run(c);
		if ((what->expects & YIELDS) && !(what->expects & OWN_PAIR))
			moment(c);
	}
	if (s->outcome == UNFINISHED)
		s->outcome = FINISHED;
	_exit(0);
}
