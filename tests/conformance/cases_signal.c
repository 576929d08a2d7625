/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Groups 20 and 21: blocking calls that are interrupted, and several threads on one socket. The thread is
 * asleep in its call, by /proc, before anything happens to it.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "traffic.h"

#include "conform.h"

static atomic_int handled;

static void on_signal(int number)
{
	(void)number;
	handled++;
}

static void handle(int number, int flags)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(number, &a, NULL);
}

/* Sends it to that thread, and waits until it has been handled. */
static void hit(struct conform *c, const struct job *j, int number)
{
	int before = handled;
	int64_t until = now_ms() + PATIENCE_MS;

	pthread_kill(j->thread, number);
	while (handled == before && tick(until))
		;
	if (handled == before)
		say(c, "(the signal was not handled)");
}

static void recv_interrupted(struct conform *c)
{
	char mem[64];
	struct job j = { .fd = c->rx, .mem = mem, .len = sizeof(mem) };

	handle(SIGUSR1, 0);
	blocking(c->rx, true);
	for (int i = 0; i < 2; i++) {
		job_start(c, &j);
		job_asleep(c, &j);
		hit(c, &j, SIGUSR1);
		job_end(c, "recv", &j);
		put(c, c->tx, "data");
		await(c, c->rx, POLLIN);
		get(c, c->rx, 10, 0);
	}
}

static void recv_restarted(struct conform *c)
{
	char mem[64];
	struct job j = { .fd = c->rx, .mem = mem, .len = sizeof(mem) };

	handle(SIGUSR1, SA_RESTART);
	blocking(c->rx, true);
	job_start(c, &j);
	job_asleep(c, &j);
	for (int i = 0; i < 1; i++)
		hit(c, &j, SIGUSR1);
	tick(now_ms() + 10);
	put(c, c->tx, "data");
	job_end(c, "recv", &j);
	get(c, c->rx, 10, 0);
}

/* The thread may have ended early: it is left alone then. */
/* Who blocks from the first receive on is never in the sockmap by a policy that observes. */
static void recv_blocks_from_first(struct conform *c)
{
	char mem[8];

	if (dial(c, &c->p, (struct dial){ 0 }) < 0)
		return;
	blocking(c->rx, true);
	for (int i = 0; i < 40; i++) {
		put(c, c->tx, "data");
		DO(c, recv(c->rx, mem, sizeof(mem), 0));
		put(c, c->rx, "back");
		await(c, c->tx, POLLIN);
		get(c, c->tx, sizeof(mem), 0);
	}
	moment(c);
	recv_interrupted(c);
	recv_restarted(c);
}

static void recv_storm(struct conform *c)
{
	char mem[64];
	struct job j = { .fd = c->rx, .mem = mem, .len = sizeof(mem) };
	sigset_t set;

	handle(SIGCHLD, SA_RESTART);
	blocking(c->rx, true);
	job_start(c, &j);
	job_asleep(c, &j);
	/* children's ends are told to the process: only the receiver takes them */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 30; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	put(c, c->tx, "data");
	job_end(c, "recv", &j);
	get(c, c->rx, 10, 0);
}

/*
 * A send that blocks: quiet, and again if it did not, since acknowledgements under way and probes of the window make room for a
 * few bytes more.
 */
static void block_in_send(struct conform *c, struct job *j)
{
	int64_t until = now_ms() + PATIENCE_MS;

	do {
		blocking(c->tx, false);
		pair_fill(&c->p, c->from, 10000);
		blocking(c->tx, true);
		pattern_fill(j->mem, j->len, c->p.seed + c->from, c->p.sent[c->from]);
		job_start(c, j);
		if (sleeps(j->tid, SYS_sendto) == 1)
			return;
		pthread_join(j->thread, NULL);
		c->p.sent[c->from] += j->r > 0 ? j->r : 0;
	} while (tick(until));
	broken(c, "no send ever blocks");
}

static void send_interrupted(struct conform *c)
{
	char mem[7];
	struct job j = { .fd = c->tx, .send = true, .mem = mem, .len = sizeof(mem) };

	handle(SIGUSR1, 0);
	block_in_send(c, &j);
	hit(c, &j, SIGUSR1);
	job_end(c, "send", &j);
	say(c, "drained %d", pair_drain(&c->p, c->from));
	get(c, c->rx, 10, 0);
}

static void send_interrupted_restart(struct conform *c)
{
	char mem[7];
	struct job j = { .fd = c->tx, .send = true, .mem = mem, .len = sizeof(mem) };

	handle(SIGUSR1, SA_RESTART);
	block_in_send(c, &j);
	hit(c, &j, SIGUSR1);
	hit(c, &j, SIGUSR1);
	say(c, "drained %d", pair_drain(&c->p, c->from));
	job_end(c, "send", &j);
	c->p.sent[c->from] += sizeof(mem);
	say(c, "drained %d", pair_drain(&c->p, c->from));
	get(c, c->rx, 10, 0);
}

static void send_interrupted_in_part(struct conform *c)
{
	size_t size = 32 << 20;
	struct job j = { .fd = c->tx, .send = true, .mem = calloc(1, size), .len = size };

	handle(SIGUSR1, 0);
	blocking(c->tx, true);
	job_start(c, &j);
	job_asleep(c, &j);
	hit(c, &j, SIGUSR1);
	pthread_join(j.thread, NULL);
	say(c, "in part %d", j.r > 0 && j.r < (long)size);
	say_about(c, "sent", j.r);
}

/* A child that blocks in one receive, and tells the result through a pipe. */
static pid_t child_recv(struct conform *c, int *ret_pipe)
{
	struct { long r; int error; char mem[32]; } told = { 0 };
	int fd[2];
	pid_t pid;

	if (pipe(fd) < 0)
		broken(c, "no pipe");
	blocking(c->rx, true);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		told.r = recv(c->rx, told.mem, sizeof(told.mem), 0);
		told.error = errno;
		_exit(write(fd[1], &told, sizeof(told)) != sizeof(told));
	}
	close(fd[1]);
	*ret_pipe = fd[0];
	asleep(c, pid, SYS_recvfrom);
	return pid;
}

static void child_told(struct conform *c, int fd, pid_t pid)
{
	struct { long r; int error; char mem[32]; } told = { 0 };

	if (read(fd, &told, sizeof(told)) != sizeof(told))
		say(c, "(the child said nothing)");
	errno = told.error;
	said_bytes(c, "child's recv", told.mem, told.r);
	waitpid(pid, NULL, 0);
}

static void stop_and_continue(struct conform *c)
{
	int fd, status;
	pid_t pid = child_recv(c, &fd);

	for (int i = 0; i < 3; i++) {
		kill(pid, SIGSTOP);
		if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status)) {
			say(c, "(ended instead of stopping)");
			break;
		}
		if (i == 2)
			put(c, c->tx, "while stopped");
		kill(pid, SIGCONT);
		waitpid(pid, &status, WCONTINUED);
		if (i < 2)
			asleep(c, pid, SYS_recvfrom);
	}
	child_told(c, fd, pid);
	get(c, c->rx, 10, 0);
}

static void trace_stop(struct conform *c)
{
	int fd, status = 0;
	pid_t pid = child_recv(c, &fd);

	DO(c, ptrace(PTRACE_SEIZE, pid, 0, 0));
	DO(c, ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	waitpid(pid, &status, __WALL);
	say(c, "stopped %d", WIFSTOPPED(status));
	DO(c, ptrace(PTRACE_DETACH, pid, 0, 0));
	asleep(c, pid, SYS_recvfrom);
	put(c, c->tx, "data");
	child_told(c, fd, pid);
	get(c, c->rx, 10, 0);
}

static void recv_ignored_signal(struct conform *c)
{
	char mem[64];
	struct job j = { .fd = c->rx, .mem = mem, .len = sizeof(mem) };

	/* a signal that nobody handles wakes nobody */
	signal(SIGUSR2, SIG_IGN);
	blocking(c->rx, true);
	job_start(c, &j);
	job_asleep(c, &j);
	for (int i = 0; i < 10; i++)
		pthread_kill(j.thread, SIGUSR2);
	put(c, c->tx, "data");
	job_end(c, "recv", &j);
}

#define RUNNING -2 /* no result yet */

static void two_readers(struct conform *c)
{
	char mem[2][64];
	struct timeval limit = { .tv_sec = 3 }; /* only so that a reader whose message another one took ends */
	struct job j[2] = { { .r = 0 } };

	setsockopt(c->rx, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	blocking(c->rx, true);
	for (int round = 0; round < 5 && (!round || j[0].r + j[1].r == 11); round++) {
		int64_t until = now_ms() + PATIENCE_MS;
		int first;

		for (int i = 0; i < 2; i++) {
			j[i] = (struct job){ .fd = c->rx, .mem = mem[i], .len = 64, .r = RUNNING };
			job_start(c, &j[i]);
			job_asleep(c, &j[i]);
		}
		put(c, c->tx, "first");
		while (*(volatile long *)&j[0].r == RUNNING && *(volatile long *)&j[1].r == RUNNING && tick(until))
			;
		first = *(volatile long *)&j[0].r == RUNNING;
		job_end(c, "one", &j[first]);
		put(c, c->tx, "second");
		job_end(c, "the other", &j[!first]);
	}
}

#define WRITER_BYTES 100000

/* The bytes of a call stay together: at most two runs of letters each round. */
static void two_writers(struct conform *c)
{
	static char mem[2][WRITER_BYTES], all[2 * WRITER_BYTES];
	uint64_t mark = spliced(c->tx);
	int most = 0;

	blocking(c->tx, true);
	for (int round = 0; round < 30; round++) {
		struct job j[2];
		size_t have = 0;
		int runs = 1;

		for (int i = 0; i < 2; i++) {
			memset(mem[i], 'a' + i, WRITER_BYTES);
			j[i] = (struct job){ .fd = c->tx, .send = true, .mem = mem[i], .len = round & 1 ? 500 : WRITER_BYTES };
			job_start(c, &j[i]);
		}
		while (have < 2 * j[0].len && await(c, c->rx, POLLIN)) {
			ssize_t n = recv(c->rx, all + have, sizeof(all) - have, MSG_DONTWAIT);

			have += n > 0 ? n : 0;
		}
		job_end(c, "one", &j[0]);
		job_end(c, "the other", &j[1]);
		for (size_t i = 1; i < have; i++)
			runs += all[i] != all[i - 1];
		most = runs > most ? runs : most;
	}
	say(c, "runs %d", most);
	must_splice(c, c->from, mark, 500);
}

static void both_ways_blocking(struct conform *c)
{
	struct traffic *t;
	int r = traffic_start(&t, &c->p, &(struct traffic_opts){ .bytes = 4 << 20, .flags = TRAFFIC_BLOCKING });

	say(c, "started %d", r);
	if (r == 0)
		say(c, "ended %d", traffic_stop(t));
	get(c, c->rx, 10, 0);
	get(c, c->tx, 10, 0);
}

#define BEFORE .expects = SPLICED_BEFORE
#define EARLY .expects = SPLICED_BEFORE | OBSERVED_TOO, "A blocking receive may return EAGAIN"
CONFORM_CASES(signal,
	{ 20, "recv_interrupted", recv_interrupted, EARLY },
	{ 20, "recv_restarted", recv_restarted, EARLY },
	{ 20, "recv_blocks_from_first", recv_blocks_from_first, .expects = OWN_PAIR, "A blocking receive may return EAGAIN" },
	{ 20, "recv_storm", recv_storm, EARLY },
	{ 20, "recv_ignored_signal", recv_ignored_signal, BEFORE },
	{ 20, "send_interrupted", send_interrupted, BEFORE },
	{ 20, "send_interrupted_restart", send_interrupted_restart, BEFORE },
	{ 20, "send_interrupted_in_part", send_interrupted_in_part, BEFORE },
	{ 20, "stop_and_continue", stop_and_continue, EARLY },
	{ 20, "trace_stop", trace_stop, EARLY },
	{ 21, "two_readers", two_readers, .expects = SPLICED_BEFORE | OBSERVED_TOO,
	  "Several threads that block in receives on one socket" },
	{ 21, "two_writers", two_writers, BEFORE },
	{ 21, "both_ways_blocking", both_ways_blocking, BEFORE },
)
