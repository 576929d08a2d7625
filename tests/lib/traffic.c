/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See traffic.h: starts the workers, watches them, ends them. The first error stops them all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "traffic_private.h"

#define HANG_MS 30000
#define NAP_MS 100

static int traffic_new(struct traffic **ret, struct pair *p, const struct traffic_opts *o)
{
	struct traffic *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (t == MAP_FAILED)
		return -errno;
	/* a MSG_WAITALL reader waits for more than the sender that waits for it has sent */
	if (o->flags & TRAFFIC_WAITALL && (!o->bytes || o->flags & TRAFFIC_CATCHUP))
		return -EINVAL;
	t->o = *o;
	t->o.max_send = o->max_send ? o->max_send : 65536;
	t->o.max_recv = o->max_recv ? o->max_recv : 65536;
	t->owner = p;
	t->p = *p;
	for (int d = 0; d < 2; d++) {
		int flags = fcntl(p->fd[d], F_GETFL) & ~O_NONBLOCK;

		t->sent[d] = p->sent[d];
		t->got[d] = p->got[d];
		t->end[d] = o->bytes ? p->sent[d] + o->bytes : UINT64_MAX;
		fcntl(p->fd[d], F_SETFL, flags | (o->flags & TRAFFIC_BLOCKING ? 0 : O_NONBLOCK));
	}
	*ret = t;
	return 0;
}

int traffic_start(struct traffic **ret, struct pair *p, const struct traffic_opts *o)
{
	int r = traffic_new(ret, p, o);

	for (int i = 0; i < TRAFFIC_WORKERS && r == 0; i++)
		r = traffic_worker(*ret, i);
	return r;
}

/* End e: it sends direction e and receives the other. */
static void child_main(struct traffic *t, int e)
{
	int mine[2] = { 2 * e, 2 * !e + 1 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(t->p.fd[!e]);
	for (int i = 0; i < 2; i++)
		traffic_worker(t, mine[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(t->thread[mine[i]], NULL);
	_exit(0);
}

int traffic_fork(struct traffic **ret, struct pair *p, const struct traffic_opts *o)
{
	int r = traffic_new(ret, p, o);

	fflush(NULL);
	for (int e = 0; e < 2 && r == 0; e++) {
		pid_t pid = fork();

		if (pid == 0)
			child_main(*ret, e);
		(*ret)->child[e] = pid;
		if (pid < 0)
			r = -errno;
	}
	return r;
}

uint64_t traffic_bytes(const struct traffic *t)
{
	return load(t->got[0]) + load(t->got[1]);
}

static bool finished(struct traffic *t, int d)
{
	return load(t->got[d]) == load(t->end[d]);
}

/* Who waits where. R: it would run if it were let. */
static void threads_dump(FILE *to)
{
	char path[300], state[512], call[128];
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL) {
		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", e->d_name);
		if (file_read(path, state, sizeof(state)) <= 0 || !strrchr(state, ')'))
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", e->d_name);
		if (file_read(path, call, sizeof(call)) <= 0)
			*call = '\0';
		fprintf(to, "  thread %s: %.1s, system call %.*s\n", e->d_name, strrchr(state, ')') + 2,
			(int)strcspn(call, "\n"), call);
	}
	if (dir)
		closedir(dir);
}

static void report_hang(struct traffic *t, int d)
{
	fprintf(stderr, "hang: no progress from the %s for %d s\n", d == CLIENT ? "client" : "server", HANG_MS / 1000);
	memcpy(t->p.sent, t->sent, sizeof(t->sent));
	memcpy(t->p.got, t->got, sizeof(t->got));
	pair_dump(stderr, &t->p);
	threads_dump(stderr);
	traffic_set_error(t, -ETIMEDOUT);
}

/* On a starved machine the watchdog sleeps as long as the rest: of one nap, only so much counts. */
int traffic_check(struct traffic *t)
{
	int64_t now = now_ms(), nap = now - t->checked < NAP_MS ? now - t->checked : NAP_MS;

	t->checked = now;
	for (int d = 0; d < 2 && !load(t->error); d++) {
		uint64_t got = load(t->got[d]);

		t->idle_ms[d] = got != t->seen[d] || finished(t, d) ? 0 : t->idle_ms[d] + nap;
		t->seen[d] = got;
		if (t->idle_ms[d] > HANG_MS)
			report_hang(t, d);
	}
	return load(t->error);
}

/* Until *each* direction's count reaches want, or everything is over; a hang is an error. */
static int watch(struct traffic *t, const uint64_t *want)
{
	int r;

	while ((r = traffic_check(t)) == 0) {
		if (want ? load(t->got[0]) >= want[0] && load(t->got[1]) >= want[1] : finished(t, 0) && finished(t, 1))
			return 0;
		tick(INT64_MAX);
	}
	return r;
}

int traffic_more(struct traffic *t, uint64_t more)
{
	uint64_t want[2] = { load(t->got[0]) + more, load(t->got[1]) + more };

	return watch(t, want);
}

static void tally_up(const struct traffic *t, int error, struct traffic_tally *to)
{
	for (int d = 0; d < 2; d++) {
		to->pause_ns = t->pause_ns[d] > to->pause_ns ? t->pause_ns[d] : to->pause_ns;
		to->errors += t->errors[d];
		to->lost += t->sent[d] - t->got[d];
	}
	if (error == -ECONNRESET || error == -EPIPE)
		to->resets++;
	else if (error < 0 && error != -EBADMSG && error != -ETIMEDOUT)
		to->errors++;
}

int traffic_stop(struct traffic *t)
{
	struct pair *p = t->owner;
	int r;

	if (!t->o.bytes)
		store(t->stop, 1);
	r = watch(t, NULL);
	if (r < 0 && t->o.flags & TRAFFIC_BLOCKING)
		for (int e = 0; e < 2; e++)
			shutdown(p->fd[e], SHUT_RDWR); /* wakes whoever is parked */
	for (int e = 0; e < 2; e++)
		if (t->child[e] > 0)
			waitpid(t->child[e], NULL, 0);
	for (int i = 0; i < TRAFFIC_WORKERS; i++)
		if (t->child[0] <= 0 && t->thread[i])
			pthread_join(t->thread[i], NULL);
	memcpy(p->sent, t->sent, sizeof(t->sent));
	memcpy(p->got, t->got, sizeof(t->got));
	for (int e = 0; e < 2; e++)
		fcntl(p->fd[e], F_SETFL, fcntl(p->fd[e], F_GETFL) | O_NONBLOCK);
	if (t->o.tally)
		tally_up(t, r, t->o.tally);
	munmap(t, sizeof(*t));
	return r;
}
