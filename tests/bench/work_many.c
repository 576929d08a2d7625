/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Work over many connections: exchanges on level-triggered epoll, and connections made and closed.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"

#define AT_ONCE 32 /* requests on their way */

static void many_prepare(struct run *r, int side)
{
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < r->n; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->conns[i].in[side], &e);
	}
}

static void many_server(struct run *r)
{
	struct epoll_event e[AT_ONCE];

	for (;;) {
		int n = epoll_wait(r->epoll, e, AT_ONCE, -1);

		if (n < 0 && errno != EINTR)
			return;
		for (int i = 0; i < n; i++) {
			const struct connection *c = &r->conns[e[i].data.u32];

			if (!get(r->cell, c->in[SERVER], r->mem, r->cell->msg) ||
			    !put(r->cell, c->out[SERVER], r->mem, r->cell->msg))
				return;
		}
	}
}

/* A request on each of the next connections, then all their answers, as they come. */
static bool many_client(struct run *r)
{
	int batch = r->n < AT_ONCE ? r->n : AT_ONCE, at = 0;
	struct epoll_event e[AT_ONCE];
	double n = 0, took;

	do {
		for (int i = 0; i < batch; i++, at = (at + 1) % r->n)
			if (!put(r->cell, r->conns[at].out[CLIENT], r->mem, r->cell->msg))
				return false;
		for (int left = batch; left;) {
			int ready = epoll_wait(r->epoll, e, AT_ONCE, -1);

			if (ready < 0 && errno != EINTR)
				return false;
			for (int i = 0; i < ready; i++, left--)
				if (!get(r->cell, r->conns[e[i].data.u32].in[CLIENT], r->mem, r->cell->msg))
					return false;
		}
		n += batch;
		took = now() - r->start;
	} while (r->start + took < r->until);
	r->sample->messages = n;
	r->sample->bytes = n * r->cell->msg;
	r->sample->value = n / took / 1000;
	return true;
}

const struct work_ops many_ops = { .prepare = many_prepare, .server = many_server, .client = many_client };

/* The last connection says so by its first byte. */
static void connect_server(struct run *r)
{
	bool last = false;

	while (!last) {
		int fd = peer_accept(r->cell, r->listener);

		if (fd < 0)
			return;
		if (get(r->cell, fd, r->mem, r->cell->msg) && put(r->cell, fd, r->mem, r->cell->msg)) {
			last = r->mem[0];
			get(r->cell, fd, r->mem, 1);
		}
		close(fd);
	}
}

static bool connect_client(struct run *r)
{
	double n = 0, took = 0;

	for (bool last = false; !last; n++) {
		int fd;

		last = r->start + took >= r->until;
		r->mem[0] = last;
		if (peer_connect(r->peer, r->cell, r->port, &fd) < 0)
			return false;
		if (!put(r->cell, fd, r->mem, r->cell->msg) || !get(r->cell, fd, r->mem, r->cell->msg))
			return false;
		close(fd);
		took = now() - r->start;
	}
	r->sample->messages = n;
	r->sample->bytes = n * r->cell->msg;
	r->sample->value = n / took / 1000;
	return true;
}

const struct work_ops connect_ops = { .server = connect_server, .client = connect_client };
