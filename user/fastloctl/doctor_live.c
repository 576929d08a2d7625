/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The live part of the doctor: how a spliced socket of this kernel behaves, tried on an eager pair on 127.0.0.1 with
 * plain TCP's documented answer beside it. Each trial leaves the pair drained for the next.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "doctor.h"
#include "fastlo/abi.h"
#include "reason.h"

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

#define TRIAL 1000 /* bytes */

struct trial {
	int fd[2]; /* client, server */
	char buf[TRIAL];
};

static struct fastlo_info info(int fd)
{
	struct fastlo_info i = { 0 };
	socklen_t len = sizeof(i);

	getsockopt(fd, SOL_FASTLO, FASTLO_INFO, &i, &len);
	return i;
}

static int open_pair(struct trial *t)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 2 };
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;
	socklen_t len = sizeof(a);

	t->fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t->fd[1] = -1;
	if (l < 0 || t->fd[0] < 0 || fastlo_enable(l) < 0 || fastlo_enable(t->fd[0]) < 0 ||
	    bind(l, (struct sockaddr *)&a, len) < 0 || listen(l, 1) < 0 ||
	    getsockname(l, (struct sockaddr *)&a, &len) < 0 || connect(t->fd[0], (struct sockaddr *)&a, len) < 0)
		r = -errno;
	else
		t->fd[1] = accept(l, NULL, NULL);
	if (r == 0 && t->fd[1] < 0)
		r = -errno;
	for (int i = 0; r == 0 && i < 2; i++)
		setsockopt(t->fd[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	close(l);
	return r;
}

/* One message each way, read; true if both arrived whole. */
static bool exchange(struct trial *t)
{
	for (int i = 0; i < 2; i++)
		if (send(t->fd[i], t->buf, TRIAL, MSG_NOSIGNAL) != TRIAL ||
		    recv(t->fd[!i], t->buf, TRIAL, MSG_DONTWAIT) != TRIAL)
			return false;
	return true;
}

static void try_splice(struct findings *f, struct trial *t)
{
	struct fastlo_info a, b;

	for (int i = 0; i < 10; i++)
		if (!exchange(t)) {
			doctor_say(f, "splice", DOCTOR_BAD, "a message did not arrive");
			return;
		}
	a = info(t->fd[0]);
	b = info(t->fd[1]);
	if (a.state == FASTLO_STATE_SPLICED && b.state == FASTLO_STATE_SPLICED)
		doctor_say(f, "splice", DOCTOR_GOOD, "%llu of %d messages",
			   (unsigned long long)(a.tx_spliced_msgs + b.tx_spliced_msgs), 20);
	else
		doctor_say(f, "splice", DOCTOR_BAD, "a pair on 127.0.0.1 is not spliced: %s, %s", reason_name(a.reason),
			   reason_name(b.reason));
}

static void try_rmem(struct findings *f, struct trial *t)
{
	__u32 mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(mem);

	if (getsockopt(t->fd[1], SOL_SOCKET, SO_MEMINFO, mem, &len) < 0)
		doctor_say(f, "rmem", DOCTOR_UNTRIED, "SO_MEMINFO: %s", strerror(errno));
	else if (mem[SK_MEMINFO_RMEM_ALLOC] >= TRIAL)
		doctor_say(f, "rmem", DOCTOR_GOOD, "unread spliced bytes count in the receiver's sk_rmem_alloc");
	else
		doctor_say(f, "rmem", DOCTOR_DIFFERS, "unread spliced bytes do not count in sk_rmem_alloc (Linux 6.13)");
}

static void say_fionread(struct findings *f, const char *name, const char *kind, int got)
{
	if (got == TRIAL)
		doctor_say(f, name, DOCTOR_GOOD, "counts unread %s bytes", kind);
	else
		doctor_say(f, name, DOCTOR_DIFFERS, "%d where %d %s bytes are unread", got, TRIAL, kind);
}

/* With spliced bytes unread, then (SO_RCVLOWAT makes it yield) with TCP bytes unread. */
static void try_unread(struct findings *f, struct trial *t)
{
	int got = -1, low = 2, one = 1;

	send(t->fd[0], t->buf, TRIAL, MSG_NOSIGNAL);
	try_rmem(f, t);
	ioctl(t->fd[1], FIONREAD, &got);
	say_fionread(f, "fionread_spliced", "spliced", got);
	recv(t->fd[1], t->buf, TRIAL, MSG_DONTWAIT);
	setsockopt(t->fd[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	send(t->fd[0], t->buf, TRIAL, MSG_NOSIGNAL);
	got = -1;
	ioctl(t->fd[1], FIONREAD, &got);
	say_fionread(f, "fionread_tcp", "TCP", got);
	recv(t->fd[1], t->buf, TRIAL, 0);
	setsockopt(t->fd[1], SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void try_signal(struct findings *f, struct trial *t)
{
	struct sigaction old, act = { .sa_handler = on_alarm };
	struct itimerval in_50ms = { .it_value.tv_usec = 50000 };
	struct timeval none = { 0 };
	int error;

	setsockopt(t->fd[1], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	sigaction(SIGALRM, &act, &old);
	setitimer(ITIMER_REAL, &in_50ms, NULL);
	error = recv(t->fd[1], t->buf, TRIAL, 0) < 0 ? errno : 0;
	sigaction(SIGALRM, &old, NULL);
	if (error == EINTR)
		doctor_say(f, "signal", DOCTOR_GOOD, "a signal interrupts a blocking receive with EINTR");
	else
		doctor_say(f, "signal", DOCTOR_DIFFERS, "a signal ends a blocking receive with %s, not EINTR",
			   strerrorname_np(error));
}

static void try_ktls(struct findings *f, struct trial *t)
{
	if (setsockopt(t->fd[0], IPPROTO_TCP, TCP_ULP, "tls", 3) == 0)
		doctor_say(f, "ktls", DOCTOR_GOOD, "can be switched on; the connection then yields (ulp)");
	else if (errno == ENOENT)
		doctor_say(f, "ktls", DOCTOR_UNTRIED, "this kernel has no tls module");
	else
		doctor_say(f, "ktls", DOCTOR_DIFFERS, "refused on a spliced socket: %s", strerror(errno));
}

static void try_mptcp(struct findings *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (fd < 0)
		doctor_say(f, "mptcp", DOCTOR_UNTRIED, "this kernel has none: %s", strerror(errno));
	else if (fastlo_enable(fd) < 0 && errno == EOPNOTSUPP)
		doctor_say(f, "mptcp", DOCTOR_GOOD, "stays out (EOPNOTSUPP)");
	else
		doctor_say(f, "mptcp", DOCTOR_BAD, "an MPTCP socket could be opted in");
	if (fd >= 0)
		close(fd);
}

/* Withdrawn with a spliced message unread: it is delivered, and both ends become plain TCP. */
static void try_release(struct findings *f, struct trial *t)
{
	struct timespec nap = { .tv_nsec = 5000000 };
	int off = 0, i;

	exchange(t);
	send(t->fd[0], t->buf, TRIAL, MSG_NOSIGNAL);
	setsockopt(t->fd[0], SOL_FASTLO, FASTLO_ENABLE, &off, sizeof(off));
	if (recv(t->fd[1], t->buf, TRIAL, MSG_DONTWAIT) != TRIAL) {
		doctor_say(f, "release", DOCTOR_BAD, "the message that was unread is lost");
		return;
	}
	for (i = 0; i < 400 && info(t->fd[1]).state != FASTLO_STATE_TCP; i++)
		nanosleep(&nap, NULL);
	if (i == 400)
		doctor_say(f, "release", DOCTOR_BAD, "the pair does not leave the sockmap");
	else
		doctor_say(f, "release", DOCTOR_GOOD, "back to plain TCP, nothing lost");
}

void doctor_live(struct findings *f)
{
	struct trial t = { .fd = { -1, -1 } };
	int r = open_pair(&t);

	if (r < 0) {
		doctor_say(f, "splice", r == -ENOPROTOOPT ? DOCTOR_UNTRIED : DOCTOR_BAD, "cannot opt in: %s%s", strerror(-r),
			   r == -ENOPROTOOPT ? " (socket_opt_in is off, or this cgroup is not served)" : "");
	} else {
		try_splice(f, &t);
		try_unread(f, &t);
		exchange(&t);
		try_signal(f, &t);
		try_release(f, &t);
		try_mptcp(f);
		/* last: it can't be undone */
		close(t.fd[0]);
		close(t.fd[1]);
		if (open_pair(&t) == 0) {
			exchange(&t);
			try_ktls(f, &t);
		}
	}
	for (int i = 0; i < 2; i++)
		if (t.fd[i] >= 0)
			close(t.fd[i]);
}
