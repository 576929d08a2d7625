/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl doctor: can fastlo work on this host, and how does this kernel treat a spliced socket? The host part
 * needs nothing; the live part needs a running fastlod.
 */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cgroup.h"
#include "control_call.h"
#include "ctl.h"
#include "doctor.h"
#include "paths.h"

#define CAP_NET_ADMIN 12
#define CAP_SYS_ADMIN 21
#define CAP_PERFMON 38
#define CAP_BPF 39

static const char *const verdict_names[DOCTOR_VERDICTS] = { "good", "differs", "bad", "untried" };

void doctor_say(struct findings *f, const char *name, enum verdict verdict, const char *fmt, ...)
{
	struct finding *x = &f->list[f->n];
	va_list ap;

	if (f->n == DOCTOR_MAX)
		return;
	f->n++;
	x->name = name;
	x->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(x->text, sizeof(x->text), fmt, ap);
	va_end(ap);
}

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
		doctor_say(f, "capabilities", DOCTOR_GOOD, "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
	else
		doctor_say(f, "capabilities", DOCTOR_UNTRIED,
			   "this user may not load programs; fastlod needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
}

static void look_at_host(struct findings *f)
{
	struct utsname u = { 0 };
	char *mount;

	uname(&u);
	doctor_say(f, "kernel", DOCTOR_GOOD, "Linux %s, %s", u.release, u.machine);
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		doctor_say(f, "btf", DOCTOR_GOOD, "/sys/kernel/btf/vmlinux");
	else
		doctor_say(f, "btf", DOCTOR_BAD, "no /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)");
	if (cgroup_mount_find(&mount) == 0) {
		doctor_say(f, "cgroup2", DOCTOR_GOOD, "%s", mount);
		free(mount);
	} else {
		doctor_say(f, "cgroup2", DOCTOR_BAD, "not mounted (try 'mount -t cgroup2 none /sys/fs/cgroup')");
	}
	look_at_caps(f);
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
		doctor_say(f, "fastlod", DOCTOR_UNTRIED, "no answer at '%s/%s': %s", paths_run_dir(), PATHS_CONTROL,
			   strerror(-r));
		return CTL_ABSENT;
	}
	doctor_say(f, "fastlod", DOCTOR_GOOD, "%s, pid %s, mode %s, cgroup %s", ctl_string(status, "version"),
		   ctl_string(status, "pid"), ctl_string(status, "mode"), ctl_string(status, "cgroup"));
	if (strcmp(ctl_string(status, "observer"), "none") == 0)
		doctor_say(f, "observer", DOCTOR_DIFFERS, "none: only eager sockets are spliced");
	else
		doctor_say(f, "observer", DOCTOR_GOOD, "%s", ctl_string(status, "observer"));
	json_object_put(status);
	return CTL_OK;
}

static int print(const struct findings *f)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->list[i];
		struct json_object *o = json_object_new_object();

		if (!ctl_json())
			printf("%-8s  %-22s %s\n", verdict_names[x->verdict], x->name, x->text);
		json_object_object_add(o, "name", json_object_new_string(x->name));
		json_object_object_add(o, "verdict", json_object_new_string(verdict_names[x->verdict]));
		json_object_object_add(o, "text", json_object_new_string(x->text));
		json_object_array_add(list, o);
	}
	if (ctl_json())
		return ctl_print(list);
	json_object_put(list);
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
	if (!absent)
		doctor_live(&f);
	code = print(&f);
	for (size_t i = 0; i < f.n && !code; i++)
		if (f.list[i].verdict == DOCTOR_BAD)
			code = CTL_REFUSED;
	return code ? code : absent;
}
