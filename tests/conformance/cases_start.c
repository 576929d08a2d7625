/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Group 22: how connections start. After the start each case shows by engaging that it did no harm.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "endings.h"
#include "starts.h"

static void speaks_first(struct conform *c)
{
	if (dial(c, &c->p, (struct dial){ 0 }) < 0)
		return;
	put(c, c->tx, "hello");
	receive(c, c->rx);
	put(c, c->tx, "are you there");
	put(c, c->rx, "yes");
	receive(c, c->tx);
	receive(c, c->rx);
	goes_on(c);
}

static void both_speak_first(struct conform *c)
{
	if (dial(c, &c->p, (struct dial){ 0 }) < 0)
		return;
	put(c, c->tx, "hello");
	put(c, c->rx, "hi");
	put(c, c->tx, " you");
	arrived(c, c->tx);
	arrived(c, c->rx);
	receive(c, c->rx);
	receive(c, c->tx);
	get(c, c->rx, 64, 0);
	goes_on(c);
}

static void data_before_accept(struct conform *c)
{
	if (dial(c, &c->p, (struct dial){ .not_accepted = true }) < 0)
		return;
	put(c, c->p.fd[CLIENT], "early");
	put(c, c->p.fd[CLIENT], " bird");
	arrived(c, c->p.fd[CLIENT]);
	accept_pair(c);
	receive(c, c->p.fd[SERVER]);
	get(c, c->p.fd[SERVER], 64, 0);
	put(c, c->p.fd[SERVER], "worm");
	receive(c, c->p.fd[CLIENT]);
	goes_on(c);
}

static void much_before_accept(struct conform *c)
{
	int64_t sent;

	if (dial(c, &c->p, (struct dial){ .not_accepted = true, .rcvbuf = 65536, .sndbuf = 65536 }) < 0)
		return;
	sent = pair_fill(&c->p, CLIENT, 3000);
	say(c, "filled: %d", sent > 30000);
	look(c, c->p.fd[CLIENT]);
	accept_pair(c);
	say(c, "drained: %d", pair_drain(&c->p, CLIENT));
	await(c, c->p.fd[CLIENT], POLLOUT);
	goes_on(c);
}

static void closed_before_accept(struct conform *c)
{
	if (dial(c, &c->p, (struct dial){ .not_accepted = true }) < 0)
		return;
	put(c, c->p.fd[CLIENT], "and gone");
	close(c->p.fd[CLIENT]);
	c->p.fd[CLIENT] = -1;
	accept_pair(c);
	await(c, c->p.fd[SERVER], POLLRDHUP);
	look(c, c->p.fd[SERVER]);
	get(c, c->p.fd[SERVER], 64, 0);
	get(c, c->p.fd[SERVER], 64, 0);
}

static void reset_before_accept(struct conform *c)
{
	struct linger now = { 1, 0 };

	if (dial(c, &c->p, (struct dial){ .not_accepted = true }) < 0)
		return;
	put(c, c->p.fd[CLIENT], "and gone");
	setsockopt(c->p.fd[CLIENT], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->p.fd[CLIENT]);
	c->p.fd[CLIENT] = -1;
	accept_pair(c);
	await(c, c->p.fd[SERVER], POLLHUP);
	look(c, c->p.fd[SERVER]);
	get(c, c->p.fd[SERVER], 64, 0);
	get(c, c->p.fd[SERVER], 64, 0);
	put(c, c->p.fd[SERVER], "x");
}

static void defer_accept(struct conform *c)
{
	if (dial(c, &c->p, (struct dial){ .not_accepted = true, .defer_accept = 5 }) < 0)
		return;
	DO(c, accept(c->p.listener, NULL, NULL));
	put(c, c->p.fd[CLIENT], "now");
	accept_pair(c);
	receive(c, c->p.fd[SERVER]);
	put(c, c->p.fd[SERVER], "here");
	receive(c, c->p.fd[CLIENT]);
	goes_on(c);
}

/* A namespace that may be changed: the own addresses' or a new one. */
static int private_netns(struct conform *c, const char *setting, const char *value)
{
	int ns = -1, old, r;

	if (c->kind == OWN)
		ns = netns_own();
	else if (netns_new(&ns) < 0)
		ns = -1;
	if (ns < 0 || netns_enter(ns, &old) < 0)
		skip_case(c, "no network namespace");
	r = file_write(setting, value);
	netns_leave(old);
	if (r < 0)
		skip_case(c, "%s: %s", setting, strerror(-r));
	return ns;
}

#define FASTOPEN "/proc/sys/net/ipv4/tcp_fastopen"
#define COOKIES "/proc/sys/net/ipv4/tcp_syncookies"

static void fast_open_by(struct conform *c, bool by_connect)
{
	struct dial d = { .kind = c->kind, .opt = { c->mode == EAGER, c->mode == EAGER } };
	int on = 1, fd, old;
	struct sockaddr_storage addr;
	socklen_t len;
	uint16_t port;

	d.ns = private_netns(c, FASTOPEN, "519"); /* both sides, without cookies */
	if (pair_listen(&d, &c->p.listener, &port) < 0)
		broken(c, "cannot listen");
	opt(c->p.listener, IPPROTO_TCP, TCP_FASTOPEN, 5);
	netns_enter(d.ns, &old);
	fd = socket(kind_addr(c->kind, CLIENT, port, &addr, &len), SOCK_STREAM | SOCK_NONBLOCK, 0);
	netns_leave(old);
	if (c->mode == EAGER)
		opt_in(fd, 1);
	opt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (by_connect) {
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on));
		DO(c, connect(fd, (void *)&addr, len));
		put(c, fd, "with the SYN");
	} else {
		DO(c, sendto(fd, "with the SYN", 12, MSG_FASTOPEN, (void *)&addr, len));
	}
	c->p.fd[CLIENT] = fd;
	accept_pair(c);
	receive(c, c->p.fd[SERVER]);
	await(c, fd, POLLOUT);
	put(c, fd, "behind it");
	receive(c, c->p.fd[SERVER]);
	goes_on(c);
	private_netns(c, FASTOPEN, "1");
}

static void fast_open(struct conform *c)
{
	fast_open_by(c, false);
}

static void fast_open_connect(struct conform *c)
{
	fast_open_by(c, true);
}

static void syn_cookies(struct conform *c)
{
	int ns = private_netns(c, COOKIES, "2"); /* always */

	if (dial(c, &c->p, (struct dial){ .ns = ns, .not_accepted = true }) < 0)
		return;
	put(c, c->p.fd[CLIENT], "early");
	accept_pair(c);
	receive(c, c->p.fd[SERVER]);
	goes_on(c);
	private_netns(c, COOKIES, "1");
}

#define CLIENTS 3

static void full_accept_queue(struct conform *c)
{
	struct dial d = { .kind = c->kind, .opt = { c->mode == EAGER, c->mode == EAGER } };
	struct pair p[CLIENTS];
	struct sockaddr_storage addr;
	int listener, early = 0;
	socklen_t len;
	uint16_t port;

	if (pair_listen(&d, &listener, &port) < 0)
		broken(c, "cannot listen");
	DO(c, listen(listener, 1));
	for (int i = 0; i < CLIENTS; i++) {
		/* a template of the client's socket, opted in as it should be */
		p[i] = (struct pair){ .listener = listener, .fd = { socket(kind_addr(c->kind, CLIENT, port, &addr, &len),
									   SOCK_STREAM | SOCK_NONBLOCK, 0), -1 } };
		if (c->kind == OWN) {
			int old;

			close(p[i].fd[CLIENT]);
			netns_enter(netns_own(), &old);
			p[i].fd[CLIENT] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			netns_leave(old);
		}
		if (c->mode == EAGER)
			opt_in(p[i].fd[CLIENT], 1);
		connect(p[i].fd[CLIENT], (void *)&addr, len);
		early += send(p[i].fd[CLIENT], "early", 5, MSG_NOSIGNAL) == 5;
	}
	say(c, "%d could send at once", early);
	for (int i = 0; i < CLIENTS; i++) {
		if (pair_accept(&p[i]) < 0)
			break;
		if (i < early) {
			receive(c, p[i].fd[SERVER]);
			put(c, p[i].fd[SERVER], "served");
			receive(c, p[i].fd[CLIENT]);
		}
	}
	for (int i = early; i < CLIENTS; i++) /* by a SYN sent again */
		await(c, p[i].fd[CLIENT], POLLOUT);
}

static void accept_flags(struct conform *c)
{
	static const int flags[] = { 0, SOCK_NONBLOCK, SOCK_CLOEXEC };

	for (size_t i = 0; i < 3; i++) {
		int value = -1;
		socklen_t len = sizeof(value);

		if (dial(c, &c->p, (struct dial){ .not_accepted = true }) < 0)
			return;
		opt(c->p.listener, SOL_SOCKET, SO_KEEPALIVE, 1);
		await(c, c->p.listener, POLLIN);
		c->p.fd[SERVER] = accept4(c->p.listener, NULL, NULL, flags[i]);
		say(c, "flags 0x%x, 0x%x", fcntl(c->p.fd[SERVER], F_GETFL), fcntl(c->p.fd[SERVER], F_GETFD));
		getsockopt(c->p.fd[SERVER], IPPROTO_TCP, TCP_NODELAY, &value, &len);
		say(c, "TCP_NODELAY inherited: %d", value);
		DO(c, accept4(c->p.listener, NULL, NULL, 0x40000000));
		opt(c->p.fd[SERVER], IPPROTO_TCP, TCP_NODELAY, 1);
		put(c, c->p.fd[CLIENT], "x");
		receive(c, c->p.fd[SERVER]);
		goes_on(c);
		pair_close(&c->p);
	}
}

static void listener_closed(struct conform *c)
{
	struct pollfd wait;

	if (dial(c, &c->p, (struct dial){ .not_accepted = true }) < 0)
		return;
	put(c, c->p.fd[CLIENT], "nobody reads this");
	close(c->p.listener);
	c->p.listener = -1;
	wait = (struct pollfd){ .fd = c->p.fd[CLIENT] };
	poll(&wait, 1, PATIENCE_MS);
	look(c, c->p.fd[CLIENT]);
	get(c, c->p.fd[CLIENT], 64, 0);
	put(c, c->p.fd[CLIENT], "x");
	get(c, c->p.fd[CLIENT], 64, 0);
}

struct early {
	int fd;
	char mem[16];
	long n;
	_Atomic pid_t tid;
};

static void *early_main(void *arg)
{
	struct early *e = arg;

	e->tid = (pid_t)syscall(SYS_gettid);
	e->n = recv(e->fd, e->mem, sizeof(e->mem), 0);
	return NULL;
}

/*
 * Both connect, nobody listens: the SYNs, sent again once they are let through, cross. One end has a reader that waits since
 * before the connection.
 */
static void simultaneous_open(struct conform *c)
{
	struct sockaddr_storage addr[2];
	struct early e;
	socklen_t len;
	pthread_t thread;
	int ns, old;

	if (system("command -v nft >/dev/null 2>&1") != 0)
		skip_case(c, "no nft");
	if (netns_new(&ns) < 0 || netns_enter(ns, &old) < 0)
		broken(c, "no network namespace");
	if (system("nft 'add table inet t; add chain inet t i { type filter hook input priority 0; }; "
		   "add rule inet t i tcp flags syn drop'") != 0)
		skip_case(c, "nft drops no SYN here");
	for (int i = 0; i < 2; i++) {
		int family = kind_addr(c->kind == V6 ? V6 : V4, CLIENT, 7000 + i, &addr[i], &len), on = 1;

		c->p.fd[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		setsockopt(c->p.fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (c->mode == EAGER)
			opt_in(c->p.fd[i], 1);
		bind(c->p.fd[i], (void *)&addr[i], len);
	}
	c->tx = c->p.fd[c->from];
	c->rx = c->p.fd[!c->from];
	for (int i = 0; i < 2; i++)
		DO(c, connect(c->p.fd[i], (void *)&addr[!i], len));
	e = (struct early){ .fd = c->rx };
	blocking(c->rx, true);
	if (pthread_create(&thread, NULL, early_main, &e) != 0)
		broken(c, "no thread");
	while (!e.tid)
		;
	asleep(c, e.tid, SYS_recvfrom);
	if (system("nft delete table inet t") != 0)
		broken(c, "the table stays");
	await(c, c->tx, POLLOUT);
	put(c, c->tx, "crossed");
	pthread_join(thread, NULL);
	said_bytes(c, "early reader", e.mem, e.n);
	blocking(c->rx, false);
	if (c->mode == EAGER && !engage(c, &c->p)) /* an observed pair with a blocking reader stays TCP */
		return;
	stream(c, CLIENT, 100000, 1000);
	stream(c, SERVER, 100000, 1000);
	netns_leave(old);
}

CONFORM_CASES(start, CASE_OWN(22, speaks_first), CASE_OWN(22, both_speak_first), CASE_OWN(22, data_before_accept),
	      CASE_OWN(22, much_before_accept), CASE_OWN(22, closed_before_accept), CASE_OWN(22, reset_before_accept),
	      CASE_OWN(22, defer_accept), CASE_OWN(22, fast_open), CASE_OWN(22, fast_open_connect), CASE_OWN(22, syn_cookies),
	      CASE_OWN(22, full_accept_queue), CASE_OWN(22, simultaneous_open), CASE_OWN(22, accept_flags), CASE_OWN(22, listener_closed))
