/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a spliced socket of this kernel behaves, tried on an eager pair on 127.0.0.1 with plain TCP's documented answer
 * beside it. Each trial leaves the pair drained for the next. Every message has its own bytes.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "fastlo/abi.h"
#include "reason.h"
#include "selftest.h"

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define TRIAL 1000 /* bytes */
#define PATIENCE_MS 500

struct trial {
	int fd[2];	     /* client, server */
	unsigned char sent[2]; /* messages of each end: the byte that fills the next one */
	unsigned char got[2];
	char buf[2 * TRIAL];
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

static bool put(struct trial *t, int from)
{
	memset(t->buf, ++t->sent[from], TRIAL);
	return send(t->fd[from], t->buf, TRIAL, MSG_NOSIGNAL) == TRIAL;
}

/* The next message of that end, whole and with the right bytes. Waits for it, as plain TCP would. */
static bool take(struct trial *t, int from)
{
	struct pollfd p = { .fd = t->fd[!from], .events = POLLIN };
	size_t n = 0;
	ssize_t r;

	while (n < TRIAL && poll(&p, 1, PATIENCE_MS) == 1) {
		r = recv(t->fd[!from], t->buf + n, TRIAL - n, MSG_DONTWAIT);
		if (r <= 0)
			break;
		n += r;
	}
	t->got[from]++;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)t->buf[i] != t->got[from])
			return false;
	return n == TRIAL;
}

/* One message each way. */
static bool exchange(struct trial *t)
{
	for (int i = 0; i < 2; i++)
		if (!put(t, i) || !take(t, i))
			return false;
	return true;
}

/* False: there is nothing to try. */
static bool try_splice(struct findings *f, struct trial *t)
{
	struct fastlo_info a, b;

	for (int i = 0; i < 10; i++)
		if (!exchange(t)) {
			findings_say(f, "splice", FINDING_BAD, "a message did not arrive as it was sent");
			return false;
		}
	a = info(t->fd[0]);
	b = info(t->fd[1]);
	/* without an observer nothing is known of the client's reads, and its direction stays on TCP */
	if (a.state != FASTLO_STATE_SPLICED) {
		findings_say(f, "splice", FINDING_UNTRIED, "a pair on 127.0.0.1 is not spliced: %s, %s",
			     reason_name(a.reason), reason_name(b.reason));
		return false;
	}
	findings_say(f, "splice", FINDING_GOOD, "%llu of %d messages",
		     (unsigned long long)(a.tx_spliced_msgs + b.tx_spliced_msgs), 20);
	return true;
}

static void lowat(int fd, int bytes)
{
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

/* Spliced, then (SO_RCVLOWAT makes it yield) TCP, then again, half of it read in between. */
static void try_order(struct findings *f, struct trial *t)
{
	bool good = true;

	for (int round = 0; round < 4 && good; round++) {
		good = put(t, 0);
		lowat(t->fd[1], 2);
		good = good && put(t, 0);
		lowat(t->fd[1], 1);
		good = good && put(t, 0) && take(t, 0) && put(t, 0);
		for (int i = 0; i < 3 && good; i++)
			good = take(t, 0);
		good = good && exchange(t);
	}
	if (good)
		findings_say(f, "order", FINDING_GOOD, "spliced and TCP bytes stay in order");
	else
		findings_say(f, "order", FINDING_BAD, "bytes are out of order where splice and TCP meet");
}

static void try_rmem(struct findings *f, struct trial *t)
{
	__u32 mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(mem);

	if (getsockopt(t->fd[1], SOL_SOCKET, SO_MEMINFO, mem, &len) < 0)
		findings_say(f, "rmem", FINDING_UNTRIED, "SO_MEMINFO: %s", strerror(errno));
	else if (mem[SK_MEMINFO_RMEM_ALLOC] >= TRIAL)
		findings_say(f, "rmem", FINDING_GOOD, "unread spliced bytes count in the receiver's sk_rmem_alloc");
	else
		findings_say(f, "rmem", FINDING_DIFFERS, "unread spliced bytes do not count in sk_rmem_alloc (Linux 6.13)");
}

static void say_fionread(struct findings *f, const char *name, const char *kind, int got)
{
	if (got == TRIAL)
		findings_say(f, name, FINDING_GOOD, "counts unread %s bytes", kind);
	else
		findings_say(f, name, FINDING_DIFFERS, "%d where %d %s bytes are unread", got, TRIAL, kind);
}

static void try_spliced_unread(struct findings *f, struct trial *t)
{
	__u64 before = info(t->fd[0]).tx_spliced_bytes;
	int got = -1;

	put(t, 0);
	if (info(t->fd[0]).tx_spliced_bytes == before + TRIAL) {
		try_rmem(f, t);
		ioctl(t->fd[1], FIONREAD, &got);
		say_fionread(f, "fionread_spliced", "spliced", got);
	} else {
		findings_say(f, "rmem", FINDING_UNTRIED, "the message was not spliced");
	}
	take(t, 0);
}

static void try_tcp_unread(struct findings *f, struct trial *t)
{
	int got = -1;

	lowat(t->fd[1], 2);
	put(t, 0);
	ioctl(t->fd[1], FIONREAD, &got);
	say_fionread(f, "fionread_tcp", "TCP", got);
	take(t, 0);
	lowat(t->fd[1], 1);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void try_signal(struct findings *f, struct trial *t)
{
	struct sigaction old, act = { .sa_handler = on_alarm };
	struct itimerval tick = { { .tv_usec = 50000 }, { .tv_usec = 50000 } }, never = { { 0 } };
	struct timeval none = { 0 };
	int error;

	setsockopt(t->fd[1], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	sigaction(SIGALRM, &act, &old);
	setitimer(ITIMER_REAL, &tick, NULL);
	error = recv(t->fd[1], t->buf, TRIAL, 0) < 0 ? errno : 0;
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	if (error == EINTR)
		findings_say(f, "signal", FINDING_GOOD, "a signal interrupts a blocking receive with EINTR");
	else
		findings_say(f, "signal", FINDING_DIFFERS, "a signal ends a blocking receive with %s, not EINTR",
			   strerrorname_np(error));
}

/* Asking for it by TCP_ULP would load the module. */
static bool has_tls(void)
{
	char text[256] = "";
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_available_ulp", "re");
	bool has = f && fgets(text, sizeof(text), f) && strstr(text, "tls");

	if (f)
		fclose(f);
	return has;
}

static void try_ktls(struct findings *f, struct trial *t)
{
	struct tls12_crypto_info_aes_gcm_128 key = { .info = { TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128 } };

	if (!has_tls())
		findings_say(f, "ktls", FINDING_UNTRIED, "the tls module is not loaded");
	else if (setsockopt(t->fd[0], IPPROTO_TCP, TCP_ULP, "tls", 3) == 0 &&
		 setsockopt(t->fd[0], SOL_TLS, TLS_TX, &key, sizeof(key)) == 0)
		findings_say(f, "ktls", FINDING_GOOD, "can be switched on; the connection then leaves the sockmap (ulp)");
	else
		findings_say(f, "ktls", FINDING_DIFFERS, "refused on a spliced socket: %s", strerror(errno));
}

static void try_mptcp(struct findings *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (fd < 0)
		findings_say(f, "mptcp", FINDING_UNTRIED, "this kernel has none: %s", strerror(errno));
	else if (fastlo_enable(fd) < 0 && errno == EOPNOTSUPP)
		findings_say(f, "mptcp", FINDING_GOOD, "stays out (EOPNOTSUPP)");
	else
		findings_say(f, "mptcp", FINDING_BAD, "an MPTCP socket could be opted in");
	if (fd >= 0)
		close(fd);
}

/* Withdrawn with a spliced message unread: it is delivered, and both ends become plain TCP. */
static void try_release(struct findings *f, struct trial *t)
{
	struct timespec nap = { .tv_nsec = 5000000 };
	int off = 0, i;

	exchange(t);
	put(t, 0);
	setsockopt(t->fd[0], SOL_FASTLO, FASTLO_ENABLE, &off, sizeof(off));
	if (!take(t, 0)) {
		findings_say(f, "release", FINDING_BAD, "the message that was unread is lost");
		return;
	}
	for (i = 0; i < 400 && info(t->fd[1]).state != FASTLO_STATE_TCP; i++)
		nanosleep(&nap, NULL);
	if (i == 400)
		findings_say(f, "release", FINDING_UNTRIED, "the pair did not leave the sockmap within 2 s");
	else
		findings_say(f, "release", FINDING_GOOD, "back to plain TCP, nothing lost");
}

void trials_run(struct findings *f)
{
	struct trial t = { .fd = { -1, -1 } };
	int r = open_pair(&t);

	if (r < 0) {
		findings_say(f, "splice", FINDING_UNTRIED, "cannot open an opted-in pair on 127.0.0.1: %s%s", strerror(-r),
			     r == -ENOPROTOOPT ? " (socket_opt_in is off, or this cgroup is not served)" : "");
	} else if (try_splice(f, &t)) {
		try_spliced_unread(f, &t);
		try_order(f, &t);
		try_tcp_unread(f, &t);
		exchange(&t);
		try_signal(f, &t);
		try_release(f, &t);
		try_mptcp(f);
		/* last: it can't be undone */
		close(t.fd[0]);
		close(t.fd[1]);
		t = (struct trial){ .fd = { -1, -1 } };
		if (open_pair(&t) == 0) {
			exchange(&t);
			try_ktls(f, &t);
		}
	}
	for (int i = 0; i < 2; i++)
		if (t.fd[i] >= 0)
			close(t.fd[i]);
}
