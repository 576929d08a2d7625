/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Probing the host. The order of the checks is that in which a new user meets the problems, so that the
 * first line in the log names the first thing to mend.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "kernel.h"
#include "log.h"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

#define CAP_NET_ADMIN 12
#define CAP_SYS_ADMIN 21
#define CAP_PERFMON 38
#define CAP_BPF 39

static int check_caps(void)
{
	static const struct {
		int bit;
		const char *name;
	} need[] = { { CAP_BPF, "CAP_BPF" }, { CAP_NET_ADMIN, "CAP_NET_ADMIN" }, { CAP_PERFMON, "CAP_PERFMON" } };
	unsigned long long eff = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	if (!f)
		return 0; /* without /proc the loading itself will tell */
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &eff) == 1)
			break;
	fclose(f);
	for (size_t i = 0; i < sizeof(need) / sizeof(need[0]); i++) {
		bool by_sys_admin = need[i].bit != CAP_NET_ADMIN && (eff & 1ULL << CAP_SYS_ADMIN);

		if (!(eff & 1ULL << need[i].bit) && !by_sys_admin) {
			log_err("cannot load BPF programs: %s is missing (run as root, or with CAP_BPF, "
				"CAP_NET_ADMIN and CAP_PERFMON)", need[i].name);
			return -EPERM;
		}
	}
	return 0;
}

/* A program of two instructions that is attached to inet_recvmsg for a moment. */
static bool try_trampoline(const struct btf *btf)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FEXIT);
	int id = btf__find_by_name_kind(btf, "inet_recvmsg", BTF_KIND_FUNC), prog, link;

	if (id < 0)
		return false;
	opts.attach_btf_id = id;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "fl_probe", "GPL", insns, 2, &opts);
	if (prog < 0)
		return false;
	link = bpf_link_create(prog, 0, BPF_TRACE_FEXIT, NULL);
	close(prog);
	if (link < 0)
		return false;
	close(link);
	return true;
}

/* The youngest things that fastlo can't do without; each stands for the kernel that brought it. */
static int check_age(void)
{
	struct utsname u = { 0 };

	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_FUNC_set_retval, NULL) != 0)
		return 0;
	uname(&u);
	log_err("Linux %s is too old: it has no bpf_set_retval (Linux 5.18; fastlo needs 6.1 or later)", u.release);
	return -EOPNOTSUPP;
}

int kernel_probe(const struct config *cfg, struct kernel *ret)
{
	struct kernel k = { 0 };
	struct btf *btf;
	int r = check_caps();

	if (r < 0)
		return r;
	if (!log_verbose())
		libbpf_set_print(NULL); /* what fails here is said in one line below */
	btf = btf__load_vmlinux_btf();
	if (!btf) {
		r = -errno;
		log_err("cannot read the kernel's BTF '/sys/kernel/btf/vmlinux': %s (the kernel must be built with "
			"CONFIG_DEBUG_INFO_BTF)", strerror(-r));
		return r;
	}
	r = check_age();
	if (r < 0) {
		btf__free(btf);
		return r;
	}
	k.rdonly_cast = btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
	k.ipv6 = btf__find_by_name_kind(btf, "inet6_recvmsg", BTF_KIND_FUNC) > 0;
	k.recv_length = btf__find_by_name_kind(btf, "btf_trace_sock_recv_length", BTF_KIND_TYPEDEF) > 0;
	if (cfg->observer == CONFIG_OBSERVER_AUTO || cfg->observer == CONFIG_OBSERVER_TRAMPOLINE)
		k.trampoline = try_trampoline(btf);
	btf__free(btf);
	if (cfg->observer == CONFIG_OBSERVER_TRAMPOLINE && !k.trampoline) {
		log_err("observer = trampoline: this kernel does not allow fentry/fexit (use 'auto')");
		return -EOPNOTSUPP;
	}
	if (cfg->observer == CONFIG_OBSERVER_TRACEPOINT && !k.recv_length) {
		log_err("observer = tracepoint: this kernel has no sock_recv_length (Linux 6.3; use 'auto')");
		return -EOPNOTSUPP;
	}
	k.observer = k.trampoline ? "trampoline" : k.recv_length ? "tracepoint" : "none";
	if (cfg->observer == CONFIG_OBSERVER_NONE)
		k.observer = "none";
	*ret = k;
	return 0;
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static int make_pin_dir(const char *dir)
{
	int r = mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;

	if (r < 0) {
		log_err("cannot create '%s': %s%s", dir, strerror(-r),
			r == -EACCES ? " (try 'systemd-tmpfiles --create fastlo.conf')" :
			r == -EROFS ? " (a unit needs it in ReadWritePaths=)" : "");
	} else if (access(dir, W_OK) < 0 && errno == EROFS) {
		r = -EROFS;
		log_err("cannot pin in '%s': %s (a unit needs it in ReadWritePaths=)", dir, strerror(-r));
	}
	return r;
}

int kernel_bpffs(const char *dir)
{
	char *parent = strdup(dir), *slash;
	int r = 0;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash && slash != parent)
		*slash = '\0';
	if (!is_bpffs(parent) && strcmp(parent, "/sys/fs/bpf") == 0 &&
	    mount("bpf", parent, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		log_debug("cannot mount bpffs at '%s': %s", parent, strerror(errno));
	if (!is_bpffs(parent)) {
		log_err("pin_dir '%s' is not on a BPF file system (try 'mount -t bpf bpf /sys/fs/bpf')", dir);
		r = -ENODEV;
	} else {
		r = make_pin_dir(dir);
	}
	free(parent);
	return r;
}
