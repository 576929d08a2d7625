/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages for people, on stderr: "PROG: text". Under journald each line carries its priority.
 * A failure is logged once, by the level that decides what to do about it.
 */
#ifndef FASTLO_LOG_H
#define FASTLO_LOG_H

#include <stdarg.h>
#include <stdbool.h>

/* prog must outlive the process; verbose lets log_debug through. */
void log_open(const char *prog, bool verbose);
bool log_verbose(void);
void log_write(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_writev(int priority, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

#define log_err(...) log_write(3, __VA_ARGS__)
#define log_warn(...) log_write(4, __VA_ARGS__)
#define log_info(...) log_write(6, __VA_ARGS__)
#define log_debug(...) log_write(7, __VA_ARGS__)

#endif
