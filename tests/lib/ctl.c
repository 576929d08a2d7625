/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asking the environment's fastlod through fastloctl, and starting fastlods that must refuse to run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define CTL_ARGS 16

/* Reads until EOF; free() it. */
static char *slurp(int fd)
{
	size_t have = 0, room = 4096;
	char *text = malloc(room);
	ssize_t n;

	while (text && (n = read(fd, text + have, room - have - 1)) > 0) {
		have += n;
		if (room - have < 2)
			text = realloc(text, room *= 2);
	}
	if (text)
		text[have] = '\0';
	return text;
}

int env_ctl(struct json_object **ret, const char *verb, ...)
{
	char path[576], run_dir[128], *text;
	char *envs[] = { run_dir, NULL };
	char *argv[CTL_ARGS + 4] = { path, (char *)"-j", (char *)verb };
	int out[2], r, n = 3;
	va_list more;
	pid_t pid;

	va_start(more, verb);
	while (n < CTL_ARGS + 3 && (argv[n] = va_arg(more, char *)))
		n++;
	va_end(more);
	argv[n] = NULL;
	r = env_program("fastloctl", env.ctl_as.uid, path, sizeof(path));
	if (r < 0)
		return r;
	snprintf(run_dir, sizeof(run_dir), "FASTLO_RUN_DIR=%s", env.run);
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	r = proc_spawn_as(argv, envs, &env.ctl_as, env.home, out[1], -1, &pid);
	close(out[1]);
	if (r < 0) {
		close(out[0]);
		return r;
	}
	text = slurp(out[0]);
	close(out[0]);
	r = proc_wait(pid, PATIENCE_MS);
	if (r >= 0)
		r = WIFEXITED(r) ? WEXITSTATUS(r) : -EINTR;
	if (r > 0)
		fprintf(stderr, "fastloctl %s: exit %d: %s\n", verb, r, text ? text : "");
	if (ret)
		*ret = text ? json_tokener_parse(text) : NULL;
	free(text);
	return r;
}

int64_t env_stat(const char *path)
{
	struct json_object *all = NULL, *at;
	char *copy = strdup(path), *save = NULL;
	int64_t value = -1;

	if (env_ctl(&all, "stats", NULL) == 0) {
		at = all;
		for (char *s = strtok_r(copy, ".", &save); s && at; s = strtok_r(NULL, ".", &save))
			if (!json_object_object_get_ex(at, s, &at))
				at = NULL;
		if (at)
			value = json_object_get_int64(at);
	}
	json_object_put(all);
	free(copy);
	return value;
}

/* Another user may not see where the build lies, in root's home for one. */
int env_program(const char *name, uid_t uid, char *ret, size_t size)
{
	char command[2000];

	snprintf(ret, size, "%s/%s", env.bin, name);
	if (uid == 0)
		return 0;
	snprintf(command, sizeof(command), "cp -f '%s/%s' '%s/%s' && chmod 755 '%s/%s'", env.bin, name, env.dir, name,
		 env.dir, name);
	snprintf(ret, size, "%s/%s", env.dir, name);
	return system(command) == 0 ? 0 : -EIO;
}

int env_try_daemon(const char *config, uid_t uid, char *ret_said, size_t size)
{
	struct who who = { .uid = uid };
	char bin[576], path[128], log[128];
	char *argv[] = { bin, (char *)"-c", path, NULL };
	int fd, r;
	pid_t pid;

	if (uid == env.daemon_as.uid)
		who = env.daemon_as;
	r = env_program("fastlod", uid, bin, sizeof(bin));
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/try.conf", env.dir);
	snprintf(log, sizeof(log), "%s/try.log", env.dir);
	r = file_write(path, config);
	if (r < 0)
		return r;
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = proc_spawn_as(argv, NULL, &who, env.home, fd, fd, &pid);
	close(fd);
	if (r < 0)
		return r;
	r = proc_wait(pid, PATIENCE_MS);
	if (r == -ETIMEDOUT) {
		kill(pid, SIGTERM);
		proc_wait(pid, PATIENCE_MS);
	}
	file_read(log, ret_said, size);
	return r;
}
