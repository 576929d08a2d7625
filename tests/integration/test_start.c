/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlod on a host that lacks something, and signals while it starts: one clear line and status 2, or a
 * clean end with status 0; nothing is left behind. Each host is a mount namespace or a set of capabilities
 * of a child.
 */
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define CAP_NET_ADMIN 12
#define CAP_SYS_ADMIN 21
#define CAP_PERFMON 38
#define CAP_BPF 39

struct refusal {
	int status;
	char said[4000];
};

static void config_text(char *ret, size_t size)
{
	snprintf(ret, size, "[fastlo]\npin_dir = %s/start\nrun_dir = %s/start\ncgroup = %s\n", env.bpffs, env.dir,
		 env.cgroup);
}

/* Starts fastlod in a child that `spoil` has taken something from. */
static struct refusal refused_without(int (*spoil)(void), const char *config)
{
	struct refusal r = { .status = -1 };
	char text[1024];
	int fds[2];
	pid_t pid;

	config_text(text, sizeof(text));
	assert_return_code(pipe(fds), errno);
	pid = fork();
	if (pid == 0) {
		if (spoil() == 0)
			r.status = env_try_daemon(config ? config : text, 0, r.said, sizeof(r.said));
		_exit(write(fds[1], &r, sizeof(r)) != sizeof(r));
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &r, sizeof(r)), sizeof(r));
	close(fds[0]);
	assert_int_equal(proc_wait(pid, PATIENCE_MS), 0);
	print_message("%s", r.said);
	return r;
}

static void check_refused(struct refusal r, const char *word)
{
	char pins[256];

	assert_true(WIFEXITED(r.status));
	assert_int_equal(WEXITSTATUS(r.status), 2);
	assert_non_null(strstr(r.said, word));
	assert_ptr_equal(strchr(r.said, '\n'), r.said + strlen(r.said) - 1); /* one line */
	snprintf(pins, sizeof(pins), "%s/start", env.bpffs);
	assert_int_equal(access(pins, F_OK), -1);
}

static int own_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return -1;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int without_cgroup2(void)
{
	return own_mounts() < 0 ? -1 : umount2(env.mount, MNT_DETACH);
}

static int without_btf(void)
{
	return own_mounts() < 0 ? -1 : mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL);
}

static int as_it_is(void)
{
	return 0;
}

static int drop(int cap)
{
	/* CAP_SYS_ADMIN would stand in for CAP_BPF and CAP_PERFMON */
	return prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 ? -1 : prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0);
}

static int without_cap_bpf(void)
{
	return drop(CAP_BPF);
}

static int without_cap_net_admin(void)
{
	return drop(CAP_NET_ADMIN);
}

static int without_cap_perfmon(void)
{
	return drop(CAP_PERFMON);
}

static void no_cgroup2(void **state)
{
	(void)state;
	check_refused(refused_without(without_cgroup2, NULL), "cgroup2");
}

static void no_btf(void **state)
{
	(void)state;
	check_refused(refused_without(without_btf, NULL), "BTF");
}

static void no_bpffs(void **state)
{
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s/start\nrun_dir = %s/start\ncgroup = %s\n", env.dir, env.dir,
		 env.cgroup);
	check_refused(refused_without(as_it_is, text), "BPF file system");
}

static void a_capability_is_missing(void **state)
{
	(void)state;
	check_refused(refused_without(without_cap_bpf, NULL), "CAP_BPF is missing");
	check_refused(refused_without(without_cap_net_admin, NULL), "CAP_NET_ADMIN is missing");
	check_refused(refused_without(without_cap_perfmon, NULL), "CAP_PERFMON is missing");
}

/* SIGTERM and SIGINT at 40 moments between exec and ready. */
static void a_signal_at_any_moment(void **state)
{
	char text[1024], path[128], fastlod[600], pins[256], run[256];
	char *argv[] = { fastlod, "-c", path, NULL };

	int null, killed = 0;

	(void)state;
	config_text(text, sizeof(text));
	snprintf(path, sizeof(path), "%s/start.conf", env.dir);
	ok(file_write(path, text));
	snprintf(fastlod, sizeof(fastlod), "%s/fastlod", env.bin);
	snprintf(pins, sizeof(pins), "%s/start", env.bpffs);
	snprintf(run, sizeof(run), "%s/start", env.dir);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < 40; i++) {
		int64_t until = now_ms() + i * 8;
		int status;
		pid_t pid;

		ok(proc_spawn(argv, NULL, 0, NULL, null, null, &pid));
		while (tick(until))
			;
		assert_return_code(kill(pid, i % 2 ? SIGTERM : SIGINT), errno);
		status = ok(proc_wait(pid, 3 * PATIENCE_MS)); /* emulated, to load takes a while */
		/* before main() could ask for signals the signal itself ends it, and nothing was begun */
		if (!WIFSIGNALED(status))
			assert_int_equal(status, 0);
		else
			killed++;
		assert_int_equal(access(run, F_OK), -1);
		assert_int_equal(access(pins, F_OK), -1);
	}
	close(null);
	print_message("%d of 40 were still in exec\n", killed);
	assert_true(killed < 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_cgroup2),
		cmocka_unit_test(no_btf),
		cmocka_unit_test(no_bpffs),
		cmocka_unit_test(a_capability_is_missing),
		cmocka_unit_test(a_signal_at_any_moment),
	};

	return run_group(tests, group_up, group_down);
}
