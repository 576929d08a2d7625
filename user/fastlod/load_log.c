/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <bpf/libbpf.h>

#include "load_log.h"
#include "log.h"

static char *held;
static size_t held_len;

static int hold(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *line, *bigger;
	int n;

	if (log_verbose())
		return vfprintf(stderr, fmt, ap);
	/* a verifier log comes as one message, of any length */
	if (level == LIBBPF_DEBUG || held_len > 1 << 20 || (n = vasprintf(&line, fmt, ap)) < 0)
		return 0;
	bigger = realloc(held, held_len + n + 1);
	if (bigger) {
		held = bigger;
		memcpy(held + held_len, line, n + 1);
		held_len += n;
	}
	free(line);
	return n;
}

void load_log_hold(void)
{
	libbpf_set_print(hold);
}

void load_log_drop(void)
{
	free(held);
	held = NULL;
	held_len = 0;
}

int load_log_explain(int r)
{
	struct utsname u = { 0 };

	uname(&u);
	if (held)
		fputs(held, stderr);
	load_log_drop();
	if (r == -EPERM || r == -EACCES)
		log_err("cannot load BPF programs: %s (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)", strerror(-r));
	else
		log_err("cannot load BPF programs on Linux %s: %s (the messages above are the kernel's own; fastlo "
			"needs Linux 6.1 with BTF)", u.release, strerror(-r));
	return r;
}
