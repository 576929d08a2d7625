/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "selftest.h"

#define LIMIT_US 3000000ULL

/* Its own, so that no filter and no policy of a service meets it. */
static void make_cgroup(const char *parent, char *ret, size_t size)
{
	snprintf(ret, size, "%s/fastlo-selftest-%d", parent, (int)getpid());
	if (mkdir(ret, 0755) == 0)
		return;
	log_debug("self-test: cannot make '%s': %s, staying where fastlod is", ret, strerror(errno));
	*ret = '\0';
}

static void join_cgroup(const char *cgroup)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		log_debug("self-test: cannot join '%s': %s", cgroup, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void child_main(const char *cgroup, struct findings *f)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (*cgroup)
		join_cgroup(cgroup);
	trials_run(f);
	_exit(0);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	*(bool *)arg = true;
	return 0;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	*(bool *)arg = true;
	return 0;
}

/* Until the child has closed its end of the pipe, or the time is over, or a signal ended the loop. */
static bool wait_for(sd_event *event, int fd)
{
	sd_event_source *io = NULL, *timer = NULL;
	bool ended = false, late = false;
	int r = sd_event_add_io(event, &io, fd, 0, on_end, &ended);

	if (r >= 0)
		r = sd_event_add_time_relative(event, &timer, CLOCK_MONOTONIC, LIMIT_US, 1000, on_limit, &late);
	while (r >= 0 && !ended && !late && sd_event_get_state(event) != SD_EVENT_FINISHED)
		r = sd_event_run(event, UINT64_MAX);
	sd_event_source_disable_unref(io);
	sd_event_source_disable_unref(timer);
	return ended;
}

static void in_child(sd_event *event, const char *cgroup, struct findings *f)
{
	int alive[2];
	pid_t pid;

	if (pipe2(alive, O_CLOEXEC) < 0) {
		findings_say(f, "splice", FINDING_UNTRIED, "no pipe for the self-test: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (pid == 0)
		child_main(cgroup, f);
	close(alive[1]);
	if (pid < 0)
		findings_say(f, "splice", FINDING_UNTRIED, "no process for the self-test: %s", strerror(errno));
	else if (!wait_for(event, alive[0]))
		kill(pid, SIGKILL);
	close(alive[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void selftest_run(sd_event *event, const char *cgroup, struct findings *ret)
{
	struct findings *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char own[512];

	*ret = (struct findings){ .n = 0 };
	if (shared == MAP_FAILED) {
		findings_say(ret, "splice", FINDING_UNTRIED, "no memory for the self-test");
		return;
	}
	make_cgroup(cgroup, own, sizeof(own));
	in_child(event, own, shared);
	if (*own && rmdir(own) < 0)
		log_warn("cannot remove '%s': %s", own, strerror(errno));
	*ret = *shared;
	munmap(shared, sizeof(*shared));
	for (size_t i = 0; i < ret->n; i++)
		if (ret->list[i].verdict == FINDING_BAD)
			log_err("self-test: %s: %s", ret->list[i].name, ret->list[i].text);
}

struct selftest_result selftest_judge(const struct findings *f)
{
	static const char *const vital[] = { "splice", "order", "release" };
	const struct finding *rmem = findings_get(f, "rmem");
	struct selftest_result result = { .rmem_blind = !rmem || rmem->verdict != FINDING_GOOD };

	for (size_t i = 0; i < sizeof(vital) / sizeof(vital[0]); i++) {
		const struct finding *x = findings_get(f, vital[i]);

		if (x && x->verdict == FINDING_BAD)
			result.unfit = true;
	}
	return result;
}
