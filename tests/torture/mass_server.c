/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See mass.h. One process, so that each of the two has to hold only one end of every connection: a process may
 * not have 20,000 files everywhere.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mass.h"

#define EVENTS 256

struct conn {
	int fd;
	bool listener;
	struct mass_header head;
	uint64_t got;
};

static struct mass_counts *counts;

void mass_bytes(void *buf, size_t len, uint64_t seed, uint32_t length, uint64_t off)
{
	struct mass_header h = { .seed = seed, .length = length };
	size_t n = 0;

	if (off < sizeof(h)) {
		n = sizeof(h) - off < len ? sizeof(h) - off : len;
		memcpy(buf, (char *)&h + off, n);
	}
	if (len > n)
		pattern_fill((char *)buf + n, len - n, seed, off + n);
}

struct dial mass_dial(enum kind k, enum way w)
{
	return (struct dial){ .kind = k,
			      .opt = { w == BOTH_EAGER || w == CLIENT_ONLY, w == BOTH_EAGER || w == SERVER_ONLY },
			      .port = { 0, MASS_PORT + k * WAYS + w } };
}

static void finish(struct conn *c, bool clean)
{
	if (clean && c->head.length && c->got != (c->head.length & ~MASS_SILENT)) {
		fprintf(stderr, "the stream of seed %llu ended after %llu of %u bytes\n",
			(unsigned long long)c->head.seed, (unsigned long long)c->got, c->head.length & ~MASS_SILENT);
		info_dump(stderr, "server", c->fd);
		counts->cut++;
	}
	counts->resets += !clean;
	close(c->fd);
	/* not freed: an event for it would be one for a closed file, as something else still held that open */
	c->fd = -1;
	__atomic_add_fetch(&counts->closed, 1, __ATOMIC_RELEASE);
}

static bool is_wrong(struct conn *c, const char *buf, size_t n)
{
	char want[MASS_STREAM_MAX];

	for (size_t i = 0; i < n && c->got + i < sizeof(c->head); i++)
		((char *)&c->head)[c->got + i] = buf[i];
	mass_bytes(want, n, c->head.seed, c->head.length, c->got);
	return memcmp(want, buf, n) != 0;
}

static void serve(struct conn *c)
{
	char buf[MASS_STREAM_MAX];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (n < 0 && errno != ECONNRESET && errno != EPIPE) {
			fprintf(stderr, "server: receive: %s\n", strerror(errno));
			counts->errors++;
		}
		finish(c, n == 0);
		return;
	}
	if (is_wrong(c, buf, n)) {
		fprintf(stderr, "wrong byte in %zd bytes at %llu of the stream of seed %llu\n", n,
			(unsigned long long)c->got, (unsigned long long)c->head.seed);
		counts->wrong++;
	}
	c->got += n;
	counts->bytes += n;
	if (c->head.length & MASS_SILENT)
		return;
	if (send(c->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) != n && errno != EPIPE && errno != ECONNRESET) {
		fprintf(stderr, "an answer of %zd bytes: %s\n", n, strerror(errno));
		counts->errors++;
	}
}

static int watch(int ep, int fd, bool listener)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->listener = listener;
	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static void take(int ep, struct conn *listener)
{
	struct pair p = { .listener = listener->fd };
	int r = pair_accept(&p);

	if (r == 0)
		r = watch(ep, p.fd[SERVER], false);
	if (r < 0) {
		fprintf(stderr, "server: accept: %s\n", strerror(-r));
		counts->errors++;
		return;
	}
	__atomic_add_fetch(&counts->accepted, 1, __ATOMIC_RELEASE);
}

static int listen_all(int ep)
{
	int r = 0;

	for (int k = 0; k < KINDS && r == 0; k++)
		for (int w = 0; w < WAYS && r == 0; w++) {
			struct dial d = mass_dial(k, w);
			uint16_t port;
			int fd;

			r = pair_listen(&d, &fd, &port);
			if (r == 0)
				r = watch(ep, fd, true);
		}
	return r;
}

static void server_main(void)
{
	struct epoll_event e[EVENTS];
	int ep = epoll_create1(EPOLL_CLOEXEC), old;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (netns_enter(netns_own(), &old) < 0 || listen_all(ep) < 0)
		_exit(1);
	__atomic_store_n(&counts->ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		int n = epoll_wait(ep, e, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = e[i].data.ptr;

			if (c->fd < 0) {
				fprintf(stderr, "server: event %x for a closed file\n", e[i].events);
				counts->errors++;
			} else if (c->listener) {
				take(ep, c);
			} else {
				serve(c);
			}
		}
	}
}

int mass_server_start(pid_t *ret, struct mass_counts **ret_counts)
{
	int64_t until = now_ms() + PATIENCE_MS;
	int r = netns_own();
	pid_t pid;

	if (r < 0)
		return r;
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		server_main();
	if (pid < 0)
		return -errno;
	*ret = pid;
	*ret_counts = counts;
	while (!__atomic_load_n(&counts->ready, __ATOMIC_ACQUIRE))
		if (!tick(until) || waitpid(pid, NULL, WNOHANG) == pid)
			return -ECHILD;
	return 0;
}

int mass_server_stop(pid_t pid, struct mass_counts *c)
{
	int r = c->wrong || c->cut || c->errors ? -EPROTO : 0;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(c, sizeof(*c));
	return r;
}
