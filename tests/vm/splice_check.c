/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * splice_check OBSERVER: starts fastlod with that observer, checks that eager and observed pairs are
 * spliced with every byte in its place, that urgent data is still urgent, and that fastlod stops with
 * nothing left behind. For a machine with nothing on it but init: one static program, it needs fastlod and
 * fastloctl beside it, lo up, cgroup2 and bpffs mounted. The last line: `N passed, N failed, N skipped`.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream.h"

#define POLICY_PORT "7101"
#define CONFIG "/tmp/splice_check.conf"
#define LOG "/tmp/splice_check.log"

static int passed, failed, skipped;
static pid_t daemon_pid;

/* ---- the checks: true, or complain()ed */

static bool eager(int family, bool blocking)
{
	struct pair p;
	bool ok = dial(&p, family, 0, true) && engage(&p);

	nonblock(&p, !blocking);
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
	bool ok = dial(&p, AF_INET, atoi(POLICY_PORT), false);

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
	bool ok = dial(&p, AF_INET6, atoi(POLICY_PORT), false) && pump_blocking(&p);
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
			       (char *)POLICY_PORT, NULL };
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
	while (!log_has("draining") && now_ms() < deadline)
		usleep(10000);
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
