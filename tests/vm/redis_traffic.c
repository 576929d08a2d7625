/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Verified redis traffic for as long as it is wanted: redis_traffic PORT CONNECTIONS FILE. Each connection sets a key to
 * bytes that only it can know, gets it back and compares, again and again, without blocking. FILE has a line per phase,
 * the last one of the phase under way:
 *   CALLS LEAST BYTES WRONG BROKEN LONGEST_MS
 * LEAST: of any one connection. WRONG: answers with other bytes, too many or none. BROKEN: connections reset, ended or
 * refused a call. After either, a new connection goes on. LONGEST: that a connection waited for an answer, also one
 * that it is waiting for. SIGUSR1 begins another phase; SIGTERM ends it.
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
#define MAX_PHASES 64
#define STALL_MS 300000
#define REST_US 10000 /* between two rounds of the connections: an emulated machine has more to do than this */

struct conn {
	int fd, get; /* which of the two it waits for */
	uint64_t round, calls; /* calls: in this phase */
	size_t value, want, have, out_len, out_done;
	int64_t since;
	char out[MAX_VALUE + 256], in[MAX_VALUE + 256], expected[MAX_VALUE + 256];
};

struct phase {
	uint64_t calls, bytes, wrong, broken;
	int64_t longest;
};

static struct conn conns[MAX_CONNS];
static struct phase phases[MAX_PHASES], *phase = phases;
static int n_conns, port;
static const char *path;
static volatile sig_atomic_t ended, next_wanted;

static void on_signal(int sig)
{
	if (sig == SIGTERM)
		ended = 1;
	else
		next_wanted = 1;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void waited_for(const struct conn *c)
{
	int64_t waited = now_ms() - c->since;

	if (waited > phase->longest)
		phase->longest = waited;
}

static uint64_t least(void)
{
	uint64_t calls = conns[0].calls;

	for (int i = 1; i < n_conns; i++)
		if (conns[i].calls < calls)
			calls = conns[i].calls;
	return calls;
}

/* LEAST of a phase that is over is what it was then. */
static void report(void)
{
	static uint64_t leasts[MAX_PHASES];
	char next[300];
	FILE *f;

	for (int i = 0; i < n_conns; i++)
		waited_for(&conns[i]);
	leasts[phase - phases] = least();
	snprintf(next, sizeof(next), "%s.new", path);
	f = fopen(next, "w");
	for (const struct phase *p = phases; f && p <= phase; p++)
		fprintf(f, "%llu %llu %llu %llu %llu %lld\n", (unsigned long long)p->calls,
			(unsigned long long)leasts[p - phases], (unsigned long long)p->bytes,
			(unsigned long long)p->wrong, (unsigned long long)p->broken, (long long)p->longest);
	if (!f || ferror(f) || fclose(f) || rename(next, path) < 0)
		exit(2);
}

static void next_phase(void)
{
	if (phase == phases + MAX_PHASES - 1)
		exit(2);
	phase++;
	for (int i = 0; i < n_conns; i++)
		conns[i].calls = 0;
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

static void dial(struct conn *c, int i)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (void *)&a, sizeof(a)) < 0 || fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) {
		perror("redis_traffic: cannot connect");
		exit(2);
	}
	c->get = 0;
	next_call(c, i);
}

/* Counted, told, and another connection in its place. */
static void failed(struct conn *c, int i, uint64_t *count, const char *what)
{
	fprintf(stderr, "connection %d, round %llu, phase %d: %s\n", i, (unsigned long long)c->round,
		(int)(phase - phases), what);
	++*count;
	close(c->fd);
	dial(c, i);
}

static void answered(struct conn *c, int i)
{
	if (memcmp(c->in, c->expected, c->want) != 0) {
		failed(c, i, &phase->wrong, "wrong bytes");
		return;
	}
	waited_for(c);
	phase->calls++;
	c->calls++;
	phase->bytes += c->out_len + c->want;
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
		if (n < 0) {
			failed(c, i, &phase->broken, strerror(errno));
			return;
		}
		c->out_done += (size_t)n;
	}
	/* all there is room for, so that a byte too many is seen, too */
	n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		failed(c, i, &phase->broken, n < 0 ? strerror(errno) : "the stream has ended");
		return;
	}
	c->have += (size_t)n;
	if (c->have > c->want)
		failed(c, i, &phase->wrong, "more bytes than expected");
	else if (c->have == c->want)
		answered(c, i);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct pollfd p[MAX_CONNS];
	int64_t reported = 0;

	if (argc != 4 || (n_conns = atoi(argv[2])) < 1 || n_conns > MAX_CONNS) {
		fprintf(stderr, "usage: redis_traffic PORT CONNECTIONS FILE\n");
		return 2;
	}
	port = atoi(argv[1]);
	path = argv[3];
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < n_conns; i++)
		dial(&conns[i], i);
	while (!ended) {
		for (int i = 0; i < n_conns; i++) {
			p[i].fd = conns[i].fd;
			p[i].events = conns[i].out_done < conns[i].out_len ? POLLOUT : POLLIN;
		}
		if (poll(p, (nfds_t)n_conns, 100) < 0) {
			if (errno != EINTR)
				return 2;
			continue; /* says nothing of p */
		}
		for (int i = 0; i < n_conns; i++) {
			if (p[i].revents)
				serve(&conns[i], i);
			else if (now_ms() - conns[i].since > STALL_MS)
				failed(&conns[i], i, &phase->wrong, "no answer");
		}
		usleep(REST_US);
		if (now_ms() - reported > 100 || next_wanted) {
			report();
			reported = now_ms();
		}
		if (next_wanted) {
			next_wanted = 0;
			next_phase();
		}
	}
	report();
	return 0;
}
