/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl doctor: can fastlo work on this host, and how does this kernel treat a spliced socket? The first is looked at
 * here and needs nothing; the second is what a running fastlod found in its self-test.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cgroup.h"
#include "control_call.h"
#include "ctl.h"
#include "fastlo/fastlo.h"
#include "findings.h"
#include "paths.h"

#define CAP_NET_ADMIN 12
#define CAP_SYS_ADMIN 21
#define CAP_PERFMON 38
#define CAP_BPF 39

static void look_at_caps(struct findings *f)
{
	const unsigned long long need = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_PERFMON | 1ULL << CAP_BPF;
	unsigned long long eff = 0;
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "CapEff: %llx", &eff) == 1)
			break;
	if (status)
		fclose(status);
	if (eff & 1ULL << CAP_SYS_ADMIN)
		eff |= 1ULL << CAP_PERFMON | 1ULL << CAP_BPF;
	if ((eff & need) == need)
		findings_say(f, "capabilities", FINDING_GOOD, "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
	else
		findings_say(f, "capabilities", FINDING_UNTRIED,
			   "this user may not load programs; fastlod needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
}

static void look_at_host(struct findings *f)
{
	struct utsname u = { 0 };
	char *mount;

	uname(&u);
	findings_say(f, "kernel", FINDING_GOOD, "Linux %s, %s", u.release, u.machine);
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		findings_say(f, "btf", FINDING_GOOD, "/sys/kernel/btf/vmlinux");
	else
		findings_say(f, "btf", FINDING_BAD, "no /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)");
	if (cgroup_mount_find(&mount) == 0) {
		findings_say(f, "cgroup2", FINDING_GOOD, "%s", mount);
		free(mount);
	} else {
		findings_say(f, "cgroup2", FINDING_BAD, "not mounted (try 'mount -t cgroup2 none /sys/fs/cgroup')");
	}
	look_at_caps(f);
}

/* Programs started from here may opt in, if fastlod serves this cgroup. */
static void look_at_this_cgroup(struct findings *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && fastlo_enable(fd) == 0)
		findings_say(f, "this_cgroup", FINDING_GOOD, "a program may opt its sockets in");
	else
		findings_say(f, "this_cgroup", FINDING_UNTRIED, "a program may not opt its sockets in: %s%s", strerror(errno),
			     errno == ENOPROTOOPT ? " (socket_opt_in is off, or this cgroup is not served)" : "");
	if (fd >= 0)
		close(fd);
}

/* Not through ctl_ask(): an absent daemon is a finding among others. */
static int look_at_daemon(struct findings *f)
{
	struct json_object *request = json_object_new_object(), *status;
	int r;

	json_object_object_add(request, "verb", json_object_new_string("status"));
	r = control_call(paths_run_dir(), request, &status);
	json_object_put(request);
	if (r < 0) {
		findings_say(f, "fastlod", FINDING_UNTRIED, "no answer at '%s/%s': %s", paths_run_dir(), PATHS_CONTROL,
			   strerror(-r));
		return CTL_ABSENT;
	}
	findings_say(f, "fastlod", FINDING_GOOD, "%s, pid %s, mode %s, cgroup %s", ctl_string(status, "version"),
		   ctl_string(status, "pid"), ctl_string(status, "mode"), ctl_string(status, "cgroup"));
	if (strcmp(ctl_string(status, "observer"), "none") == 0)
		findings_say(f, "observer", FINDING_DIFFERS, "none: only eager sockets are spliced");
	else
		findings_say(f, "observer", FINDING_GOOD, "%s", ctl_string(status, "observer"));
	look_at_this_cgroup(f);
	findings_from_json(f, json_object_object_get(status, "selftest"));
	json_object_put(status);
	return CTL_OK;
}

static int print(const struct findings *f)
{
	if (ctl_json())
		return ctl_print(findings_to_json(f));
	for (size_t i = 0; i < f->n; i++)
		printf("%-8s  %-22s %s\n", finding_verdict_name(f->list[i].verdict), f->list[i].name, f->list[i].text);
	return fflush(stdout) == 0 ? CTL_OK : CTL_REFUSED;
}

/* 0, also where something differs; 2 if fastlo cannot work here; 3 if only the daemon is missing. */
int verb_doctor(int argc, char **argv)
{
	struct findings f = { .n = 0 };
	int code = ctl_no_arguments(argc, argv), absent;

	if (code)
		return code;
	look_at_host(&f);
	absent = look_at_daemon(&f);
	code = print(&f);
	for (size_t i = 0; i < f.n && !code; i++)
		if (f.list[i].verdict == FINDING_BAD)
			code = CTL_REFUSED;
	return code ? code : absent;
}
