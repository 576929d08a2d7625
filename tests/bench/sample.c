/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One sample: opens the connections, exchanges enough over each that an observed pair is admitted, forks the
 * server, runs the client for the cell's time, and collects what both used. Many connections are kept, with their
 * server, for the next sample of the same cell: to open them takes longer than the sample.
 */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define ADMISSION_MS 30000 /* of observed pairs, where there are many: fastlod takes them one by one */
#define WARM 24		/* exchanges; observe_reads is 16 */
#define SPLICED_OF 64	/* connections that are asked for their share */

static const struct work_ops *const works[] = {
	[ROUND_TRIP] = &round_trip_ops, [STREAM] = &stream_ops,	  [DUPLEX] = &duplex_ops, [MANY] = &many_ops,
	[CROWDED] = &round_trip_ops,	[CONNECT] = &connect_ops, [RATE] = &rate_ops,
	[SETSOCKOPT] = &setsockopt_ops,
};

static void place(const struct cell *c, int side)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (c->place == UNPINNED || i == (c->place == TWO_CPUS && side == SERVER))
			CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Both ends in one process: what is read was sent before, so no call blocks. */
static int warm(struct run *r)
{
	for (int i = 0; i < r->n; i++)
		for (int e = 0; e < 2 * WARM; e++) {
			int from = e % 2;

			if (!put(r->cell, r->conns[i].out[from], r->mem, 1) ||
			    !get(r->cell, r->conns[i].in[!from], r->mem, 1))
				return -EPIPE;
		}
	return 0;
}

/* Otherwise the first samples would be of observing, the later ones of splicing. */
static void await_admission(const struct run *r)
{
	int64_t until = now_ms() + ADMISSION_MS;

	for (int i = 0; i < r->n; i++)
		while (info(r->conns[i].out[CLIENT]).state == FASTLO_STATE_OBSERVING && tick(until))
			;
}

static int run_open(struct run *r)
{
	bool sockets = r->peer != PIPE && (r->peer != UNIX || r->cell->work == CONNECT);
	int e = 0, max = r->cell->work == CONNECT ? 0 : r->cell->conns;

	if (sockets)
		e = peer_listen(r->peer, r->cell, &r->listener, &r->port);
	while (r->n < max && e == 0) {
		e = connection_open(&r->conns[r->n], r->peer, r->cell, r->listener, r->port);
		r->n += e == 0;
	}
	if (e == 0)
		e = warm(r);
	if (e == 0 && r->peer == OBSERVED && (r->cell->work == MANY || r->cell->work == CROWDED))
		await_admission(r);
	return e;
}

static void run_close(struct run *r, int side)
{
	for (int i = 0; i < r->n; i++)
		connection_close(&r->conns[i], side);
}

static void prepare(struct run *r, int side)
{
	if (works[r->cell->work]->prepare)
		works[r->cell->work]->prepare(r, side);
}

static void serve(struct run *r)
{
	double cpu;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run_close(r, CLIENT);
	place(r->cell, SERVER);
	prepare(r, SERVER);
	cpu = cpu_used();
	r->shared->ready = 1;
	works[r->cell->work]->server(r);
	r->shared->cpu = cpu_used() - cpu;
	_exit(0);
}

/* Another process; what it does after the client's last call is not in it. */
static double cpu_used_by(pid_t pid)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) == 0)
		clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void count(const struct run *r, double *ret_spliced, double *ret_tcp)
{
	*ret_spliced = *ret_tcp = 0;
	for (int i = 0; i < r->n && i < SPLICED_OF && (r->peer == EAGER || r->peer == OBSERVED); i++) {
		struct fastlo_info of = info(r->conns[i].out[CLIENT]);

		*ret_spliced += of.tx_spliced_bytes;
		*ret_tcp += of.tx_tcp_bytes;
	}
}

static int drive(struct run *r)
{
	double spliced[2], tcp[2], cpu, server;
	bool good;

	memset(r->sample, 0, sizeof(*r->sample));
	count(r, &spliced[0], &tcp[0]);
	server = cpu_used_by(r->server);
	cpu = cpu_used();
	r->start = now();
	r->until = r->start + r->cell->seconds;
	good = works[r->cell->work]->client(r);
	r->sample->cpu[CLIENT] = cpu_used() - cpu;
	r->sample->cpu[SERVER] = cpu_used_by(r->server) - server;
	count(r, &spliced[1], &tcp[1]);
	spliced[1] -= spliced[0];
	tcp[1] -= tcp[0];
	r->sample->spliced = spliced[1] + tcp[1] > 0 ? spliced[1] / (spliced[1] + tcp[1]) : NAN;
	return good ? 0 : -EPIPE;
}

static int start_server(struct run *r)
{
	fflush(NULL);
	r->server = fork();
	if (r->server < 0)
		return -errno;
	if (r->server == 0)
		serve(r);
	run_close(r, SERVER);
	place(r->cell, CLIENT);
	prepare(r, CLIENT);
	while (!r->shared->ready)
		sched_yield();
	return 0;
}

static int run_start(struct run *r, enum peer peer, const struct cell *c)
{
	int e;

	*r = (struct run){ .cell = c, .peer = peer, .epoll = -1, .listener = -1 };
	r->conns = calloc(c->conns, sizeof(*r->conns));
	r->read_size = c->polled && c->msg < READ_SIZE ? READ_SIZE : c->msg;
	r->mem = calloc(1, r->read_size);
	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	e = r->conns && r->mem && r->shared != MAP_FAILED ? run_open(r) : -ENOMEM;
	return e < 0 ? e : start_server(r);
}

/* The server ends when it sees the end of its connections. */
static void run_end(struct run *r, bool failed)
{
	run_close(r, CLIENT);
	run_close(r, SERVER);
	if (r->server > 0 && failed)
		kill(r->server, SIGKILL);
	if (r->server > 0)
		waitpid(r->server, NULL, 0);
	if (r->epoll >= 0)
		close(r->epoll);
	if (r->listener >= 0)
		close(r->listener);
}

static void run_free(struct run *r)
{
	munmap(r->shared, sizeof(*r->shared));
	free(r->mem);
	free(r->conns);
	memset(r, 0, sizeof(*r));
}

void sample_take(enum peer peer, const struct cell *c, struct sample *ret)
{
	static struct run r;

	if (!c && r.cell) {
		run_end(&r, false);
		run_free(&r);
	}
	ret->error = crowd_set(peer, c ? c->others : 0);
	if (!c)
		return;
	if (ret->error == 0 && !r.cell)
		ret->error = run_start(&r, peer, c);
	r.sample = ret;
	if (ret->error == 0)
		ret->error = drive(&r);
	if (ret->error == 0 && c->work == MANY)
		return;
	if (!r.cell)
		return;
	run_end(&r, ret->error < 0);
	if (ret->error == 0) {
		ret->cpu[SERVER] = r.shared->cpu;
		if (works[c->work]->settle)
			works[c->work]->settle(&r);
	}
	run_free(&r);
}
