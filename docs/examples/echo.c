/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TCP echo server and its client, both opted in by fastlo_enable(); each prints FASTLO_INFO of its
 * end when the exchange is over. Without fastlod both say so and use plain TCP.
 *	echo server PORT
 *	echo client PORT TEXT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fastlo/fastlo.h>

static const char *const reason_names[] = {
#define FL_REASON(sym, name, text) name,
#include <fastlo/reason.def>
};
static const char *const state_names[] = { "off", "tcp", "observing", "spliced", "yielding", "draining" };

#define NAME(table, i) ((i) < sizeof(table) / sizeof((table)[0]) ? (table)[i] : "unknown to this program")

static int fail(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	return 1;
}

static int opted_in_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd != -1 && fastlo_enable(fd) == -1)
		fprintf(stderr, "echo: not opted in: %s%s, using plain TCP\n", strerror(errno),
			errno == ENOPROTOOPT ? " (fastlod is not running)" : "");
	return fd;
}

static void print_info(int fd)
{
	struct fastlo_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_FASTLO, FASTLO_INFO, &info, &len) == -1) {
		printf("state: plain TCP\n");
		return;
	}
	printf("state: %s (%s)\n", NAME(state_names, info.state), NAME(reason_names, info.reason));
	printf("sent: %llu bytes spliced, %llu over TCP; spliced to this end: %llu\n",
	       (unsigned long long)info.tx_spliced_bytes, (unsigned long long)info.tx_tcp_bytes,
	       (unsigned long long)info.rx_spliced_bytes);
}

/*
 * A spliced socket's recv() may return EAGAIN although it is blocking (docs/DEVIATIONS.md): whoever
 * opts in takes it as "call again", as a program does with EINTR.
 */
static ssize_t receive(int fd, char *buf, size_t size)
{
	ssize_t n;

	do
		n = recv(fd, buf, size, 0);
	while (n == -1 && (errno == EINTR || errno == EAGAIN));
	return n;
}

static int send_all(int fd, const char *buf, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, buf, size, MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		buf += n;
		size -= n;
	}
	return 0;
}

static int serve(const struct sockaddr_in *addr)
{
	int on = 1, listener = opted_in_socket();

	if (listener == -1)
		return fail("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (const struct sockaddr *)addr, sizeof(*addr)) == -1)
		return fail("bind");
	if (listen(listener, 16) == -1)
		return fail("listen");
	for (;;) {
		char buf[4096];
		ssize_t n;
		int fd = accept(listener, NULL, NULL); /* opted in: inherited from the listener */

		if (fd == -1)
			return fail("accept");
		while ((n = receive(fd, buf, sizeof(buf))) > 0)
			if (send_all(fd, buf, n) == -1)
				break;
		print_info(fd);
		fflush(stdout);
		close(fd);
	}
}

static int talk(const struct sockaddr_in *addr, const char *text)
{
	size_t size = strlen(text), got = 0;
	int fd = opted_in_socket();

	if (fd == -1)
		return fail("socket");
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == -1)
		return fail("connect");
	if (send_all(fd, text, size) == -1)
		return fail("send");
	while (got < size) {
		char buf[4096];
		ssize_t n = receive(fd, buf, sizeof(buf));

		if (n == -1)
			return fail("recv");
		if (n == 0) {
			fprintf(stderr, "echo: the server closed the connection\n");
			return 1;
		}
		fwrite(buf, 1, n, stdout);
		got += n;
	}
	putchar('\n');
	print_info(fd);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int server = argc == 3 && strcmp(argv[1], "server") == 0;
	long port = argc >= 3 ? strtol(argv[2], NULL, 10) : 0;

	if ((!server && (argc != 4 || strcmp(argv[1], "client") != 0)) || port < 1 || port > UINT16_MAX) {
		fprintf(stderr, "usage: echo server PORT | echo client PORT TEXT\n");
		return 1;
	}
	addr.sin_port = htons(port);
	return server ? serve(&addr) : talk(&addr, argv[3]);
}
