/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How each peer connects. Those over TCP differ by the cgroup that their worker is in, and by the opt-in; all
 * else is the same code, so that what differs in the result is the peer.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"

const char *const peer_names[ALL_PEERS] = { "tcp", "eager", "observed", "sockmap", "unix", "pipe", "served" };

static struct dial dial_of(enum peer peer, const struct cell *c)
{
	bool in = peer == EAGER;

	return (struct dial){ .kind = V4, .opt = { in, in }, .rcvbuf = opt.rcvbuf ? opt.rcvbuf : c->rcvbuf };
}

static void set_flags(const struct cell *c, int fd)
{
	int flags = fcntl(fd, F_GETFL) & ~O_NONBLOCK;

	fcntl(fd, F_SETFL, flags | (c->polled ? O_NONBLOCK : 0));
}

/* In the abstract space, named for its worker; closed before the next one is made. */
static socklen_t unix_addr(struct sockaddr_un *ret, uint16_t port)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return offsetof(struct sockaddr_un, sun_path) + 1 +
	       snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "fastlo-bench-%u", port);
}

int peer_listen(enum peer peer, const struct cell *c, int *ret_fd, uint16_t *ret_port)
{
	struct dial d = dial_of(peer, c);
	struct sockaddr_un un;
	socklen_t len;
	int fd;

	if (peer != UNIX) {
		int r = pair_listen(&d, ret_fd, ret_port);

		if (r == 0)
			fcntl(*ret_fd, F_SETFL, fcntl(*ret_fd, F_GETFL) & ~O_NONBLOCK);
		return r;
	}
	*ret_port = (uint16_t)getpid();
	len = unix_addr(&un, *ret_port);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (void *)&un, len) < 0 || listen(fd, 128) < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Nothing but what a connection needs: what setsockopt costs has a row of its own. */
static int connect_bare(enum peer peer, uint16_t port, int *ret_fd)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int fd = socket(kind_addr(V4, CLIENT, port, &addr, &len), SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (peer == EAGER)
		r = opt_in(fd, 1);
	if (r == 0 && connect(fd, (void *)&addr, len) < 0)
		r = -errno;
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

int peer_connect(enum peer peer, const struct cell *c, uint16_t port, int *ret_fd)
{
	struct dial d = dial_of(peer, c);
	struct sockaddr_un un;
	socklen_t len;
	int fd, r;

	if (c->work == CONNECT && peer != UNIX)
		return connect_bare(peer, port, ret_fd);
	if (peer == UNIX) {
		len = unix_addr(&un, port);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (void *)&un, len) < 0)
			return -errno;
	} else {
		r = pair_connect(&d, port, &fd);
		if (r < 0)
			return r;
	}
	set_flags(c, fd);
	*ret_fd = fd;
	return 0;
}

int peer_accept(const struct cell *c, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (fd >= 0 && c->work != CONNECT)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int open_pipes(struct connection *ret)
{
	for (int side = 0; side < 2; side++) {
		int fd[2];

		if (pipe2(fd, O_CLOEXEC) < 0)
			return -errno;
		ret->out[side] = fd[1];
		ret->in[!side] = fd[0];
	}
	return 0;
}

int connection_open(struct connection *ret, enum peer peer, const struct cell *c, int listener, uint16_t port)
{
	int fd[2] = { -1, -1 }, r = 0;

	if (peer == PIPE) {
		r = open_pipes(ret);
	} else if (peer == UNIX) {
		r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0 ? -errno : 0;
	} else {
		r = peer_connect(peer, c, port, &fd[CLIENT]);
		if (r == 0)
			fd[SERVER] = peer_accept(c, listener);
		if (r == 0 && fd[SERVER] < 0)
			r = -errno;
	}
	for (int side = 0; side < 2 && r == 0; side++) {
		if (peer != PIPE)
			ret->in[side] = ret->out[side] = fd[side];
		set_flags(c, ret->in[side]);
		set_flags(c, ret->out[side]);
	}
	return r;
}

void connection_close(struct connection *c, int side)
{
	if (c->out[side] >= 0 && c->out[side] != c->in[side])
		close(c->out[side]);
	if (c->in[side] >= 0)
		close(c->in[side]);
	c->in[side] = c->out[side] = -1;
}

void connection_finish(const struct connection *c, int side)
{
	if (shutdown(c->out[side], SHUT_WR) < 0 && errno == ENOTSOCK)
		close(c->out[side]);
}
