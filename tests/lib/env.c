/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A private environment: CGROUP/fastlo-test-PID with the programs attached and .../app below it for this
 * process, a bpffs and a run directory under a temporary directory, and one fastlod.
 * A janitor, forked before anything is made, waits for this process to die and removes what it left: also
 * after SIGKILL. The mount namespace is private, so pins never outlive the last process.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include "cgroup.h"
#include "harness.h"

struct env env;

static struct {
	pid_t daemon; /* 0: none; shared with the janitor */
} *shared;
static pid_t janitor;

pid_t env_daemon(void)
{
	return shared ? shared->daemon : 0;
}

int env_join(const char *cgroup)
{
	char path[640];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	return file_write(path, "0");
}

/* Idempotent; also run by the janitor, which is not the daemon's parent. */
static void remove_all(void)
{
	int64_t until = now_ms() + PATIENCE_MS;
	char path[448];

	umount2(env.bpffs, MNT_DETACH);
	snprintf(path, sizeof(path), "%s/cgroup.kill", env.app);
	while (rmdir(env.app) < 0 && errno == EBUSY && tick(until))
		file_write(path, "1");
	while (rmdir(env.cgroup) < 0 && errno == EBUSY && tick(until))
		;
	if (env.dir[0])
		tree_remove(env.dir);
}

static void janitor_main(int parent)
{
	struct pollfd p = { .fd = parent, .events = POLLIN };
	int null = open("/dev/null", O_RDWR);
	int64_t until;

	setsid();
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	for (int fd = 3; fd < 1024; fd++)
		if (fd != parent)
			close(fd);
	for (int i = 1; i < 32; i++)
		signal(i, i == SIGCHLD ? SIG_DFL : SIG_IGN);
	while (poll(&p, 1, -1) < 0)
		;
	/* fastlod got SIGTERM when its parent died */
	until = now_ms() + PATIENCE_MS;
	while (shared->daemon > 0 && kill(shared->daemon, 0) == 0 && tick(until))
		;
	if (shared->daemon > 0)
		kill(shared->daemon, SIGKILL);
	remove_all();
	_exit(0);
}

static int janitor_start(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return -errno;
	if (!shared) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED)
			return -ENOMEM;
	}
	shared->daemon = 0;
	fflush(NULL);
	janitor = fork();
	if (janitor == 0)
		janitor_main(fd);
	close(fd);
	return janitor < 0 ? -errno : 0;
}

/* O/tests/SUITE/test_x -> O */
static int find_bin(void)
{
	const char *set = getenv("FASTLO_BIN_DIR");
	ssize_t n;

	if (set) {
		snprintf(env.bin, sizeof(env.bin), "%s", set);
		return 0;
	}
	n = readlink("/proc/self/exe", env.bin, sizeof(env.bin) - 1);
	if (n < 0)
		return -errno;
	env.bin[n] = '\0';
	for (int i = 0; i < 3; i++) {
		char *slash = strrchr(env.bin, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	return 0;
}

static int find_home(void)
{
	char text[4096], *at, *end, *mount = NULL;
	int r;

	r = cgroup_mount_find(&mount);
	if (r < 0)
		return r;
	snprintf(env.mount, sizeof(env.mount), "%s", mount);
	free(mount);
	r = file_read("/proc/self/cgroup", text, sizeof(text));
	if (r < 0)
		return r;
	at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!at)
		return -ENOENT;
	at = strstr(at, "::") + 2;
	end = strchr(at, '\n');
	if (end)
		*end = '\0';
	if (strcmp(at, "/") == 0)
		at = (char *)"";
	if ((size_t)snprintf(env.home, sizeof(env.home), "%s%s", env.mount, at) >= sizeof(env.home))
		return -ENAMETOOLONG;
	return 0;
}

static int make_places(void)
{
	static bool own_mounts;

	if (mkdir(env.dir, 0755) < 0 || mkdir(env.cgroup, 0755) < 0 || mkdir(env.app, 0755) < 0)
		return -errno;
	if (!own_mounts) {
		if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			return -errno;
		own_mounts = true;
	}
	if (mkdir(env.bpffs, 0755) < 0 || mkdir(env.run, 0755) < 0 || mount("bpf", env.bpffs, "bpf", 0, NULL) < 0)
		return -errno;
	return env_join(env.app);
}

static int write_config(const char *extra)
{
	char text[8192];
	size_t n;

	n = snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s\nrun_dir = %s\ncgroup = %s\n", env.pins, env.run,
		     env.cgroup);
	while (extra && *extra && n + 1 < sizeof(text)) {
		if (strncmp(extra, "@CGROUP@", 8) == 0) {
			n += snprintf(text + n, sizeof(text) - n, "%s", env.rel);
			extra += 8;
		} else {
			text[n++] = *extra++;
			text[n] = '\0';
		}
	}
	return file_write(env.config, text);
}

static void name_places(void)
{
	static int count;

	snprintf(env.cgroup, sizeof(env.cgroup), "%s/fastlo-test-%d-%d", env.mount, getpid(), ++count);
	snprintf(env.app, sizeof(env.app), "%s/app", env.cgroup);
	env.rel = env.app + strlen(env.mount);
	snprintf(env.dir, sizeof(env.dir), "/tmp/fastlo-test-%d-%d", getpid(), count);
	snprintf(env.bpffs, sizeof(env.bpffs), "%s/bpf", env.dir);
	snprintf(env.pins, sizeof(env.pins), "%s/fastlo", env.bpffs);
	snprintf(env.run, sizeof(env.run), "%s/run", env.dir);
	snprintf(env.config, sizeof(env.config), "%s/fastlo.conf", env.dir);
	snprintf(env.log, sizeof(env.log), "%s/fastlod.log", env.dir);
}

int env_up(const char *extra)
{
	static bool at_exit;
	int r;

	memset(&env, 0, sizeof(env));
	env.plain = getenv("PLAIN") != NULL;
	r = find_bin();
	if (r == 0)
		r = find_home();
	if (r < 0)
		return r;
	name_places();
	r = janitor_start();
	if (r < 0)
		return r;
	env.up = true;
	if (!at_exit)
		atexit(env_down);
	at_exit = true;
	r = make_places();
	if (r == 0)
		r = write_config(extra);
	if (r == 0 && !env.plain)
		r = env_restart();
	if (r < 0) {
		fprintf(stderr, "cannot set the test environment up: %s\n", strerror(-r));
		env_log_dump(stderr);
		env_down();
	}
	return r;
}

void env_down(void)
{
	/* a forked child that exits is not the owner */
	char own[64];

	snprintf(own, sizeof(own), "/tmp/fastlo-test-%d-", getpid());
	if (!env.up || strncmp(env.dir, own, strlen(own)) != 0)
		return;
	env.up = false;
	if (env_daemon() > 0 && env_sigterm_and_wait() < 0)
		env_kill();
	env_join(env.home);
	remove_all();
	kill(janitor, SIGKILL);
	waitpid(janitor, NULL, 0);
}

int env_start(void)
{
	char path[576];
	char *argv[] = { path, (char *)"-c", env.config, NULL };
	int log, r;

	r = env_program("fastlod", env.daemon_as.uid, path, sizeof(path));
	if (r < 0)
		return r;
	log = open(env.log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0644);
	if (log < 0)
		return -errno;
	r = proc_spawn_as(argv, NULL, &env.daemon_as, env.home, log, log, &shared->daemon);
	close(log);
	return r;
}

int env_ready(void)
{
	char text[65536];

	if (file_read(env.log, text, sizeof(text)) > 0 && strstr(text, "ready"))
		return 1;
	if (waitpid(shared->daemon, NULL, WNOHANG) != shared->daemon)
		return 0;
	shared->daemon = 0;
	return -ECHILD;
}

/* An end is noticed at once; loading may take an emulated kernel a while. */
int env_restart(void)
{
	int64_t until = now_ms() + 6 * PATIENCE_MS;
	int r = env_start();

	while (r == 0) {
		r = env_ready();
		if (r == 0 && !tick(until))
			r = -ETIMEDOUT;
	}
	return r < 0 ? r : 0;
}

int env_sigterm_and_wait(void)
{
	int status;

	if (env_daemon() <= 0)
		return -ESRCH;
	kill(shared->daemon, SIGTERM);
	status = proc_wait(shared->daemon, 3 * PATIENCE_MS);
	if (status >= 0)
		shared->daemon = 0;
	return status;
}

int env_kill(void)
{
	int status;

	if (env_daemon() <= 0)
		return -ESRCH;
	kill(shared->daemon, SIGKILL);
	status = proc_wait(shared->daemon, PATIENCE_MS);
	shared->daemon = 0;
	return status;
}

bool env_has_pins(void)
{
	DIR *d = opendir(env.pins);
	struct dirent *e;
	bool any = false;

	if (!d)
		return false;
	while ((e = readdir(d)))
		any |= e->d_name[0] != '.';
	closedir(d);
	return any;
}

void env_log_dump(FILE *to)
{
	char text[16384];

	if (file_read(env.log, text, sizeof(text)) > 0)
		fprintf(to, "--- fastlod said:\n%s---\n", text);
}
