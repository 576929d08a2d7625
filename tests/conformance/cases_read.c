/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Group 2: every call that receives, its corners, and group 6's flags of receives. What is read was
 * spliced: must_splice() before each look.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "conform.h"

static void supply(struct conform *c, const char *text)
{
	uint64_t mark = spliced(c->tx);

	if (send(c->tx, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		broken(c, "cannot send");
	must_splice(c, c->from, mark, strlen(text));
	await(c, c->rx, POLLIN);
}

#define READ(c, mem, call) said_bytes(c, #call, mem, (errno = 0, memset(mem, 0, sizeof(mem)), (long)(call)))

static void read_read(struct conform *c)
{
	char mem[64];

	READ(c, mem, read(c->rx, mem, sizeof(mem)));
	supply(c, "0123456789");
	READ(c, mem, read(c->rx, mem, 4));
	READ(c, mem, read(c->rx, mem, sizeof(mem)));
	READ(c, mem, read(c->rx, mem, sizeof(mem)));
	supply(c, "abc");
	supply(c, "def");
	READ(c, mem, read(c->rx, mem, 5));
	supply(c, "ghi");
	READ(c, mem, read(c->rx, mem, sizeof(mem)));
	READ(c, mem, pread(c->rx, mem, 3, 0));
	READ(c, mem, read(c->rx, mem, sizeof(mem)));
}

static void read_readv(struct conform *c)
{
	static struct iovec v[1024];
	static char mem[4096];

	for (int i = 0; i < 1024; i++)
		v[i] = (struct iovec){ mem + 3 * i, i % 5 == 1 ? 0 : 3 };
	READ(c, mem, readv(c->rx, v, 1024));
	for (int i = 0; i < 3; i++)
		supply(c, "the quick brown fox jumps over the lazy dog");
	READ(c, mem, readv(c->rx, v, 3));
	say_hash(c, "mem", mem, sizeof(mem));
	READ(c, mem, readv(c->rx, v, 1024));
	say_hash(c, "mem", mem, sizeof(mem));
	supply(c, "more");
	READ(c, mem, preadv2(c->rx, v, 2, -1, RWF_NOWAIT));
	READ(c, mem, readv(c->rx, v, 0));
}

static void read_recvfrom(struct conform *c)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char mem[64];

	supply(c, "hello");
	memset(&addr, 0x55, sizeof(addr));
	READ(c, mem, recvfrom(c->rx, mem, 2, 0, (void *)&addr, &len));
	say(c, "address length %u", len);
	say_hash(c, "address", &addr, sizeof(addr));
	READ(c, mem, recvfrom(c->rx, mem, sizeof(mem), 0, NULL, NULL));
	READ(c, mem, recvfrom(c->rx, mem, sizeof(mem), 0, NULL, NULL));
}

static void read_recvmsg(struct conform *c)
{
	char mem[64], control[128], name[128];
	struct iovec v[2] = { { mem, 3 }, { mem + 10, 20 } };
	struct msghdr m = { .msg_name = name, .msg_namelen = sizeof(name), .msg_iov = v, .msg_iovlen = 2,
			    .msg_control = control, .msg_controllen = sizeof(control), .msg_flags = -1 };

	supply(c, "hello, world");
	READ(c, mem, recvmsg(c->rx, &m, 0));
	say(c, "name %u control %zu flags 0x%x", m.msg_namelen, m.msg_controllen, m.msg_flags);
	say_hash(c, "mem", mem, sizeof(mem));
	READ(c, mem, recvmsg(c->rx, &m, 0));
	say(c, "name %u control %zu flags 0x%x", m.msg_namelen, m.msg_controllen, m.msg_flags);
	supply(c, "again");
	READ(c, mem, recvmsg(c->rx, &m, MSG_CMSG_CLOEXEC | MSG_NOSIGNAL));
	say(c, "name %u control %zu flags 0x%x", m.msg_namelen, m.msg_controllen, m.msg_flags);
	READ(c, mem, recvmsg(c->rx, &m, MSG_ERRQUEUE));
	say(c, "flags 0x%x", m.msg_flags);
}

static void read_recvmmsg(struct conform *c)
{
	struct timespec none = { 0 };
	struct mmsghdr m[4] = { 0 };
	struct iovec v[4];
	char mem[4][8];

	for (int i = 0; i < 4; i++) {
		v[i] = (struct iovec){ mem[i], 4 };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	DO(c, recvmmsg(c->rx, m, 4, 0, NULL));
	supply(c, "abcdefgh");
	supply(c, "ij");
	DO(c, recvmmsg(c->rx, m, 4, MSG_WAITFORONE, NULL));
	for (int i = 0; i < 4; i++)
		say(c, "%d: %u", i, m[i].msg_len);
	say_hash(c, "mem", mem[0], 4);
	say_hash(c, "mem", mem[2], 2);
	supply(c, "klm");
	DO(c, recvmmsg(c->rx, m, 4, 0, &none));
	get(c, c->rx, 10, 0);
}

static void read_splice_out(struct conform *c)
{
	char mem[64];
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		broken(c, "no pipe");
	supply(c, "through a pipe");
	DO(c, splice(c->rx, NULL, fd[1], NULL, 100, SPLICE_F_NONBLOCK));
	READ(c, mem, read(fd[0], mem, sizeof(mem)));
	get(c, c->rx, 100, 0);
}

/* After it, everything goes on. */
static void read_splice_then_more(struct conform *c)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		broken(c, "no pipe");
	DO(c, splice(c->rx, NULL, fd[1], NULL, 100, SPLICE_F_NONBLOCK));
	for (int i = 0; i < 5; i++) {
		stream(c, c->from, 10000, 1000);
		stream(c, !c->from, 10000, 1000);
	}
	put(c, c->tx, "last");
	await(c, c->rx, POLLIN);
	get(c, c->rx, 10, 0);
}

static void read_zero_length(struct conform *c)
{
	char mem[8];

	READ(c, mem, recv(c->rx, mem, 0, MSG_DONTWAIT));
}

static void read_zero_length_with_data(struct conform *c)
{
	char mem[8];

	supply(c, "data");
	READ(c, mem, recv(c->rx, mem, 0, MSG_DONTWAIT));
	READ(c, mem, read(c->rx, mem, 0));
	READ(c, mem, recv(c->rx, mem, 0, MSG_PEEK));
	look(c, c->rx);
	READ(c, mem, read(c->rx, mem, sizeof(mem)));
}

static void read_bad_buffer(struct conform *c)
{
	supply(c, "data");
	DO(c, recv(c->rx, (void *)8, 4, 0));
	get(c, c->rx, 10, 0);
	DO(c, recv(c->rx, (void *)8, 4, 0));
}

static void read_half_bad_buffer(struct conform *c)
{
	char mem[8];
	struct iovec v[2] = { { mem, 2 }, { (void *)8, 4 } };

	supply(c, "data");
	READ(c, mem, readv(c->rx, v, 2));
	get(c, c->rx, 10, 0);
}

static void read_peek(struct conform *c)
{
	supply(c, "first");
	get(c, c->rx, 3, MSG_PEEK);
	get(c, c->rx, 100, MSG_PEEK);
	supply(c, "second");
	supply(c, "third");
	get(c, c->rx, 7, MSG_PEEK);
	get(c, c->rx, 13, MSG_PEEK);
	get(c, c->rx, 100, MSG_PEEK);
	look(c, c->rx);
	get(c, c->rx, 8, 0);
	get(c, c->rx, 100, MSG_PEEK);
	get(c, c->rx, 100, 0);
	get(c, c->rx, 100, MSG_PEEK);
}

static void read_peek_off(struct conform *c)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (setsockopt(c->rx, SOL_SOCKET, SO_PEEK_OFF, &(int){ 2 }, sizeof(int)) < 0)
		skip_case(c, "no SO_PEEK_OFF for TCP (Linux 6.9)");
	DO(c, send(c->tx, "abcdefgh", 8, 0));
	DO(c, send(c->tx, "ijk", 3, 0));
	arrived(c, c->tx);
	get(c, c->rx, 3, MSG_PEEK);
	get(c, c->rx, 3, MSG_PEEK);
	get(c, c->rx, 100, MSG_PEEK);
	get(c, c->rx, 4, 0);
	getsockopt(c->rx, SOL_SOCKET, SO_PEEK_OFF, &value, &len);
	say(c, "SO_PEEK_OFF %d", value);
	get(c, c->rx, 100, MSG_PEEK);
	get(c, c->rx, 100, 0);
}

/* Set while spliced bytes wait. */
static void read_peek_off_late(struct conform *c)
{
	supply(c, "abcdefgh");
	supply(c, "ijk");
	opt(c->rx, SOL_SOCKET, SO_PEEK_OFF, 2);
	get(c, c->rx, 3, MSG_PEEK);
	get(c, c->rx, 3, MSG_PEEK);
	get(c, c->rx, 100, MSG_PEEK);
	get(c, c->rx, 4, 0);
	get(c, c->rx, 100, MSG_PEEK);
	get(c, c->rx, 100, 0);
}

static void read_trunc(struct conform *c)
{
	char mem[8];

	supply(c, "0123456789");
	DO(c, recv(c->rx, NULL, 4, MSG_TRUNC));
	READ(c, mem, recv(c->rx, mem, sizeof(mem), 0));
	DO(c, recv(c->rx, NULL, 4, MSG_TRUNC));
}

/* With a buffer: the bytes are dropped all the same. */
static void read_trunc_buffer(struct conform *c)
{
	char mem[8];

	supply(c, "0123456789");
	memset(mem, '-', sizeof(mem));
	DO(c, recv(c->rx, mem, 4, MSG_TRUNC));
	say_hash(c, "mem", mem, sizeof(mem));
	READ(c, mem, recv(c->rx, mem, sizeof(mem), 0));
	stream(c, c->from, 100000, 1000);
	memset(mem, '-', sizeof(mem));
	put(c, c->tx, "tail");
	arrived(c, c->tx);
	DO(c, recv(c->rx, mem, 3, MSG_TRUNC));
	say_hash(c, "mem", mem, sizeof(mem));
	get(c, c->rx, 10, 0);
}

static void read_dontwait(struct conform *c)
{
	blocking(c->rx, true);
	get(c, c->rx, 10, 0);
	supply(c, "x");
	get(c, c->rx, 10, 0);
	get(c, c->rx, 10, MSG_WAITALL);
	get(c, c->rx, 10, MSG_PEEK);
}

/* One SQE, one CQE, no library. */
static int ring_do(struct conform *c, struct io_uring_sqe *one)
{
	struct io_uring_params params = { 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params), result = -ETIME;
	char *rings, *sqes;

	if (ring < 0)
		skip_case(c, "io_uring: %s", strerror(errno));
	rings = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, params.sq_entries * sizeof(*one), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
		    IORING_OFF_SQES);
	if (rings == MAP_FAILED || sqes == MAP_FAILED || !(params.features & IORING_FEAT_SINGLE_MMAP))
		skip_case(c, "io_uring without a single mmap");
	memcpy(sqes, one, sizeof(*one));
	((unsigned int *)(rings + params.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned int *)(rings + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1)
		result = ((struct io_uring_cqe *)(rings + params.cq_off.cqes))->res;
	close(ring);
	return result;
}

static void ring_calls(struct conform *c)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_SEND, .fd = c->tx, .addr = (uintptr_t)"by a ring", .len = 9 };
	uint64_t mark = spliced(c->tx);
	char mem[32] = "";

	say(c, "send %d", ring_do(c, &sqe));
	must_splice(c, c->from, mark, 9);
	await(c, c->rx, POLLIN);
	sqe = (struct io_uring_sqe){ .opcode = IORING_OP_RECV, .fd = c->rx, .addr = (uintptr_t)mem, .len = 5 };
	say(c, "recv %d '%s'", ring_do(c, &sqe), mem);
	sqe = (struct io_uring_sqe){ .opcode = IORING_OP_READ, .fd = c->rx, .addr = (uintptr_t)mem, .len = 30 };
	memset(mem, 0, sizeof(mem));
	say(c, "read %d '%s'", ring_do(c, &sqe), mem);
	sqe = (struct io_uring_sqe){ .opcode = IORING_OP_RECV, .fd = c->rx, .addr = (uintptr_t)mem, .len = 5,
				     .msg_flags = MSG_DONTWAIT };
	say(c, "recv %d", ring_do(c, &sqe));
	put(c, c->tx, "after");
	await(c, c->rx, POLLIN);
	get(c, c->rx, 10, 0);
}

#define BEFORE .expects = SPLICED_BEFORE
#define LATE .expects = SPLICED_BEFORE | OBSERVED_TOO
#define CORNERS LATE, "Corners of the receive calls"
CONFORM_CASES(read,
	{ 2, "read_read", read_read, BEFORE },
	{ 2, "read_readv", read_readv, BEFORE },
	{ 2, "read_recvfrom", read_recvfrom, BEFORE },
	{ 2, "read_recvmsg", read_recvmsg, BEFORE },
	{ 2, "read_recvmmsg", read_recvmmsg, BEFORE },
	{ 2, "read_splice_out", read_splice_out, LATE, "splice(2), and other readers that bypass recvmsg" },
	{ 2, "read_splice_then_more", read_splice_then_more, BEFORE },
	{ 2, "read_zero_length", read_zero_length, CORNERS },
	{ 2, "read_zero_length_with_data", read_zero_length_with_data, BEFORE },
	{ 2, "read_bad_buffer", read_bad_buffer, BEFORE },
	{ 2, "read_half_bad_buffer", read_half_bad_buffer, CORNERS },
	{ 2, "ring_calls", ring_calls, BEFORE },
	{ 6, "read_peek", read_peek, BEFORE },
	{ 6, "read_peek_off", read_peek_off, .expects = YIELDS },
	{ 6, "read_peek_off_late", read_peek_off_late, LATE, "SO_PEEK_OFF set while spliced bytes are unread" },
	{ 6, "read_trunc", read_trunc, CORNERS },
	{ 6, "read_trunc_buffer", read_trunc_buffer, CORNERS },
	{ 6, "read_dontwait", read_dontwait, BEFORE },
)
