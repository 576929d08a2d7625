/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One sample: opens the connections, exchanges enough over each that an observed pair is admitted, forks the
 * server, runs the client for the cell's time, and collects what both used.
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
#include <unistd.h>

#include "bench.h"

#define WARM 24		/* exchanges; observe_reads is 16 */
#define SPLICED_OF 64	/* connections that are asked for their share */

static const struct work_ops *const works[] = {
	[ROUND_TRIP] = &round_trip_ops, [STREAM] = &stream_ops,	  [DUPLEX] = &duplex_ops, [MANY] = &many_ops,
	[CONNECT] = &connect_ops,	[RATE] = &rate_ops,	  [SETSOCKOPT] = &setsockopt_ops,
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
	return e < 0 ? e : warm(r);
}

static void run_close(struct run *r, int side)
{
	for (int i = 0; i < r->n; i++)
		connection_close(&r->conns[i], side);
}

static void serve(struct run *r)
{
	double cpu;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run_close(r, CLIENT);
	place(r->cell, SERVER);
	cpu = cpu_used();
	r->shared->ready = 1;
	works[r->cell->work]->server(r);
	r->shared->cpu = cpu_used() - cpu;
	_exit(0);
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
	double spliced[2], tcp[2], cpu;
	bool good;

	while (!r->shared->ready)
		sched_yield();
	count(r, &spliced[0], &tcp[0]);
	cpu = cpu_used();
	r->start = now();
	r->until = r->start + r->cell->seconds;
	good = works[r->cell->work]->client(r);
	r->sample->cpu[CLIENT] = cpu_used() - cpu;
	count(r, &spliced[1], &tcp[1]);
	spliced[1] -= spliced[0];
	tcp[1] -= tcp[0];
	r->sample->spliced = spliced[1] + tcp[1] > 0 ? spliced[1] / (spliced[1] + tcp[1]) : NAN;
	return good ? 0 : -EPIPE;
}

static int with_server(struct run *r)
{
	pid_t pid;
	int e;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		serve(r);
	run_close(r, SERVER);
	place(r->cell, CLIENT);
	e = drive(r);
	run_close(r, CLIENT);
	if (e < 0)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	r->sample->cpu[SERVER] = r->shared->cpu;
	if (e == 0 && works[r->cell->work]->settle)
		works[r->cell->work]->settle(r);
	return e;
}

void sample_take(enum peer peer, const struct cell *c, struct sample *ret)
{
	struct run r = { .cell = c, .peer = peer, .listener = -1, .sample = ret };

	memset(ret, 0, sizeof(*ret));
	r.conns = calloc(c->conns, sizeof(*r.conns));
	r.read_size = c->polled && c->msg < READ_SIZE ? READ_SIZE : c->msg;
	r.mem = calloc(1, r.read_size);
	r.shared = mmap(NULL, sizeof(*r.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ret->error = r.conns && r.mem && r.shared != MAP_FAILED ? run_open(&r) : -ENOMEM;
	if (ret->error == 0)
		ret->error = with_server(&r);
	run_close(&r, CLIENT);
	run_close(&r, SERVER);
	if (r.listener >= 0)
		close(r.listener);
	munmap(r.shared, sizeof(*r.shared));
	free(r.mem);
	free(r.conns);
}
