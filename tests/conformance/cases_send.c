/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Group 1: every call that sends. Each one's bytes are read by plain receives at the other end, and must
 * have been spliced where fastlo says so.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "conform.h"

#define MSG_PROBE_ 0x10 /* MSG_PROBE, which glibc leaves out */

/* Until `len` bytes have come, or nothing more does: length and hash of them. */
static void read_all(struct conform *c, size_t len)
{
	static char mem[1 << 20];
	size_t have = 0;

	while (have < len && await(c, c->rx, POLLIN)) {
		ssize_t n = read(c->rx, mem + have, sizeof(mem) - have);

		if (n <= 0 && errno != EAGAIN)
			break;
		have += n > 0 ? n : 0;
	}
	say_hash(c, "read", mem, have);
	get(c, c->rx, 10, 0);
}

static void fill(char *mem, size_t len, uint64_t seed)
{
	pattern_fill(mem, len, seed, 0);
}

static void send_write(struct conform *c)
{
	uint64_t mark = spliced(c->tx);
	char mem[5000];

	fill(mem, sizeof(mem), 1);
	DO(c, write(c->tx, mem, sizeof(mem)));
	must_splice(c, c->from, mark, sizeof(mem));
	read_all(c, sizeof(mem));
	DO(c, write(c->tx, mem, 0));
	DO(c, write(c->tx, mem, 1));
	read_all(c, 1);
	DO(c, pwrite(c->tx, mem, 1, 0));
}

static void send_writev(struct conform *c)
{
	static char mem[1 << 18];
	struct iovec v[1025] = { 0 };
	uint64_t mark = spliced(c->tx);
	size_t at = 0, total = 0;

	fill(mem, sizeof(mem), 2);
	for (int i = 0; i < 1024; i++) {
		v[i].iov_base = mem + at;
		v[i].iov_len = i % 7 == 3 ? 0 : i % 61;
		at += v[i].iov_len;
	}
	for (int n = 1; n <= 1024; n = n == 1 ? 3 : n == 3 ? 64 : n == 64 ? 1024 : 2000) {
		for (total = 0, at = 0; (int)at < n; at++)
			total += v[at].iov_len;
		DO(c, writev(c->tx, v, n));
		read_all(c, total);
	}
	must_splice(c, c->from, mark, 20000);
	DO(c, writev(c->tx, v, 0));
	DO(c, writev(c->tx, v, 1025));
	DO(c, pwritev2(c->tx, v, 3, -1, 0));
	read_all(c, v[0].iov_len + v[1].iov_len + v[2].iov_len);
	DO(c, pwritev2(c->tx, v + 1, 2, -1, RWF_NOWAIT));
	get(c, c->rx, 10, 0);
}

static void send_send(struct conform *c)
{
	static const int flags[] = { 0, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_EOR, MSG_DONTROUTE, MSG_CONFIRM, MSG_PROBE_ };
	uint64_t mark = spliced(c->tx);
	char mem[3000];

	fill(mem, sizeof(mem), 3);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		say(c, "flags 0x%x", flags[i]);
		if (DO(c, send(c->tx, mem, sizeof(mem), flags[i])) > 0 && flags[i] != MSG_PROBE_)
			read_all(c, sizeof(mem));
	}
	must_splice(c, c->from, mark, 3 * sizeof(mem));
	DO(c, send(c->tx, mem, 0, 0));
	DO(c, send(c->tx, NULL, 0, 0));
}

static void send_sendto(struct conform *c)
{
	struct sockaddr_storage addr = { 0 };
	uint64_t mark = spliced(c->tx);
	socklen_t len = sizeof(addr);
	char mem[2000];

	fill(mem, sizeof(mem), 4);
	DO(c, sendto(c->tx, mem, sizeof(mem), 0, NULL, 0));
	read_all(c, sizeof(mem));
	getpeername(c->tx, (void *)&addr, &len);
	DO(c, sendto(c->tx, mem, 100, 0, (void *)&addr, len));
	read_all(c, 100);
	must_splice(c, c->from, mark, sizeof(mem) + 100);
	/* another address, and a family that there is not: TCP does not look */
	((struct sockaddr_in *)&addr)->sin_port ^= 1;
	DO(c, sendto(c->tx, mem, 100, 0, (void *)&addr, len));
	read_all(c, 100);
	addr.ss_family = AF_UNIX;
	DO(c, sendto(c->tx, mem, 100, 0, (void *)&addr, len));
	read_all(c, 100);
	DO(c, sendto(c->tx, mem, 100, 0, (void *)&addr, 1000));
}

static void send_sendmsg(struct conform *c)
{
	struct iovec v[3];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 3, .msg_flags = -1 };
	uint64_t mark = spliced(c->tx);
	char mem[6000];

	fill(mem, sizeof(mem), 5);
	for (int i = 0; i < 3; i++)
		v[i] = (struct iovec){ mem + 2000 * i, 2000 };
	DO(c, sendmsg(c->tx, &m, 0));
	read_all(c, sizeof(mem));
	m.msg_iovlen = 1;
	DO(c, sendmsg(c->tx, &m, MSG_NOSIGNAL));
	read_all(c, 2000);
	must_splice(c, c->from, mark, sizeof(mem) + 2000);
	m.msg_iovlen = 0;
	DO(c, sendmsg(c->tx, &m, 0));
	m.msg_iovlen = 1025;
	DO(c, sendmsg(c->tx, &m, 0));
	get(c, c->rx, 10, 0);
}

static void send_sendmmsg(struct conform *c)
{
	struct mmsghdr m[20] = { 0 };
	uint64_t mark = spliced(c->tx);
	struct iovec v[20];
	char mem[4000];

	fill(mem, sizeof(mem), 6);
	for (int i = 0; i < 20; i++) {
		v[i] = (struct iovec){ mem + 200 * i, i == 5 ? 0 : 200 };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	DO(c, sendmmsg(c->tx, m, 20, 0));
	for (int i = 0; i < 20; i++)
		say(c, "%d: %u", i, m[i].msg_len);
	read_all(c, 3800);
	must_splice(c, c->from, mark, 3800);
	DO(c, sendmmsg(c->tx, m, 0, 0));
	m[3].msg_hdr.msg_iovlen = 5000;
	DO(c, sendmmsg(c->tx, m, 20, 0));
	read_all(c, 600);
}

static void send_sendfile(struct conform *c)
{
	int file = memfd_create("conformance", MFD_CLOEXEC);
	uint64_t mark = spliced(c->tx);
	off_t at = 1000;
	char mem[20000];

	fill(mem, sizeof(mem), 7);
	if (write(file, mem, sizeof(mem)) != sizeof(mem))
		broken(c, "no file");
	DO(c, sendfile(c->tx, file, &at, 15000));
	say(c, "offset %lld", (long long)at);
	read_all(c, 15000);
	must_splice(c, c->from, mark, 15000);
	DO(c, sendfile(c->tx, file, &at, 15000));
	say(c, "offset %lld", (long long)at);
	read_all(c, 4000);
	DO(c, sendfile(c->tx, file, &at, 15000));
	DO(c, lseek(file, 0, SEEK_SET));
	DO(c, sendfile(c->tx, file, NULL, 1));
	DO(c, lseek(file, 0, SEEK_CUR));
	read_all(c, 1);
}

static void send_splice_in(struct conform *c)
{
	uint64_t mark = spliced(c->tx);
	char mem[9000];
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		broken(c, "no pipe");
	fill(mem, sizeof(mem), 8);
	DO(c, write(fd[1], mem, sizeof(mem)));
	DO(c, splice(fd[0], NULL, c->tx, NULL, 100, SPLICE_F_MORE));
	DO(c, splice(fd[0], NULL, c->tx, NULL, sizeof(mem), SPLICE_F_MOVE));
	read_all(c, sizeof(mem));
	must_splice(c, c->from, mark, 1);
	DO(c, splice(fd[0], NULL, c->tx, NULL, 10, SPLICE_F_NONBLOCK));
	/* vmsplice, tee, then in: pages that the application still owns */
	DO(c, vmsplice(fd[1], &(struct iovec){ mem, 5000 }, 1, 0));
	DO(c, splice(fd[0], NULL, c->tx, NULL, sizeof(mem), SPLICE_F_NONBLOCK));
	read_all(c, 5000);
}

static void send_bad_buffer(struct conform *c)
{
	char *hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	fill(hole, 4096, 9);
	munmap(hole + 4096, 4096);
	DO(c, send(c->tx, hole + 4096, 10, 0));
	get(c, c->rx, 10, 0);
}

static void send_half_bad_buffer(struct conform *c)
{
	char *hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec v[2] = { { hole, 100 }, { hole + 4096, 100 } };

	fill(hole, 4096, 9);
	munmap(hole + 4096, 4096);
	DO(c, writev(c->tx, v, 2));
	get(c, c->rx, 200, 0);
	DO(c, send(c->tx, hole + 4000, 200, 0));
	get(c, c->rx, 256, 0);
	put(c, c->tx, "after");
	get(c, c->rx, 10, 0);
}

static void send_bad_control(struct conform *c)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { (char *)"control", 7 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_len = 3;
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = 4711;
	DO(c, sendmsg(c->tx, &m, 0));
	h->cmsg_len = CMSG_LEN(sizeof(int));
	DO(c, sendmsg(c->tx, &m, 0));
	get(c, c->rx, 100, 0);
}

/* Control messages that other families have, or that ask for nothing here. */
static void send_foreign_control(struct conform *c)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { (char *)"control", 7 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_len = CMSG_LEN(sizeof(int));
	h->cmsg_level = IPPROTO_IP;
	h->cmsg_type = IP_TTL;
	DO(c, sendmsg(c->tx, &m, 0));
	get(c, c->rx, 100, 0);
}

static void send_fastopen_flag(struct conform *c)
{
	DO(c, send(c->tx, "x", 1, MSG_FASTOPEN));
	get(c, c->rx, 10, 0);
}

static void send_not_for_writing(struct conform *c)
{
	DO(c, send(c->tx, "x", 1, MSG_ERRQUEUE));
	get(c, c->rx, 10, 0);
	DO(c, send(c->tx, "y", 1, MSG_TRUNC | MSG_PEEK | MSG_WAITALL | MSG_CTRUNC));
	get(c, c->rx, 10, 0);
	DO(c, write(c->tx, (void *)-4096L, 10));
	get(c, c->rx, 10, 0);
}

#define BEFORE .expects = SPLICED_BEFORE
#define CONTROL "Control messages of a send"
#define CORNERS .expects = SPLICED_BEFORE | OBSERVED_TOO, "Corners of the send calls"
CONFORM_CASES(send,
	{ 1, "send_write", send_write, BEFORE },
	{ 1, "send_writev", send_writev, BEFORE },
	{ 1, "send_send", send_send, BEFORE },
	{ 1, "send_sendto", send_sendto, BEFORE },
	{ 1, "send_sendmsg", send_sendmsg, BEFORE },
	{ 1, "send_sendmmsg", send_sendmmsg, BEFORE },
	{ 1, "send_sendfile", send_sendfile, BEFORE },
	{ 1, "send_splice_in", send_splice_in, BEFORE },
	{ 1, "send_bad_buffer", send_bad_buffer, CORNERS },
	{ 1, "send_half_bad_buffer", send_half_bad_buffer, CORNERS },
	{ 1, "send_bad_control", send_bad_control, .expects = SPLICED_BEFORE | OBSERVED_TOO, CONTROL },
	{ 1, "send_foreign_control", send_foreign_control, .expects = YIELDS },
	{ 1, "send_fastopen_flag", send_fastopen_flag, CORNERS },
	{ 1, "send_not_for_writing", send_not_for_writing, BEFORE },
)
