/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl drain, resume: every connection back to plain TCP, and open for splicing again. Both
 * return once fastlod has switched; `list` shows how far the draining is. Where no fastlod runs, `fastlod --drain`
 * finishes what one left pinned.
 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control_call.h"
#include "ctl.h"
#include "paths.h"

#define NOT_FOUND 127

static int ask(int argc, char **argv, const char *verb)
{
	struct json_object *reply;
	int code;

	code = ctl_no_arguments(argc, argv);
	if (!code)
		code = ctl_ask(verb, &reply);
	if (code)
		return code;
	if (ctl_json())
		return ctl_print(reply);
	json_object_put(reply);
	return CTL_OK;
}

/* As built, as installed, as found; none of them: NOT_FOUND. */
static void become_fastlod(const char *config)
{
	const char *const places[] = { "%s/fastlod", "%s/../sbin/fastlod" };
	char own[PATH_MAX] = "", path[PATH_MAX + 32];
	char *argv[] = { (char *)"fastlod", (char *)"--drain", config ? (char *)"-c" : NULL, (char *)config, NULL };
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (n > 0 && strrchr(own, '/')) {
		*strrchr(own, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			snprintf(path, sizeof(path), i ? places[1] : places[0], own);
			execv(path, argv);
		}
	}
	execvp(argv[0], argv);
	_exit(NOT_FOUND);
}

/* An exit status; CTL_ABSENT: nothing was left. What went wrong, fastlod has said. */
static int drain_left(const char *config)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		become_fastlod(config);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == NOT_FOUND)
		return CTL_ABSENT;
	if (WEXITSTATUS(status) == CTL_OK)
		return ctl_json() ? ctl_print(json_object_new_object()) : CTL_OK;
	if (WEXITSTATUS(status) != CTL_ABSENT)
		return ctl_fail(CTL_REFUSED, "cannot drain what is left: 'fastlod --drain' says why");
	return CTL_ABSENT;
}

int verb_drain(int argc, char **argv)
{
	const char *config = NULL;
	pid_t pid;
	int r;

	if (argc == 3 && strcmp(argv[1], "-c") == 0) {
		config = argv[2];
		argc = 1;
	}
	r = argc == 1 ? control_owner(paths_run_dir(), &pid) : 0;
	if (r == -ENOENT || r == -ECONNREFUSED) {
		int code = drain_left(config);

		if (code != CTL_ABSENT)
			return code;
	}
	return ask(argc, argv, "drain");
}

int verb_resume(int argc, char **argv)
{
	return ask(argc, argv, "resume");
}
