/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What must be undone even after SIGKILL is left to a process of its own, which waits for this one to die.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void guard_main(int parent, void (*undo)(void *arg), void *arg)
{
	struct pollfd p = { .fd = 3, .events = POLLIN };

	setsid();
	for (int i = 1; i < 32; i++)
		signal(i, SIG_IGN);
	env_join(env.home); /* what is left in the test's cgroup gets killed */
	dup2(parent, 3);
	close_range(4, ~0U, 0);
	while (poll(&p, 1, -1) < 0)
		;
	undo(arg);
	_exit(0);
}

int guard_start(pid_t *ret, void (*undo)(void *arg), void *arg)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	pid_t pid;

	if (fd < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		guard_main(fd, undo, arg);
	close(fd);
	if (pid < 0)
		return -errno;
	*ret = pid;
	return 0;
}

void guard_stop(pid_t guard)
{
	kill(guard, SIGKILL);
	waitpid(guard, NULL, 0);
}
