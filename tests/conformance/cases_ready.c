/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Groups 11 to 13: readiness by select, poll, epoll and signals. Edges are counted after the bytes have
 * arrived, one message at a time: that is when plain TCP's count does not depend on time either.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>

#include "conform.h"

#define IN_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLPRI)

static void send_arrive(struct conform *c, const char *text)
{
	put(c, c->tx, text);
	arrived(c, c->tx);
}

static void ready_select(struct conform *c)
{
	for (int i = 0; i < 3; i++) {
		struct timeval none = { 0 };
		fd_set in, out, pri;

		FD_ZERO(&in);
		FD_ZERO(&out);
		FD_ZERO(&pri);
		FD_SET(c->rx, &in);
		FD_SET(c->rx, &out);
		FD_SET(c->rx, &pri);
		DO(c, select(c->rx + 1, &in, &out, &pri, &none));
		say(c, "in %d out %d pri %d", !!FD_ISSET(c->rx, &in), !!FD_ISSET(c->rx, &out), !!FD_ISSET(c->rx, &pri));
		if (i == 0)
			send_arrive(c, "hello");
		if (i == 1)
			get(c, c->rx, 10, 0);
	}
}

static void ready_poll(struct conform *c)
{
	look(c, c->rx);
	send_arrive(c, "hello");
	look(c, c->rx);
	get(c, c->rx, 2, 0);
	look(c, c->rx);
	get(c, c->rx, 3, 0);
	look(c, c->rx);
	for (int i = 0; i < 20; i++) {
		struct pollfd both[2] = { { .fd = c->rx, .events = POLLIN }, { .fd = c->tx, .events = POLLIN } };

		DO(c, poll(both, 2, 0));
		put(c, i & 1 ? c->tx : c->rx, "x");
		DO(c, poll(both, 2, PATIENCE_MS));
		get(c, i & 1 ? c->rx : c->tx, 10, 0);
	}
}

/* Up to 8 events of one look; which watcher by its number. */
static int events(struct conform *c, int ep, int timeout)
{
	struct epoll_event e[8];
	int n = epoll_wait(ep, e, 8, timeout);

	say(c, "epoll_wait = %d", n);
	for (int i = 0; i < n; i++) {
		char what[32];

		snprintf(what, sizeof(what), "  watcher %u", e[i].data.u32);
		say_poll(c, what, (short)e[i].events);
	}
	return n;
}

static int watch(struct conform *c, int ep, int fd, uint32_t bits, uint32_t number)
{
	struct epoll_event e = { .events = bits, .data.u32 = number };

	if (ep < 0)
		ep = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
		said(c, "EPOLL_CTL_ADD", -1);
	return ep;
}

static void again(int ep, int fd, uint32_t bits)
{
	struct epoll_event e = { .events = bits };

	epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}

static void ready_level(struct conform *c)
{
	int ep = watch(c, -1, c->rx, IN_EVENTS, 0);

	for (int i = 0; i < 3; i++) {
		events(c, ep, 0);
		send_arrive(c, "hello");
		events(c, ep, PATIENCE_MS);
		events(c, ep, 0);
		get(c, c->rx, 2, 0);
		events(c, ep, 0);
		get(c, c->rx, 10, 0);
		events(c, ep, 0);
	}
	again(ep, c->rx, IN_EVENTS | EPOLLOUT);
	events(c, ep, 0);
}

static void ready_edge(struct conform *c)
{
	int ep = watch(c, -1, c->rx, IN_EVENTS | EPOLLET, 0);

	for (int i = 0; i < 3; i++) {
		events(c, ep, 0);
		send_arrive(c, "hello");
		events(c, ep, PATIENCE_MS);
		events(c, ep, 0);
		get(c, c->rx, 2, 0);
		events(c, ep, 0);
		send_arrive(c, "more");
		events(c, ep, PATIENCE_MS);
		get(c, c->rx, 3, 0);
		get(c, c->rx, 10, 0);
		get(c, c->rx, 10, 0);
		events(c, ep, 0);
	}
}

static void ready_edge_both(struct conform *c)
{
	int ep = watch(c, -1, c->rx, IN_EVENTS | EPOLLOUT | EPOLLET, 0);

	for (int i = 0; i < 3; i++) {
		events(c, ep, 0);
		send_arrive(c, "hello");
		events(c, ep, PATIENCE_MS);
		get(c, c->rx, 10, 0);
		events(c, ep, 0);
		put(c, c->rx, "answer");
		arrived(c, c->rx);
		get(c, c->tx, 10, 0);
		events(c, ep, 0);
	}
}

static void ready_oneshot(struct conform *c)
{
	int ep = watch(c, -1, c->rx, IN_EVENTS | EPOLLONESHOT, 0);

	for (int i = 0; i < 3; i++) {
		send_arrive(c, "hello");
		events(c, ep, PATIENCE_MS);
		send_arrive(c, "more");
		events(c, ep, 0);
		again(ep, c->rx, IN_EVENTS | EPOLLONESHOT);
		events(c, ep, PATIENCE_MS);
		get(c, c->rx, 5, 0);
		get(c, c->rx, 10, 0);
		again(ep, c->rx, IN_EVENTS | EPOLLONESHOT);
		events(c, ep, 0);
	}
}

static void ready_exclusive(struct conform *c)
{
	int ep[2];

	for (int i = 0; i < 2; i++)
		ep[i] = watch(c, -1, c->rx, EPOLLIN | EPOLLEXCLUSIVE, i);
	for (int i = 0; i < 3; i++) {
		send_arrive(c, "hello");
		say(c, "somebody %d", events(c, ep[0], 0) + events(c, ep[1], 0) > 0);
		get(c, c->rx, 10, 0);
		events(c, ep[0], 0);
		events(c, ep[1], 0);
	}
}

static void ready_several(struct conform *c)
{
	int ep[2], nested;

	ep[0] = watch(c, -1, c->rx, IN_EVENTS, 1);
	ep[1] = watch(c, -1, c->rx, IN_EVENTS | EPOLLET, 2);
	nested = watch(c, -1, ep[0], EPOLLIN | EPOLLET, 3);
	watch(c, ep[0], c->tx, IN_EVENTS, 4);
	for (int i = 0; i < 3; i++) {
		send_arrive(c, "hello");
		for (int n = 0; n < 2; n++)
			events(c, ep[n], PATIENCE_MS);
		events(c, nested, 0);
		get(c, c->rx, 10, 0);
		for (int n = 0; n < 2; n++)
			events(c, ep[n], 0);
		events(c, nested, 0);
	}
}

static void ready_added_late(struct conform *c)
{
	uint64_t mark = spliced(c->tx);
	int ep;

	send_arrive(c, "waiting");
	must_splice(c, c->from, mark, 7);
	ep = watch(c, -1, c->rx, IN_EVENTS | EPOLLET, 0);
	events(c, ep, PATIENCE_MS);
	events(c, ep, 0);
	again(ep, c->rx, IN_EVENTS | EPOLLET);
	events(c, ep, 0);
	get(c, c->rx, 10, 0);
	again(ep, c->rx, IN_EVENTS | EPOLLET);
	events(c, ep, 0);
}

static void ready_rdhup(struct conform *c)
{
	int level = watch(c, -1, c->rx, IN_EVENTS, 0), edge = watch(c, -1, c->rx, IN_EVENTS | EPOLLET, 0);

	send_arrive(c, "last words");
	events(c, level, PATIENCE_MS);
	events(c, edge, 0);
	shutdown(c->tx, SHUT_WR);
	await(c, c->rx, POLLRDHUP);
	events(c, level, 0);
	events(c, edge, 0);
	look(c, c->rx);
	get(c, c->rx, 100, 0);
	get(c, c->rx, 100, 0);
	events(c, level, 0);
	events(c, edge, 0);
}

/* One edge for each arrival. Nothing is spliced to a reader that is watched by edge, so no edge can get between the ways. */
static void edges_in(struct conform *c)
{
	int ep = watch(c, -1, c->rx, IN_EVENTS | EPOLLET, 0);

	events(c, ep, 0);
	for (int i = 0; i < 10; i++) {
		send_arrive(c, "the first");
		events(c, ep, PATIENCE_MS);
		if (i & 1)
			get(c, c->rx, 9, 0);
		send_arrive(c, "second");
		events(c, ep, PATIENCE_MS);
		if (!(i & 1))
			get(c, c->rx, 9, 0);
		get(c, c->rx, 6, 0);
		events(c, ep, 0);
		get(c, c->rx, 10, 0);
	}
}

/* More than half of the receive buffer at once, and a reader that takes a short read for the end (epoll(7), question 9). */
static void edges_short_read(struct conform *c)
{
	int ep = watch(c, -1, c->rx, IN_EVENTS | EPOLLET, 0), unread = 0;
	static char mem[1000], all[100000];

	for (int i = 0; i < 70; i++)
		if (send(c->tx, mem, sizeof(mem), MSG_NOSIGNAL) != sizeof(mem))
			broken(c, "send: %s", strerror(errno));
	arrived(c, c->tx);
	events(c, ep, PATIENCE_MS);
	DO(c, ioctl(c->rx, FIONREAD, &unread));
	say(c, "unread %d", unread);
	DO(c, recv(c->rx, all, sizeof(all), 0));
	events(c, ep, 0);
	DO(c, recv(c->rx, all, sizeof(all), 0));
}

/* EPOLLOUT by edge: after EAGAIN there is one when the reader has read. */
static void edges_out(struct conform *c)
{
	for (int i = 0; i < 3; i++) {
		int ep = watch(c, -1, c->tx, EPOLLOUT | EPOLLET, 0);

		events(c, ep, 0);
		say(c, "filled %d", pair_fill(&c->p, c->from, 10000) > 0);
		events(c, ep, 0);
		say(c, "drained %d", pair_drain(&c->p, c->from));
		events(c, ep, PATIENCE_MS);
		arrived(c, c->tx);
		close(ep);
	}
}

static atomic_int io_signals;

static void on_io(int number)
{
	(void)number;
	io_signals++;
}

static void io_signalled(struct conform *c)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (!io_signals && tick(until))
		;
	say(c, "SIGIO %d", io_signals > 0);
	io_signals = 0;
}

static void signal_io(struct conform *c)
{
	int on = 1;

	signal(SIGIO, on_io);
	DO(c, fcntl(c->rx, F_SETOWN, getpid()));
	DO(c, ioctl(c->rx, FIOASYNC, &on));
	for (int i = 0; i < 5; i++) {
		send_arrive(c, "hello");
		io_signalled(c);
		get(c, c->rx, 10, 0);
		io_signals = 0;
	}
	on = 0;
	DO(c, ioctl(c->rx, FIOASYNC, &on));
	send_arrive(c, "silent");
	say(c, "SIGIO %d", io_signals);
}

/* A realtime signal says which descriptor and which bits. */
static void signal_siginfo(struct conform *c)
{
	struct timespec limit = { .tv_sec = PATIENCE_MS / 1000 };
	siginfo_t told;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	DO(c, fcntl(c->rx, F_SETSIG, SIGRTMIN));
	DO(c, fcntl(c->rx, F_SETOWN, getpid()));
	fcntl(c->rx, F_SETFL, O_NONBLOCK | O_ASYNC);
	for (int i = 0; i < 5; i++) {
		struct timespec none = { 0 };

		send_arrive(c, "hello");
		if (sigtimedwait(&set, &told, &limit) == SIGRTMIN) {
			say(c, "code %d fd %d", told.si_code, told.si_fd == c->rx);
			say_poll(c, "band", (short)told.si_band);
		} else {
			say(c, "(no signal)");
		}
		get(c, c->rx, 10, 0);
		while (sigtimedwait(&set, &told, &none) > 0)
			say(c, "another: code %d", told.si_code);
	}
}

#define BEFORE .expects = SPLICED_BEFORE
CONFORM_CASES(ready,
	{ 11, "ready_select", ready_select, BEFORE },
	{ 11, "ready_poll", ready_poll, BEFORE },
	{ 11, "ready_level", ready_level, BEFORE },
	{ 11, "ready_edge", ready_edge, BEFORE },
	{ 11, "ready_edge_both", ready_edge_both, BEFORE },
	{ 11, "ready_oneshot", ready_oneshot, BEFORE },
	{ 11, "ready_exclusive", ready_exclusive, BEFORE },
	{ 11, "ready_several", ready_several, BEFORE },
	{ 11, "ready_added_late", ready_added_late, BEFORE },
	{ 11, "ready_rdhup", ready_rdhup, BEFORE },
	{ 12, "edges_in", edges_in, .expects = YIELDS },
	{ 12, "edges_short_read", edges_short_read, .expects = YIELDS },
	{ 12, "edges_out", edges_out, BEFORE },
	{ 13, "signal_io", signal_io, .expects = YIELDS },
	{ 13, "signal_siginfo", signal_siginfo, BEFORE },
)
