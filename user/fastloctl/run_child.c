/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fork, join, exec, wait. Signals stay blocked from before the fork until after the wait, so none can
 * end us without the clean-up. One that the terminal sent went to CMD as well, and isn't passed on.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control_call.h"
#include "ctl.h"
#include "log.h"
#include "paths.h"
#include "run_child.h"

#define EXEC_NOT_FOUND 127
#define EXEC_REFUSED 126

/* What the child tells before it gives up; an exec closes the pipe instead. */
struct failure {
	int joining; /* else: exec */
	int error;
};

static int join(const char *cgroup)
{
	char path[PATH_MAX];
	int fd, r = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, "0", 1) < 0)
		r = -errno;
	close(fd);
	return r;
}

_Noreturn static void child(const char *cgroup, char **command, int tell, const sigset_t *mask)
{
	struct failure f = { .joining = 1 };
	ssize_t n;

	f.error = join(cgroup);
	if (!f.error) {
		f.joining = 0;
		sigprocmask(SIG_SETMASK, mask, NULL);
		execvp(command[0], command);
		f.error = -errno;
	}
	n = write(tell, &f, sizeof(f));
	(void)n;
	_exit(f.error == -ENOENT && !f.joining ? EXEC_NOT_FOUND : EXEC_REFUSED);
}

static int wait_for(pid_t pid, const sigset_t *signals)
{
	siginfo_t info;
	int status;

	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		if (sigwaitinfo(signals, &info) < 0)
			continue;
		if (info.si_signo != SIGCHLD && info.si_code != SI_KERNEL)
			kill(pid, info.si_signo);
	}
}

static int report(int fd, const char *cgroup, const char *name)
{
	struct failure f;

	if (read(fd, &f, sizeof(f)) != sizeof(f))
		return 0;
	if (f.joining)
		return ctl_fail(EXEC_REFUSED, "cannot join cgroup '%s': %s", cgroup, strerror(-f.error));
	return ctl_fail(f.error == -ENOENT ? EXEC_NOT_FOUND : EXEC_REFUSED, "cannot run '%s': %s", name,
			strerror(-f.error));
}

int run_child(const char *cgroup, char **command)
{
	static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD };
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t signals, mask;
	int tell[2], status;
	size_t i;
	pid_t pid;

	if (pipe2(tell, O_CLOEXEC) < 0)
		return ctl_fail(EXEC_REFUSED, "cannot run '%s': %s", command[0], strerror(errno));
	sigemptyset(&signals);
	for (i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(&signals, passed_on[i]);
	sigaction(SIGCHLD, &dfl, NULL); /* if it came ignored, there would be nothing to wait for */
	sigprocmask(SIG_BLOCK, &signals, &mask);
	pid = fork();
	if (pid == 0)
		child(cgroup, command, tell[1], &mask);
	close(tell[1]);
	if (pid < 0) {
		status = ctl_fail(EXEC_REFUSED, "cannot run '%s': %s", command[0], strerror(errno));
	} else {
		report(tell[0], cgroup, command[0]);
		status = wait_for(pid, &signals);
	}
	close(tell[0]);
	return status;
}

void run_forget(struct json_object *request)
{
	struct json_object *reply;

	if (control_call(paths_run_dir(), request, &reply) == 0)
		json_object_put(reply);
	json_object_put(request);
}
