/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Verified redis traffic for as long as it is wanted: redis_traffic PORT CONNECTIONS FILE. Each connection sets a key to
 * bytes that only it can know, gets it back and compares, again and again, without blocking. FILE holds one line:
 * "ok OPS BYTES LONGEST_MS", the last one the longest that a connection waited for an answer. The first wrong byte,
 * error or end of a stream is written there instead, and the end of it (exit 1). SIGTERM: exit 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS 64
#define MAX_VALUE 30000
#define STALL_MS 300000

struct conn {
	int fd, get; /* which of the two it waits for */
	uint64_t round;
	size_t value, want, have, out_len, out_done;
	int64_t since;
	char out[MAX_VALUE + 256], in[MAX_VALUE + 256], expected[MAX_VALUE + 256];
};

static struct conn conns[MAX_CONNS];
static uint64_t ops, bytes;
static int64_t longest;
static const char *path;
static volatile sig_atomic_t ended;

static void on_term(int sig)
{
	(void)sig;
	ended = 1;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void report(const char *text)
{
	char next[300];
	FILE *f;

	snprintf(next, sizeof(next), "%s.new", path);
	f = fopen(next, "w");
	if (!f || fprintf(f, "%s\n", text) < 0 || fclose(f) || rename(next, path) < 0)
		exit(2);
}

static void report_progress(void)
{
	char text[128];

	snprintf(text, sizeof(text), "ok %llu %llu %lld", (unsigned long long)ops, (unsigned long long)bytes,
		 (long long)longest);
	report(text);
}

static void fail(int i, const char *what)
{
	char text[256];

	snprintf(text, sizeof(text), "connection %d, round %llu: %s", i, (unsigned long long)conns[i].round, what);
	report(text);
	fprintf(stderr, "%s\n", text);
	exit(1);
}

static char byte_at(int i, uint64_t round, size_t at)
{
	return (char)('!' + (i * 7 + round * 13 + at * 31 + (at >> 7)) % 90);
}

/* SET, then GET of the same. Sizes of every magnitude. */
static void next_call(struct conn *c, int i)
{
	int head;

	if (!c->get) {
		c->round++;
		c->value = 1 + (c->round * 2654435761u >> 7) % (c->round % 4 ? 100 : MAX_VALUE);
		head = sprintf(c->out, "*3\r\n$3\r\nSET\r\n$3\r\nk%02d\r\n$%zu\r\n", i, c->value);
		for (size_t at = 0; at < c->value; at++)
			c->out[head + at] = byte_at(i, c->round, at);
		memcpy(c->out + head + c->value, "\r\n", 2);
		c->out_len = head + c->value + 2;
		c->want = (size_t)sprintf(c->expected, "+OK\r\n");
	} else {
		c->out_len = (size_t)sprintf(c->out, "*2\r\n$3\r\nGET\r\n$3\r\nk%02d\r\n", i);
		head = sprintf(c->expected, "$%zu\r\n", c->value);
		for (size_t at = 0; at < c->value; at++)
			c->expected[head + at] = byte_at(i, c->round, at);
		memcpy(c->expected + head + c->value, "\r\n", 2);
		c->want = head + c->value + 2;
	}
	c->out_done = c->have = 0;
	c->since = now_ms();
}

static void answered(struct conn *c, int i)
{
	int64_t waited = now_ms() - c->since;

	if (memcmp(c->in, c->expected, c->want) != 0)
		fail(i, "wrong bytes");
	if (waited > longest)
		longest = waited;
	ops++;
	bytes += c->out_len + c->want;
	c->get = !c->get;
	next_call(c, i);
}

static void serve(struct conn *c, int i)
{
	ssize_t n;

	while (c->out_done < c->out_len) {
		n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			fail(i, strerror(errno));
		c->out_done += (size_t)n;
	}
	/* all there is room for, so that a byte too many is seen, too */
	n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		fail(i, n < 0 ? strerror(errno) : "the stream has ended");
	c->have += (size_t)n;
	if (c->have > c->want)
		fail(i, "more bytes than expected");
	if (c->have == c->want)
		answered(c, i);
}

static int dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (void *)&a, sizeof(a)) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		perror("redis_traffic: cannot connect");
		exit(2);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_term };
	struct pollfd p[MAX_CONNS];
	int64_t reported = 0;
	int n;

	if (argc != 4 || (n = atoi(argv[2])) < 1 || n > MAX_CONNS) {
		fprintf(stderr, "usage: redis_traffic PORT CONNECTIONS FILE\n");
		return 2;
	}
	path = argv[3];
	sigaction(SIGTERM, &sa, NULL);
	for (int i = 0; i < n; i++) {
		conns[i].fd = p[i].fd = dial(atoi(argv[1]));
		next_call(&conns[i], i);
	}
	while (!ended) {
		for (int i = 0; i < n; i++)
			p[i].events = conns[i].out_done < conns[i].out_len ? POLLOUT : POLLIN;
		if (poll(p, (nfds_t)n, 1000) < 0 && errno != EINTR)
			return 2;
		for (int i = 0; i < n && !ended; i++) {
			if (p[i].revents)
				serve(&conns[i], i);
			else if (now_ms() - conns[i].since > STALL_MS)
				fail(i, "no answer");
		}
		if (now_ms() - reported > 100) {
			report_progress();
			reported = now_ms();
		}
	}
	report_progress();
	return 0;
}
