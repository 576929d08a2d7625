/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Log lines: one write(2) each, so that lines of two processes never mix. errno is preserved.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define LOG_LINE_MAX 4096
#define PRIORITY_DEBUG 7

static const char *log_prog = "fastlo";
static bool log_is_verbose;
static bool log_prefix;

void log_open(const char *prog, bool verbose)
{
	log_prog = prog;
	log_is_verbose = verbose;
	/* systemd sets it when stderr goes to the journal, which then reads "<3>" as the priority */
	log_prefix = getenv("JOURNAL_STREAM") != NULL;
}

bool log_verbose(void)
{
	return log_is_verbose;
}

void log_writev(int priority, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	size_t len;
	int n;

	if (priority >= PRIORITY_DEBUG && !log_is_verbose)
		return;
	if (log_prefix)
		n = snprintf(line, sizeof(line), "<%d>%s: ", priority, log_prog);
	else
		n = snprintf(line, sizeof(line), "%s: ", log_prog);
	len = (size_t)n;
	errno = saved; /* for %m */
	n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	if (n > 0)
		len += (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	n = (int)write(STDERR_FILENO, line, len);
	(void)n; /* nowhere left to complain to */
	errno = saved;
}

void log_write(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_writev(priority, fmt, ap);
	va_end(ap);
}
