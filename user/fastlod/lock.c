/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flock(2) on RUN_DIR/fastlod.pid and on the pin directory itself. The descriptors stay open on purpose.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock.h"
#include "log.h"

static bool holds_run_dir, made_run_dir;

static void pid_path(const char *run_dir, char *path, size_t size)
{
	snprintf(path, size, "%s/fastlod.pid", run_dir);
}

int lock_run_dir(const char *run_dir)
{
	char path[4096], text[32] = "";
	int fd, r;

	made_run_dir = mkdir(run_dir, 0755) == 0;
	if (!made_run_dir && errno != EEXIST) {
		r = -errno;
		log_err("cannot create '%s': %s", run_dir, strerror(-r));
		return r;
	}
	pid_path(run_dir, path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		r = -errno;
		log_err("cannot open '%s': %s", path, strerror(-r));
		return r;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (read(fd, text, sizeof(text) - 1) > 0)
			text[strcspn(text, "\n")] = '\0';
		if (r == -EBUSY)
			log_err("already running as pid %s (it holds '%s')", *text ? text : "?", path);
		else
			log_err("cannot lock '%s': %s", path, strerror(-r));
		close(fd);
		return r;
	}
	holds_run_dir = true;
	snprintf(text, sizeof(text), "%d\n", getpid());
	if (ftruncate(fd, 0) < 0 || write(fd, text, strlen(text)) < 0)
		log_warn("cannot write '%s': %s, ignoring", path, strerror(errno));
	return 0;
}

int lock_pin_dir(const char *pin_dir)
{
	int fd = open(pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (r == -EBUSY)
			log_err("another fastlod, with another run_dir, uses pin_dir '%s'", pin_dir);
		else
			log_err("cannot lock '%s': %s", pin_dir, strerror(-r));
		if (fd >= 0)
			close(fd);
		return r;
	}
	return 0;
}

void lock_remove(const char *run_dir)
{
	char path[4096];

	if (!holds_run_dir)
		return;
	pid_path(run_dir, path, sizeof(path));
	unlink(path);
	if (made_run_dir)
		rmdir(run_dir);
}
