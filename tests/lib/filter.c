/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs are written out, so that no test needs a BPF compiler. Map: packets, bytes, the drop switch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "filter.h"

char sh_said[65536];

#define SH_PATIENCE_MS (12 * PATIENCE_MS) /* emulated, nft takes more than half a minute for 10,000 rules */

#define INSN(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define COPY(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define SUBTRACT(d, s) INSN(BPF_ALU64 | BPF_SUB | BPF_X, d, s, 0, 0)
#define LOAD(size, d, s, o) INSN(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STORE(d, o, i) INSN(BPF_ST | BPF_MEM | BPF_W, d, 0, o, i)
#define ATOMIC_ADD(d, s) INSN(BPF_STX | BPF_ATOMIC | BPF_DW, d, s, 0, BPF_ADD)
#define JUMP_EQ(d, i, o) INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, i)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define MAP(d, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

struct counts {
	uint64_t packets, bytes, drop;
};

static const struct {
	enum bpf_prog_type type;
	int accept, drop;
} verdicts[] = {
	{ BPF_PROG_TYPE_CGROUP_SKB, 1, 0 },
	{ BPF_PROG_TYPE_SCHED_CLS, 0, 2 }, /* TC_ACT_OK, TC_ACT_SHOT */
	{ BPF_PROG_TYPE_XDP, XDP_PASS, XDP_DROP },
};

static int load(struct probe *ret, enum bpf_prog_type type, const struct bpf_insn *insns, size_t n, int map)
{
	int prog;

	if (map < 0)
		return -errno;
	prog = bpf_prog_load(type, "fl_probe", "GPL", insns, n, NULL);
	if (prog < 0) {
		prog = -errno;
		close(map);
		return prog;
	}
	*ret = (struct probe){ map, prog };
	return 0;
}

int probe_load(struct probe *ret, enum bpf_prog_type type)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_probe", 4, sizeof(struct counts), 1, NULL);
	int accept = 0, drop = 0;

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		if (verdicts[i].type == type) {
			accept = verdicts[i].accept;
			drop = verdicts[i].drop;
		}
	}
	struct bpf_insn insns[] = {
		/* r6: the packet's length, of an skb or of an xdp_md */
		LOAD(BPF_W, 6, 1, 0),
		LOAD(BPF_W, 7, 1, 4),
		type == BPF_PROG_TYPE_XDP ? SUBTRACT(7, 6) : COPY(7, 6),
		STORE(10, -4, 0),
		COPY(2, 10),
		ADD(2, -4),
		MAP(1, map),
		CALL(BPF_FUNC_map_lookup_elem),
		JUMP_EQ(0, 0, 9),
		COPY(8, 0),
		MOV(1, 1),
		ATOMIC_ADD(8, 1),
		ADD(8, offsetof(struct counts, bytes)),
		ATOMIC_ADD(8, 7),
		LOAD(BPF_DW, 1, 0, offsetof(struct counts, drop)),
		MOV(0, drop),
		JUMP_EQ(1, 0, 1),
		EXIT,
		MOV(0, accept),
		EXIT,
	};

	return load(ret, type, insns, sizeof(insns) / sizeof(insns[0]), map);
}

int probe_load_deny(struct probe *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int map = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "fl_deny", 8, 8, 1, &opts);
	uint8_t key[8] = { 8, 0, 0, 0, 127, 0, 0, 0 };
	uint64_t value = 0;
	struct bpf_insn insns[] = {
		MOV(2, 16), /* daddr */
		COPY(3, 10),
		ADD(3, -4),
		MOV(4, 4),
		CALL(BPF_FUNC_skb_load_bytes),
		STORE(10, -8, 32),
		COPY(2, 10),
		ADD(2, -8),
		MAP(1, map),
		CALL(BPF_FUNC_map_lookup_elem),
		JUMP_EQ(0, 0, 2),
		MOV(0, 0),
		EXIT,
		MOV(0, 1),
		EXIT,
	};

	/* a prefix of 8 bits in host order; big-endian hosts are not tested on */
	if (map >= 0)
		bpf_map_update_elem(map, key, &value, BPF_ANY);
	return load(ret, BPF_PROG_TYPE_CGROUP_SKB, insns, sizeof(insns) / sizeof(insns[0]), map);
}

void probe_close(struct probe *p)
{
	close(p->prog);
	close(p->map);
}

static struct counts counts(const struct probe *p)
{
	struct counts c = { 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(p->map, &zero, &c);
	return c;
}

uint64_t probe_packets(const struct probe *p)
{
	return counts(p).packets;
}

uint64_t probe_payload(const struct probe *p, unsigned int headers)
{
	struct counts c = counts(p);

	return c.bytes - c.packets * headers;
}

int probe_drop(const struct probe *p, bool drop)
{
	struct counts c = { .drop = drop };
	uint32_t zero = 0;

	return bpf_map_update_elem(p->map, &zero, &c, BPF_ANY) < 0 ? -errno : 0;
}

int sh(int ns, const char *fmt, ...)
{
	char command[65536];
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", command, NULL };
	int out = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), old, r;
	pid_t pid;
	va_list ap;
	ssize_t n;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	sh_said[0] = '\0';
	if (out < 0)
		return -errno;
	r = netns_enter(ns, &old);
	if (r == 0) {
		r = proc_spawn(argv, NULL, 0, env.home, out, out, &pid);
		netns_leave(old);
	}
	if (r == 0)
		r = proc_wait(pid, SH_PATIENCE_MS);
	n = pread(out, sh_said, sizeof(sh_said) - 1, 0);
	sh_said[n > 0 ? n : 0] = '\0';
	if (r == -ETIMEDOUT)
		snprintf(sh_said, sizeof(sh_said), "not done in %d s", SH_PATIENCE_MS / 1000);
	close(out);
	return r < 0 ? r : WIFEXITED(r) ? WEXITSTATUS(r) : 128;
}
