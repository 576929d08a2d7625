/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Time, processes and files for the harness. A child gets PR_SET_PDEATHSIG, so none outlives the test
 * program, and starts in the cgroup that it is given, so it never keeps the test's own one busy.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

bool tick(int64_t deadline_ms)
{
	struct timespec nap = { .tv_nsec = 1000000 };

	if (now_ms() >= deadline_ms)
		return false;
	nanosleep(&nap, NULL);
	return true;
}

static int take_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = data[i].inheritable = (uint32_t)(caps >> 32 * i);
	if (syscall(SYS_capset, &head, data) < 0)
		return -errno;
	for (unsigned long bit = 0; bit < 64; bit++)
		if (caps >> bit & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0) < 0)
			return -errno;
	return 0;
}

int proc_become(const struct who *who)
{
	gid_t gid = who->gid ? who->gid : who->uid;

	if (!who->uid)
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(who->uid, who->uid, who->uid) < 0)
		return -errno;
	return take_caps(who->caps);
}

static void child_exec(char *const argv[], char *const envs[], const struct who *who, const char *cgroup, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (cgroup)
		env_join(cgroup);
	if (proc_become(who) < 0)
		_exit(126);
	/* after the change of user, which clears it */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	if (err >= 0)
		dup2(err, STDERR_FILENO);
	for (; envs && *envs; envs++)
		putenv(*envs);
	execv(argv[0], argv);
	dprintf(STDERR_FILENO, "cannot run '%s': %s\n", argv[0], strerror(errno));
	_exit(127);
}

int proc_spawn(char *const argv[], char *const envs[], uid_t uid, const char *cgroup, int out, int err, pid_t *ret)
{
	struct who who = { .uid = uid };

	return proc_spawn_as(argv, envs, &who, cgroup, out, err, ret);
}

int proc_spawn_as(char *const argv[], char *const envs[], const struct who *who, const char *cgroup, int out, int err,
		  pid_t *ret)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_exec(argv, envs, who, cgroup, out, err);
	*ret = pid;
	return 0;
}

int proc_wait(pid_t pid, int timeout_ms)
{
	int64_t until = now_ms() + timeout_ms;
	int status;

	do {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			return status;
		if (got < 0 && errno != EINTR)
			return -errno;
	} while (tick(until));
	return -ETIMEDOUT;
}

bool thread_asleep(pid_t tid)
{
	char path[64], text[512] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	return file_read(path, text, sizeof(text)) > 0 && strstr(text, ") S");
}

int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		r = -errno;
	close(fd);
	return r;
}

int file_read(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (have + 1 < size && (n = read(fd, ret + have, size - 1 - have)) > 0)
		have += n;
	ret[have] = '\0';
	close(fd);
	return (int)have;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

int tree_remove(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 ? -errno : 0;
}
