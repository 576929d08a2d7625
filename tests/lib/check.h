/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cmocka, and the few checks that the integration tests share. Only for the thread that runs the tests.
 */
#ifndef FASTLO_TESTS_CHECK_H
#define FASTLO_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static inline int64_t check_ok(int64_t r, const char *what, const char *file, int line)
{
	if (r < 0) {
		print_error("%s: %s\n", what, strerror((int)-r));
		_fail(file, line);
	}
	return r;
}
/* not a negative errno; its value */
#define ok(call) check_ok((call), #call, __FILE__, __LINE__)

/* The system call fails with this errno. */
#define fails(call, error)                                                                                         \
	do {                                                                                                        \
		errno = 0;                                                                                          \
		long fails_r_ = (call);                                                                             \
		int fails_e_ = errno;                                                                               \
		if (fails_r_ != -1 || fails_e_ != (error))                                                          \
			fail_msg("%s: returned %ld, %s; expected %s", #call, fails_r_,                              \
				 fails_r_ == -1 ? strerrorname_np(fails_e_) : "-", strerrorname_np(error));         \
	} while (0)

static inline void check_reason(int fd, unsigned int reason, const char *file, int line)
{
	if (env.plain || wait_reason(fd, reason) == 0)
		return;
	print_error("reason is '%s' (state %u), expected '%s'\n", reason_name(info(fd).reason), info(fd).state,
		    reason_name(reason));
	_fail(file, line);
}
#define expect_reason(fd, reason) check_reason((fd), (reason), __FILE__, __LINE__)

static inline void check_state(int fd, unsigned int state, const char *file, int line)
{
	if (env.plain || wait_state(fd, state) == 0)
		return;
	print_error("state is %u (reason '%s'), expected %u\n", info(fd).state, reason_name(info(fd).reason), state);
	_fail(file, line);
}
#define expect_state(fd, state) check_state((fd), (state), __FILE__, __LINE__)

/* Group fixtures: a fastlod with the default configuration; none. */
static inline int group_up(void **state)
{
	(void)state;
	return env_up(NULL);
}
static inline int group_down(void **state)
{
	(void)state;
	env_down();
	return 0;
}

/* Runs the group, or says why it can't. */
#define run_group(tests, up, down)                                                                                  \
	(geteuid() == 0 ? cmocka_run_group_tests(tests, up, down)                                                    \
			: (printf("[  SKIPPED ] %zu test(s): need root\n", sizeof(tests) / sizeof((tests)[0])), 0))

/* A fastlod of other places (`name`, below the environment's) or of these (NULL) is refused, in one line with `word`. */
static inline void check_start_refused(const char *name, const char *word)
{
	char text[1024], said[4096], *end;
	int status;

	if (name)
		snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s/%s\nrun_dir = %s/%s\ncgroup = %s\n", env.bpffs, name,
			 env.dir, name, env.cgroup);
	else
		ok(file_read(env.config, text, sizeof(text)));
	status = env_try_daemon(text, 0, said, sizeof(said));
	print_message("%s", said);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
	assert_non_null(strstr(said, word));
	end = strchr(said, '\n');
	assert_true(end && end[1] == '\0');
}

/* A system fastlod answers where the test's own does not: then nothing can be told of "no fastlod". */
static inline void skip_if_served_from_outside(void)
{
	int fd, on = 1, r;

	ok(env_join(env.home));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok(env_join(env.app));
	r = setsockopt(fd, SOL_FASTLO, FASTLO_ENABLE, &on, sizeof(on));
	close(fd);
	if (r == 0) {
		print_message("another fastlod serves '%s', skipping\n", env.home);
		skip();
	}
}

#endif
