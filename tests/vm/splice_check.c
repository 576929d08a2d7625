/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * splice_check OBSERVER: starts fastlod with that observer, checks that eager and observed pairs are
 * spliced with every byte in its place, that urgent data is still urgent, and that fastlod stops with
 * nothing left behind. For a machine with nothing on it but init: one static program, it needs fastlod and
 * fastloctl beside it, lo up, cgroup2 and bpffs mounted. The last line: `N passed, N failed, N skipped`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fastlo/fastlo.h"

enum {
#define FL_REASON(sym, name, text) R_##sym,
#include "fastlo/reason.def"
#undef FL_REASON
};
static const char *const reasons[] = {
#define FL_REASON(sym, name, text) name,
#include "fastlo/reason.def"
#undef FL_REASON
};

#define TOTAL (1U << 20)
#define POLICY_PORT 7101
#define PATIENCE_MS 10000
#define CONFIG "/tmp/splice_check.conf"
#define LOG "/tmp/splice_check.log"

enum { CLIENT, SERVER };
struct pair {
	int fd[2];
	uint32_t sent[2], got[2]; /* per direction: [d] from fd[d] to fd[!d] */
};

static int passed, failed, skipped;
static bool blind; /* observer = none */
static char why[512]; /* of the check under way; empty: all is well */
static pid_t daemon_pid;

static bool complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!why[0])
		vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return false;
}

static int64_t now_ms(void)
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

static struct fastlo_info info_of(int fd)
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
	       i.state, i.reason < sizeof(reasons) / sizeof(reasons[0]) ? reasons[i.reason] : "?",
	       (unsigned long long)i.tx_spliced_bytes, (unsigned long long)i.tx_spliced_msgs,
	       (unsigned long long)i.tx_tcp_bytes, (unsigned long long)i.rx_returned_bytes);
}

static void show_pair(struct pair *p)
{
	show("client", p->fd[CLIENT]);
	show("server", p->fd[SERVER]);
}

/* ---- pairs */

static void nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

/* family 0: a v4 client of a [::] listener. port 0: any */
static bool dial(struct pair *p, int family, uint16_t port, bool eager)
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

static void hang_up(struct pair *p)
{
	close(p->fd[CLIENT]);
	close(p->fd[SERVER]);
}

static bool send_some(struct pair *p, int d, uint32_t end)
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

/* len further bytes both ways, one thread, non-blocking */
static bool pump(struct pair *p, uint32_t len)
{
	uint32_t end[2] = { p->sent[0] + len, p->sent[1] + len };
	int64_t deadline = now_ms() + 6 * PATIENCE_MS;

	nonblock(p->fd[0], true);
	nonblock(p->fd[1], true);
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

/* TOTAL bytes both ways, four threads in blocking calls; an alarm ends a hang */
static bool pump_blocking(struct pair *p)
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
static bool both_spliced(struct pair *p)
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
static bool engage(struct pair *p)
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

/* ---- the checks: true, or complain()ed */

static bool eager(int family, bool blocking)
{
	struct pair p;
	bool ok = dial(&p, family, 0, true) && engage(&p);

	nonblock(p.fd[0], !blocking);
	nonblock(p.fd[1], !blocking);
	ok = ok && (blocking ? pump_blocking(&p) : pump(&p, TOTAL)) && both_spliced(&p);
	show_pair(&p);
	hang_up(&p);
	return ok;
}
static bool eager_v4(void) { return eager(AF_INET, false); }
static bool eager_v6(void) { return eager(AF_INET6, false); }
static bool eager_mapped(void) { return eager(0, false); }
static bool eager_v4_blocking(void) { return eager(AF_INET, true); }
static bool eager_v6_blocking(void) { return eager(AF_INET6, true); }

static bool observed(void)
{
	struct pair p;
	bool ok = dial(&p, AF_INET, POLICY_PORT, false);

	if (ok && info_of(p.fd[SERVER]).state != FASTLO_STATE_OBSERVING)
		ok = complain("state %u before the first read", info_of(p.fd[SERVER]).state);
	ok = ok && engage(&p);
	if (ok)
		printf("    engaged after %u bytes\n", p.got[0]);
	ok = ok && pump(&p, TOTAL) && both_spliced(&p);
	show_pair(&p);
	hang_up(&p);
	return ok;
}

static bool observed_blocking(void)
{
	struct pair p;
	bool ok = dial(&p, AF_INET6, POLICY_PORT, false) && pump_blocking(&p);
	struct fastlo_info i = ok ? info_of(p.fd[CLIENT]) : (struct fastlo_info){ 0 };

	if (ok && (i.tx_spliced_bytes || i.reason != R_BLOCKING_READ))
		ok = complain("%llu bytes spliced, reason %u", (unsigned long long)i.tx_spliced_bytes, i.reason);
	show_pair(&p);
	hang_up(&p);
	return ok;
}

static bool urgent(void)
{
	struct pollfd fd;
	char c = 0;
	struct pair p;
	bool ok = dial(&p, AF_INET, 0, true) && engage(&p);

	fd = (struct pollfd){ p.fd[SERVER], POLLPRI, 0 };
	if (ok && send(p.fd[CLIENT], "!", 1, MSG_OOB) != 1)
		ok = complain("send MSG_OOB: %s", strerror(errno));
	if (ok && poll(&fd, 1, PATIENCE_MS) != 1)
		ok = complain("no POLLPRI");
	if (ok && (recv(p.fd[SERVER], &c, 1, MSG_OOB) != 1 || c != '!'))
		ok = complain("recv MSG_OOB: '%c', %s", c, strerror(errno));
	/* the mark takes a place in the stream, and a receive of its own does not count as one */
	ok = ok && pump(&p, 10000);
	if (ok && info_of(p.fd[CLIENT]).reason != R_MSG_OOB)
		ok = complain("reason is not msg_oob");
	show_pair(&p);
	hang_up(&p);
	return ok;
}

static bool enabled_too_late(void)
{
	struct pair p;
	bool ok = dial(&p, AF_INET, 0, false);

	if (ok && (fastlo_enable(p.fd[CLIENT]) == 0 || errno != EISCONN))
		ok = complain("enable on a connected socket: %s", strerror(errno));
	hang_up(&p);
	return ok;
}

/* ---- fastlod */

static bool log_has(const char *text)
{
	static char mem[65536];
	int fd = open(LOG, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, mem, sizeof(mem) - 1);

	close(fd);
	mem[n > 0 ? n : 0] = '\0';
	return strstr(mem, text);
}

static void show_log(void)
{
	char line[512];
	FILE *f = fopen(LOG, "r");

	while (f && fgets(line, sizeof(line), f))
		printf("    | %s", line);
	if (f)
		fclose(f);
}

static pid_t spawn(const char *log, char *const argv[])
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (log) {
		int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(fd, 2);
	}
	execv(argv[0], argv);
	_exit(127);
}

static bool start_daemon(const char *observer)
{
	char *const argv[] = { (char *)"./fastlod", (char *)"-c", (char *)CONFIG, NULL };
	int64_t deadline = now_ms() + 6 * PATIENCE_MS;
	FILE *f = fopen(CONFIG, "w");

	if (!f)
		return complain(CONFIG ": %s", strerror(errno));
	fprintf(f, "[fastlo]\nobserver = %s\n", observer);
	fclose(f);
	unlink(LOG);
	daemon_pid = spawn(LOG, argv);
	while (!log_has("ready: ")) {
		if (waitpid(daemon_pid, NULL, WNOHANG) || now_ms() > deadline)
			return complain("fastlod did not get ready");
		usleep(10000);
	}
	return true;
}

static bool add_policy(void)
{
	char *const argv[] = { (char *)"./fastloctl", (char *)"policy", (char *)"add", (char *)"vm", (char *)"--port",
			       (char *)"7101", NULL };
	int status = -1;

	waitpid(spawn(NULL, argv), &status, 0);
	return status == 0 || complain("fastloctl policy add: status %d", status);
}

/*
 * Stops with a pair open, spliced, and unread bytes in one direction: all must arrive. With no observer nobody
 * knows that they did, an open pair is left in the sockmap, and so are the pins: then there is none here.
 */
static bool stop_daemon(void)
{
	int64_t deadline = now_ms() + 3 * PATIENCE_MS;
	struct pair p;
	int status = -1;
	bool ok = dial(&p, AF_INET, 0, !blind) && (blind || engage(&p)) && send_some(&p, CLIENT, p.sent[CLIENT] + 777);

	kill(daemon_pid, SIGTERM);
	usleep(300000);
	ok = ok && pump(&p, 50000);
	while (waitpid(daemon_pid, &status, WNOHANG) == 0) {
		if (now_ms() > deadline)
			return complain("still running");
		usleep(10000);
	}
	if (ok && (status != 0 || !log_has("nothing left behind") || access("/sys/fs/bpf/fastlo", F_OK) == 0))
		ok = complain("status %d, or something is left behind", status);
	ok = ok && pump(&p, 50000);
	if (ok && (fastlo_enable(p.fd[CLIENT]) == 0 || errno != ENOPROTOOPT))
		ok = complain("SOL_FASTLO is still there: %s", strerror(errno));
	hang_up(&p);
	return ok;
}

static void check(const char *name, bool (*fn)(void))
{
	why[0] = '\0';
	printf("  %s\n", name);
	if (fn()) {
		passed++;
		printf("ok - %s\n", name);
	} else {
		failed++;
		printf("not ok - %s: %s\n", name, why);
	}
	fflush(stdout);
}

static void skip(const char *name, const char *reason)
{
	skipped++;
	printf("skipped - %s: %s\n", name, reason);
}

static int summary(void)
{
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *observer = argc > 1 ? argv[1] : "auto";

	blind = strcmp(observer, "none") == 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!start_daemon(observer)) {
		show_log();
		if (log_has("observer = "))
			skip(observer, "this kernel does not offer that observer");
		else {
			failed++;
			printf("not ok - fastlod starts: %s\n", why);
		}
		return summary();
	}
	show_log();
	check("an eager IPv4 pair is spliced", eager_v4);
	check("an eager IPv6 pair is spliced", eager_v6);
	check("an eager IPv4 client of a [::] listener is spliced", eager_mapped);
	check("an eager IPv4 pair with blocking calls is spliced", eager_v4_blocking);
	check("an eager IPv6 pair with blocking calls is spliced", eager_v6_blocking);
	check("opting in a connected socket is refused", enabled_too_late);
	check("MSG_OOB on a spliced pair arrives as urgent data", urgent);
	if (blind) {
		skip("an observed pair engages", "observer = none");
		skip("an observed pair with blocking reads stays TCP", "observer = none");
	} else {
		check("fastloctl adds a policy", add_policy);
		check("an observed pair engages", observed);
		check("an observed pair with blocking reads stays TCP", observed_blocking);
	}
	check("SIGTERM ends with nothing left behind, and loses nothing", stop_daemon);
	show_log();
	return summary();
}
