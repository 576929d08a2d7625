/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Opening connected pairs: the address kinds, the opt-in at the moment that the contract asks for, ports
 * and namespaces where a test cares.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

const char *const kind_names[KINDS] = { "v4", "v6", "mapped", "own" };

int opt_in(int fd, int on)
{
	if (env.plain)
		return 0;
	return setsockopt(fd, SOL_FASTLO, FASTLO_ENABLE, &on, sizeof(on)) < 0 ? -errno : 0;
}

int kind_addr(enum kind k, int side, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	memset(ret, 0, sizeof(*ret));
	if (k == V6 || (k == MAPPED && side == SERVER)) {
		struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;

		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		six->sin6_addr = k == V6 ? in6addr_loopback : in6addr_any;
		*ret_len = sizeof(*six);
	} else {
		struct sockaddr_in *four = (struct sockaddr_in *)ret;

		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		inet_pton(AF_INET, k == OWN ? OWN_ADDR : "127.0.0.1", &four->sin_addr);
		*ret_len = sizeof(*four);
	}
	return ret->ss_family;
}

/* A socket of that side, bound if a port is asked for, opted in. */
static int side_socket(const struct dial *d, int side)
{
	int fd, off = 0, on = 1, ns = d->ns > 0 ? d->ns : -1, old, r;
	struct sockaddr_storage addr;
	socklen_t len;

	if (d->kind == OWN && ns < 0) {
		ns = netns_own();
		if (ns < 0)
			return ns;
	}
	r = netns_enter(ns, &old);
	if (r < 0)
		return r;
	fd = socket(kind_addr(d->kind, side, d->port[side], &addr, &len), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	netns_leave(old);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (addr.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (d->rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &d->rcvbuf, sizeof(d->rcvbuf));
	if (d->sndbuf)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &d->sndbuf, sizeof(d->sndbuf));
	if (side == SERVER && d->defer_accept)
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &d->defer_accept, sizeof(d->defer_accept));
	if ((side == SERVER || d->port[side]) && bind(fd, (void *)&addr, len) < 0)
		r = -errno;
	if (r == 0 && d->opt[side])
		r = opt_in(fd, 1);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int pair_listen(const struct dial *d, int *ret_fd, uint16_t *ret_port)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int fd = side_socket(d, SERVER);

	if (fd < 0)
		return fd;
	if (listen(fd, 128) < 0 || getsockname(fd, (void *)&addr, &len) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	/* the port is at the same place in both families */
	*ret_port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	*ret_fd = fd;
	return 0;
}

int pair_connect(const struct dial *d, uint16_t port, int *ret_fd)
{
	struct sockaddr_storage addr;
	int fd = side_socket(d, CLIENT), error = 0;
	socklen_t len, elen = sizeof(error);

	if (fd < 0)
		return fd;
	kind_addr(d->kind, CLIENT, port, &addr, &len);
	if (connect(fd, (void *)&addr, len) < 0) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		error = errno;
		if (error == EINPROGRESS) {
			error = poll(&p, 1, PATIENCE_MS) == 1 ? 0 : ETIMEDOUT;
			if (!error)
				getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &elen);
		}
	}
	if (error) {
		close(fd);
		return -error;
	}
	*ret_fd = fd;
	return 0;
}

int pair_accept(struct pair *p)
{
	struct pollfd wait = { .fd = p->listener, .events = POLLIN };
	int on = 1;

	if (poll(&wait, 1, PATIENCE_MS) != 1)
		return -ETIMEDOUT;
	p->fd[SERVER] = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (p->fd[SERVER] < 0)
		return -errno;
	setsockopt(p->fd[SERVER], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

int pair_dial(struct pair *ret, const struct dial *d)
{
	static uint64_t seeds = 1;
	struct pair p = { .fd = { -1, -1 }, .listener = -1, .seed = seeds };
	uint16_t port;
	int r;

	seeds += 2;
	r = pair_listen(d, &p.listener, &port);
	if (r == 0)
		r = pair_connect(d, port, &p.fd[CLIENT]);
	if (r == 0 && !d->not_accepted)
		r = pair_accept(&p);
	if (r < 0) {
		pair_close(&p);
		return r;
	}
	*ret = p;
	return 0;
}

int pair_open(struct pair *ret, enum kind k, bool opt_in_client, bool opt_in_server)
{
	return pair_dial(ret, &(struct dial){ .kind = k, .opt = { opt_in_client, opt_in_server } });
}

void pair_close(struct pair *p)
{
	if (!p)
		return;
	for (int i = 0; i < 2; i++) {
		if (p->fd[i] >= 0)
			close(p->fd[i]);
		p->fd[i] = -1;
	}
	if (p->listener >= 0)
		close(p->listener);
	p->listener = -1;
}

void pair_dump(FILE *to, const struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		info_dump(to, i == CLIENT ? "client" : "server", p->fd[i]);
		fprintf(to, "  sent %llu, of which the other end received %llu\n", (unsigned long long)p->sent[i],
			(unsigned long long)p->got[i]);
	}
	if (!env.plain)
		table_dump(to, info(p->fd[CLIENT]).pair);
}
