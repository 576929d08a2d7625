/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Work over one connection: round trips, a stream one way, streams both ways. Rates are counted where the
 * bytes are read, from the client's start to the server's end of the stream.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "bench.h"

#define CLOCK_EVERY 4

static void round_trip_server(struct run *r)
{
	const struct connection *c = &r->conns[0];
	size_t msg = r->cell->msg;

	while (get(r->cell, c->in[SERVER], r->mem, msg) && put(r->cell, c->out[SERVER], r->mem, msg))
		;
}

static bool round_trip_client(struct run *r)
{
	const struct connection *c = &r->conns[0];
	size_t msg = r->cell->msg;
	double n = 0, took;

	do {
		for (int i = 0; i < CLOCK_EVERY; i++)
			if (!put(r->cell, c->out[CLIENT], r->mem, msg) || !get(r->cell, c->in[CLIENT], r->mem, msg))
				return false;
		n += CLOCK_EVERY;
		took = now() - r->start;
	} while (r->start + took < r->until);
	r->sample->messages = n;
	r->sample->bytes = n * msg;
	r->sample->value = took / n * 1e6;
	return true;
}

const struct work_ops round_trip_ops = { .server = round_trip_server, .client = round_trip_client };

/* Twice what a fast writer needs for messages of that size: about 1 us each and 0.3 ns per byte. */
static double slow_seconds(const struct cell *c)
{
	return c->slow ? 2 * (1000.0 / c->msg + 0.3) * 1e-9 : 0;
}

static void stream_server(struct run *r)
{
	double per_byte = slow_seconds(r->cell);
	ssize_t n;

	while ((n = get_some(r->cell, r->conns[0].in[SERVER], r->mem, r->read_size)) > 0) {
		double busy = per_byte ? now() + n * per_byte : 0;

		while (busy && now() < busy)
			;
		r->shared->bytes += n;
	}
	r->shared->finished = now();
}

static bool stream_client(struct run *r)
{
	do {
		for (int i = 0; i < CLOCK_EVERY; i++)
			if (!put(r->cell, r->conns[0].out[CLIENT], r->mem, r->cell->msg))
				return false;
		r->sample->messages += CLOCK_EVERY;
	} while (now() < r->until);
	connection_finish(&r->conns[0], CLIENT);
	return true;
}

static void stream_settle(struct run *r)
{
	r->sample->bytes = r->shared->bytes;
	r->sample->value = r->shared->bytes * 8 / (r->shared->finished - r->start) / 1e9;
	if (r->shared->bytes != r->sample->messages * r->cell->msg)
		r->sample->error = -EBADMSG;
}

const struct work_ops stream_ops = { .server = stream_server, .client = stream_client, .settle = stream_settle };

/* Writes while it may, reads whatever is there, until the other end has finished. Bytes read, or -1. */
static double both_ways(struct run *r, int side, double until, double *ret_written)
{
	const struct connection *c = &r->conns[0];
	double got = 0, put_ = 0;
	bool writing = true;

	for (;;) {
		struct pollfd p[2] = { { .fd = c->in[side], .events = POLLIN },
				       { .fd = writing ? c->out[side] : -1, .events = POLLOUT } };
		ssize_t in, out = -1;

		in = read(c->in[side], r->mem, r->read_size);
		if (in < 0 && errno != EAGAIN)
			return -1;
		got += in > 0 ? in : 0;
		if (writing && (in == 0 || (until && now() >= until))) {
			connection_finish(c, side);
			writing = false;
		}
		if (in == 0)
			break;
		if (writing)
			out = write(c->out[side], r->mem, r->cell->msg);
		put_ += out > 0 ? out : 0;
		if (in < 0 && out < 0)
			poll(p, 2, -1);
	}
	*ret_written = put_;
	return got;
}

static void duplex_server(struct run *r)
{
	double written;

	r->shared->bytes = both_ways(r, SERVER, 0, &written);
	r->shared->finished = now();
}

static bool duplex_client(struct run *r)
{
	double written, got = both_ways(r, CLIENT, r->until, &written);

	r->sample->bytes = got + written;
	r->sample->messages = r->sample->bytes / r->cell->msg;
	r->sample->value = r->sample->bytes * 8 / (now() - r->start) / 1e9;
	return got >= 0;
}

const struct work_ops duplex_ops = { .server = duplex_server, .client = duplex_client };
