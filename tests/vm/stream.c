/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See stream.h. One pair at a time: the buffers are per direction.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "stream.h"

const char *const reasons[REASONS] = {
#define FL_REASON(sym, name, text) name,
#include "fastlo/reason.def"
#undef FL_REASON
};
char why[512];
bool blind;

bool complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!why[0])
		vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return false;
}

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* the byte at an offset of direction d: no period divides a message size */
static uint8_t byte_at(int d, uint32_t off)
{
	return (uint8_t)((off * 2654435761U + d * 77) >> 13);
}

/* 1 .. 50000, odd more often than not; the larger ones exceed half a receive buffer, and yield */
static uint32_t odd_size(uint32_t off)
{
	static const uint32_t sizes[] = { 1, 7, 63, 1021, 4099, 333, 16411, 2, 8191, 49999, 129, 65 };

	return sizes[(off * 40503U >> 7) % (sizeof(sizes) / sizeof(sizes[0]))];
}

struct fastlo_info info_of(int fd)
{
	struct fastlo_info i = { .state = ~0U };
	socklen_t len = sizeof(i);

	if (getsockopt(fd, SOL_FASTLO, FASTLO_INFO, &i, &len) < 0)
		complain("FASTLO_INFO: %s", strerror(errno));
	return i;
}

static void show(const char *label, int fd)
{
	struct fastlo_info i = info_of(fd);

	printf("    %s: state %u reason %s, sent %llu spliced in %llu messages and %llu by TCP, returned %llu\n", label,
	       i.state, i.reason < REASONS ? reasons[i.reason] : "?",
	       (unsigned long long)i.tx_spliced_bytes, (unsigned long long)i.tx_spliced_msgs,
	       (unsigned long long)i.tx_tcp_bytes, (unsigned long long)i.rx_returned_bytes);
}

void show_pair(struct pair *p)
{
	show("client", p->fd[CLIENT]);
	show("server", p->fd[SERVER]);
}

/* ---- pairs */

void nonblock(struct pair *p, bool on)
{
	for (int side = 0; side < 2; side++) {
		int flags = fcntl(p->fd[side], F_GETFL);

		fcntl(p->fd[side], F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
	}
}

bool dial(struct pair *p, int family, uint16_t port, bool eager)
{
	int listen_family = family == AF_INET ? AF_INET : AF_INET6, one = 1, l;
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	struct sockaddr *a = listen_family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
	socklen_t len = listen_family == AF_INET ? sizeof(a4) : sizeof(a6);

	memset(p, 0, sizeof(*p));
	a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a4.sin_port = a6.sin6_port = htons(port);
	l = socket(listen_family, SOCK_STREAM, 0);
	p->fd[CLIENT] = socket(family == AF_INET6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (eager && (fastlo_enable(l) < 0 || fastlo_enable(p->fd[CLIENT]) < 0))
		return complain("fastlo_enable: %s", strerror(errno));
	if (bind(l, a, len) < 0 || listen(l, 4) < 0 || getsockname(l, a, &len) < 0)
		return complain("listen: %s", strerror(errno));
	if (listen_family == AF_INET6) {
		a4.sin_port = a6.sin6_port;
		a6.sin6_addr = in6addr_loopback;
	}
	if (family != AF_INET6) {
		a = (struct sockaddr *)&a4;
		len = sizeof(a4);
	}
	if (connect(p->fd[CLIENT], a, len) < 0)
		return complain("connect: %s", strerror(errno));
	p->fd[SERVER] = accept(l, NULL, NULL);
	close(l);
	return p->fd[SERVER] >= 0 || complain("accept: %s", strerror(errno));
}

void hang_up(struct pair *p)
{
	close(p->fd[CLIENT]);
	close(p->fd[SERVER]);
}

bool send_some(struct pair *p, int d, uint32_t end)
{
	static uint8_t mem[2][65536];
	uint32_t size = odd_size(p->sent[d]), i;
	ssize_t n;

	if (size > end - p->sent[d])
		size = end - p->sent[d];
	for (i = 0; i < size; i++)
		mem[d][i] = byte_at(d, p->sent[d] + i);
	n = send(p->fd[d], mem[d], size, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || complain("send: %s", strerror(errno));
	p->sent[d] += n;
	return true;
}

static bool recv_some(struct pair *p, int d, uint32_t end)
{
	static uint8_t mem[2][65536];
	uint32_t size = odd_size(p->got[d] + 1), i;
	ssize_t n;

	if (size > end - p->got[d])
		size = end - p->got[d];
	n = recv(p->fd[!d], mem[d], size, 0);
	if (n < 0)
		return errno == EAGAIN || complain("recv: %s after %u bytes", strerror(errno), p->got[d]);
	if (n == 0)
		return complain("recv: end of file after %u bytes", p->got[d]);
	for (i = 0; i < (uint32_t)n; i++)
		if (mem[d][i] != byte_at(d, p->got[d] + i))
			return complain("direction %d: wrong byte at %u", d, p->got[d] + i);
	p->got[d] += n;
	return true;
}

bool pump(struct pair *p, uint32_t len)
{
	uint32_t end[2] = { p->sent[0] + len, p->sent[1] + len };
	int64_t deadline = now_ms() + 6 * PATIENCE_MS;

	nonblock(p, true);
	while (p->got[0] < end[0] || p->got[1] < end[1]) {
		struct pollfd fds[2];

		for (int d = 0; d < 2; d++) {
			if (p->sent[d] < end[d] && !send_some(p, d, end[d]))
				return false;
			fds[d] = (struct pollfd){ p->fd[!d], p->got[d] < end[d] ? POLLIN : 0, 0 };
		}
		poll(fds, 2, p->sent[0] == end[0] && p->sent[1] == end[1] ? 1000 : 0);
		for (int d = 0; d < 2; d++)
			if ((fds[d].revents & POLLIN) && !recv_some(p, d, end[d]))
				return false;
		if (now_ms() > deadline)
			return complain("stuck: got %u and %u of %u", p->got[0], p->got[1], len);
	}
	return true;
}

struct worker {
	pthread_t thread;
	struct pair *p;
	int d;
	bool sends, ok;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	uint32_t *at = w->sends ? &w->p->sent[w->d] : &w->p->got[w->d], end = *at + TOTAL;

	w->ok = true;
	while (*at < end && w->ok)
		w->ok = w->sends ? send_some(w->p, w->d, end) : recv_some(w->p, w->d, end);
	return NULL;
}

/* an alarm ends a hang */
bool pump_blocking(struct pair *p)
{
	struct worker w[4];
	bool ok = true;

	alarm(6 * PATIENCE_MS / 1000);
	for (int i = 0; i < 4; i++) {
		w[i] = (struct worker){ .p = p, .d = i & 1, .sends = i & 2 };
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		ok &= w[i].ok;
	}
	alarm(0);
	return ok;
}

/*
 * What the server sends waits for the client's first receive to be seen (another thread may be parked in one
 * since before connect() came through), so with no observer only the client's direction is ever spliced.
 */
bool both_spliced(struct pair *p)
{
	for (int side = 0; side < (blind ? 1 : 2); side++)
		if (!info_of(p->fd[side]).tx_spliced_bytes)
			return complain("nothing that side %d sent was spliced", side);
	return true;
}

/*
 * Short messages by turns until both directions are spliced. A direction that is never idle never gets
 * there: TCP bytes are always under way in it.
 */
bool engage(struct pair *p)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (info_of(p->fd[0]).state != FASTLO_STATE_SPLICED ||
	       (!blind && info_of(p->fd[1]).state != FASTLO_STATE_SPLICED)) {
		if (!pump(p, 100))
			return false;
		if (now_ms() > deadline)
			return complain("not spliced after %u bytes", p->got[0]);
		usleep(1000);
	}
	return true;
}
