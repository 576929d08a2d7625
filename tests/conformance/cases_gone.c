/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Groups 16 to 19: senders whose peer is gone, the last message before a close, ends that are killed, shared or
 * passed on, and sockets and addresses that are used again.
 */
#include <netinet/in.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "endings.h"

/* ---- 16 */
static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
}

static void send_after_close(struct conform *c)
{
	struct iovec v[2] = { { "a", 1 }, { "b", 1 } };

	signal(SIGPIPE, on_pipe);
	shut_quietly(c, &c->rx);
	await(c, c->tx, POLLRDHUP);
	DO(c, send(c->tx, "x1", 2, 0));
	await(c, c->tx, 0);
	look(c, c->tx);
	DO(c, send(c->tx, "x2", 2, 0));
	say(c, "SIGPIPE: %d", (int)pipes);
	DO(c, write(c->tx, "x3", 2));
	DO(c, writev(c->tx, v, 2));
	say(c, "SIGPIPE: %d", (int)pipes);
	DO(c, send(c->tx, "x4", 2, MSG_NOSIGNAL));
	signal(SIGPIPE, SIG_IGN);
	DO(c, send(c->tx, "x5", 2, 0));
	so_error(c, c->tx);
	get(c, c->tx, 64, 0);
}

static void send_after_reset(struct conform *c)
{
	signal(SIGPIPE, on_pipe);
	reset(c, &c->rx);
	await(c, c->tx, 0);
	look(c, c->tx);
	DO(c, send(c->tx, "x1", 2, 0));
	say(c, "SIGPIPE: %d", (int)pipes);
	DO(c, send(c->tx, "x2", 2, 0));
	say(c, "SIGPIPE: %d", (int)pipes);
	so_error(c, c->tx);
	get(c, c->tx, 64, 0);
}

static void send_after_own_shutdown(struct conform *c)
{
	signal(SIGPIPE, on_pipe);
	DO(c, shutdown(c->tx, SHUT_WR));
	DO(c, send(c->tx, "x1", 2, 0));
	DO(c, send(c->tx, "x2", 2, MSG_NOSIGNAL));
	say(c, "SIGPIPE: %d", (int)pipes);
	await(c, c->rx, POLLRDHUP);
	get(c, c->rx, 64, 0);
	look(c, c->rx);
}

static void send_nothing_after_shutdown(struct conform *c)
{
	signal(SIGPIPE, on_pipe);
	DO(c, shutdown(c->tx, SHUT_WR));
	DO(c, send(c->tx, "", 0, 0));
	say(c, "SIGPIPE: %d", (int)pipes);
}

/* ---- 17 */
#define PAIRS 150

/* Until the end or an error: what it was. */
static int read_all(struct pair *p, int from)
{
	struct pollfd wait = { .fd = p->fd[!from], .events = POLLIN };
	ssize_t r;

	do
		r = pair_try_recv(p, from, 1 << 16, 0);
	while (r > 0 || (r == -EAGAIN && poll(&wait, 1, PATIENCE_MS) == 1));
	return (int)r;
}

static void write_then_close(struct conform *c)
{
	uint64_t random = 17;
	int whole = 0;

	for (int i = 0; i < PAIRS; i++) {
		uint64_t mark, todo;

		if (dial(c, &c->p, (struct dial){ 0 }) < 0 || !engage(c, &c->p))
			return;
		mark = spliced(c->tx);
		for (int n = 1 + i % 4; n; n--)
			pair_send(&c->p, c->from, rnd_size(&random, 8000));
		todo = c->p.sent[c->from] - c->p.got[c->from];
		must_splice(c, c->from, mark, todo);
		shut_quietly(c, &c->tx);
		/* -ECONNRESET is also what the end is called there */
		whole += read_all(&c->p, c->from) == -ECONNRESET && c->p.got[c->from] == c->p.sent[c->from];
		pair_close(&c->p);
	}
	say(c, "%d of %d last messages arrived", whole, PAIRS);
}

/* Nothing was read before: the last message is the first one, too. */
static void write_then_close_at_once(struct conform *c)
{
	int whole = 0;

	for (int i = 0; i < PAIRS; i++) {
		if (dial(c, &c->p, (struct dial){ .not_accepted = i & 1 }) < 0)
			return;
		pair_send(&c->p, CLIENT, 1 + i * 7);
		shut_quietly(c, &c->p.fd[CLIENT]);
		if (c->p.fd[SERVER] < 0)
			pair_accept(&c->p);
		whole += read_all(&c->p, CLIENT) == -ECONNRESET && c->p.got[CLIENT] == c->p.sent[CLIENT];
		pair_close(&c->p);
	}
	say(c, "%d of %d messages arrived", whole, PAIRS);
}

/* ---- 18 */
static void killed(struct conform *c, pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	status = proc_wait(pid, PATIENCE_MS);
	say(c, "killed: %d", status >= 0 && WIFSIGNALED(status));
}

static void sender_killed(struct conform *c)
{
	uint64_t mark = spliced(c->tx);
	pid_t pid = fork();
	int r;

	if (pid == 0) {
		while (pair_send(&c->p, c->from, 3000) == 0)
			;
		_exit(1);
	}
	r = pair_recv(&c->p, c->from, 200000);
	must_splice(c, c->from, mark, 1000);
	shut_quietly(c, &c->tx);
	say(c, "stream: %d", r);
	killed(c, pid);
	say(c, "end: %d", read_all(&c->p, c->from)); /* every byte verified */
	so_error(c, c->rx);
	get(c, c->rx, 64, 0);
}

static void receiver_killed(struct conform *c)
{
	int told[2];
	pid_t pid;
	char one;

	if (pipe(told) < 0)
		broken(c, "pipe");
	pid = fork();
	if (pid == 0) {
		pair_recv(&c->p, c->from, 100);
		if (write(told[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	shut_quietly(c, &c->rx);
	say(c, "stream: %d", pair_send(&c->p, c->from, 100));
	DO(c, read(told[0], &one, 1)); /* all of it was read */
	killed(c, pid);
	await(c, c->tx, POLLRDHUP);
	get(c, c->tx, 64, 0);
	put(c, c->tx, "x1");
	await(c, c->tx, 0);
	put(c, c->tx, "x2");
}

static void receiver_killed_unread(struct conform *c)
{
	pid_t pid;

	leave_unread(c, "unread");
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(1);
	}
	shut_quietly(c, &c->rx);
	killed(c, pid);
	await(c, c->tx, POLLRDHUP);
	look(c, c->tx);
	get(c, c->tx, 64, 0);
}

/* The child's own steps; 0 if it came to their end. */
static int in_child(struct conform *c, void (*steps)(struct conform *))
{
	pid_t pid = fork();

	if (pid == 0) {
		steps(c);
		_exit(0);
	}
	return proc_wait(pid, PATIENCE_MS);
}

static void close_both(struct conform *c)
{
	say(c, "child closes");
	close(c->tx);
	close(c->rx);
}

static void use_both(struct conform *c)
{
	leave_unread(c, "from the child");
	get(c, c->rx, 64, 0);
	stream(c, c->from, 100000, 1000);
	stream(c, !c->from, 100000, 1000);
}

static void fork_and_close(struct conform *c)
{
	leave_unread(c, "before the fork");
	DO(c, in_child(c, close_both));
	look(c, c->tx);
	get(c, c->rx, 64, 0);
	leave_unread(c, "after it");
	get(c, c->rx, 64, 0);
	put(c, c->rx, "back");
	get(c, c->tx, 64, 0);
	DO(c, in_child(c, use_both));
	look(c, c->rx);
	DO(c, dup2(c->tx, 900) == 900 ? close(900) : -1);
	leave_unread(c, "after the duplicate");
	get(c, c->rx, 64, 0);
}

static int pass_fd(int via, int *fd, bool sending)
{
	union {
		struct cmsghdr h;
		char mem[CMSG_SPACE(sizeof(int))];
	} u = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	char one = 1;
	struct iovec v = { &one, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.mem, .msg_controllen = sizeof(u.mem) };

	if (sending) {
		memcpy(CMSG_DATA(&u.h), fd, sizeof(*fd));
		return sendmsg(via, &m, 0) == 1 ? 0 : -errno;
	}
	if (recvmsg(via, &m, 0) != 1)
		return -errno;
	memcpy(fd, CMSG_DATA(&u.h), sizeof(*fd));
	return 0;
}

static void passed_to_another(struct conform *c)
{
	int via[2], status;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, via) < 0)
		broken(c, "socketpair");
	pid = fork();
	if (pid == 0) {
		int fd;

		close(c->tx);
		close(c->rx);
		if (pass_fd(via[0], &fd, false) == 0) {
			get(c, fd, 64, 0);
			put(c, fd, "from the other process");
		}
		_exit(0);
	}
	leave_unread(c, "unread on the way");
	DO(c, pass_fd(via[1], &c->rx, true));
	shut_quietly(c, &c->rx);
	status = proc_wait(pid, PATIENCE_MS);
	say(c, "status %d", status);
	await(c, c->tx, POLLIN);
	get(c, c->tx, 64, 0);
	await(c, c->tx, POLLRDHUP);
	get(c, c->tx, 64, 0);
}

/* ---- 19 */
static void again_at(struct conform *c, struct pair *ret)
{
	struct dial d = { .kind = c->kind, .opt = { c->mode == EAGER, c->mode == EAGER } };
	struct sockaddr_storage addr;
	socklen_t len;
	uint16_t port;

	*ret = (struct pair){ .fd = { c->p.fd[CLIENT], -1 }, .listener = -1, .seed = 4711 };
	if (pair_listen(&d, &ret->listener, &port) < 0)
		broken(c, "cannot listen");
	kind_addr(c->kind, CLIENT, port, &addr, &len);
	connect(ret->fd[CLIENT], (void *)&addr, len); /* EINPROGRESS or 0 */
	await(c, ret->fd[CLIENT], POLLOUT);
	if (pair_accept(ret) < 0)
		broken(c, "cannot accept");
}

static void unspec(struct conform *c, bool stale)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int client = c->p.fd[CLIENT], server = c->p.fd[SERVER];
	struct pair again;

	if (stale)
		put(c, server, "stale");
	DO(c, connect(client, &none, sizeof(none)));
	await(c, server, POLLIN);
	if (stale)
		get(c, client, 64, 0);
	look(c, client);
	put(c, client, "nobody");
	get(c, server, 64, 0);
	put(c, server, "ghost");
	again_at(c, &again);
	get(c, client, 64, 0);
	put(c, server, "late ghost");
	put(c, again.fd[SERVER], "fresh");
	await(c, client, POLLIN);
	get(c, client, 64, 0);
	if (!engage(c, &again))
		return;
	say(c, "stream: %d", pair_pump(&again, CLIENT, 1 << 18, 3000));
	say(c, "stream: %d", pair_pump(&again, SERVER, 1 << 18, 3000));
	get(c, client, 64, 0);
}

static void connect_unspec(struct conform *c)
{
	unspec(c, false);
}

static void connect_unspec_unread(struct conform *c)
{
	unspec(c, true);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	getsockname(fd, (void *)&a, &len);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static void same_addresses_at_once(struct conform *c)
{
	struct dial d = { 0 };

	/* where nobody else can take the ports meanwhile; OWN has such a place already */
	if (c->kind != OWN && netns_new(&d.ns) < 0)
		skip_case(c, "no network namespace");
	for (int i = 0; i < 40; i++) {
		if (dial(c, &c->p, d) < 0 || !engage(c, &c->p))
			return;
		stream(c, CLIENT, 10000, 1000);
		d.port[CLIENT] = port_of(c->p.fd[CLIENT]);
		d.port[SERVER] = port_of(c->p.fd[SERVER]);
		/* bytes of this life that must not show up in the next one */
		pair_send(&c->p, CLIENT, 500);
		pair_send(&c->p, SERVER, 500);
		reset(c, &c->p.fd[i & 1]);
		await(c, c->p.fd[!(i & 1)], POLLHUP);
		pair_close(&c->p);
	}
	say(c, "done");
}

#define FIN_NOT_RST "close() with unread spliced bytes sends FIN, not RST"
#define UNSPEC "connect(AF_UNSPEC) with spliced bytes unread"

CONFORM_CASES(gone, CASE(16, send_after_close),
	      CASE_OBSERVED_TOO(16, send_after_reset, "A pending error stays for send"), CASE(16, send_after_own_shutdown),
	      CASE_OBSERVED_TOO(16, send_nothing_after_shutdown, "Corners of the send calls"),
	      CASE_OWN(17, write_then_close), CASE_OWN(17, write_then_close_at_once), CASE(18, sender_killed),
	      CASE(18, receiver_killed), CASE_OBSERVED_TOO(18, receiver_killed_unread, FIN_NOT_RST), CASE(18, fork_and_close),
	      CASE(18, passed_to_another), CASE(19, connect_unspec), CASE_OBSERVED_TOO(19, connect_unspec_unread, UNSPEC),
	      CASE_OWN(19, same_addresses_at_once))
