/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Filters that come and go every 10 ms: cgroup_skb on the pairs' cgroup, socket filters on the receivers. All
 * let everything through; what counts is that they would have been asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "chaos.h"

#define PERIOD_MS 10

static struct {
	int prog, cgroup;
} own;

/* Now and then the residents must be seen to be spliced between two filters. */
static int grow_maybe(struct chaos *c)
{
	return c->steps % 16 ? 0 : chaos_grow(c);
}

static int cgroup_begin(struct chaos *c)
{
	const struct bpf_insn all[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	own.cgroup = open(env.app, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own.prog = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "fl_test_all", "GPL", all, 2, NULL);
	if (own.cgroup < 0 || own.prog < 0)
		return run_fail(c->run, "cannot load a cgroup_skb program: %s", strerror(errno));
	return 0;
}

static int cgroup_step(struct chaos *c)
{
	enum bpf_attach_type type = rnd(&c->rnd) % 2 ? BPF_CGROUP_INET_INGRESS : BPF_CGROUP_INET_EGRESS;
	int r;

	c->run->injected++;
	if (bpf_prog_attach(own.prog, own.cgroup, type, 0) < 0)
		return -errno;
	r = chaos_pause(c, PERIOD_MS);
	if (bpf_prog_detach2(own.prog, own.cgroup, type) < 0)
		return -errno;
	if (r == 0)
		r = chaos_pause(c, PERIOD_MS);
	return r == 0 ? grow_maybe(c) : r;
}

static int cgroup_proof(struct chaos *c)
{
	return run_counted(c->run, "reasons.cgroup_filter");
}

static void cgroup_end(struct chaos *c)
{
	(void)c;
	bpf_prog_detach2(own.prog, own.cgroup, BPF_CGROUP_INET_INGRESS);
	bpf_prog_detach2(own.prog, own.cgroup, BPF_CGROUP_INET_EGRESS);
	close(own.prog);
	close(own.cgroup);
}

const struct disturbance disturb_cgroup_filters = {
	.guests = 2, .begin = cgroup_begin, .step = cgroup_step, .proof = cgroup_proof, .end = cgroup_end,
};

/* On every receiver, or on some. */
static void filter_some(struct chaos *c, uint64_t which)
{
	struct sock_filter all[] = { { BPF_RET | BPF_K, 0, 0, 0xffffffff } };
	struct sock_fprog prog = { 1, all };

	for (int i = 0; i < CHAOS_MAX; i++)
		for (int side = 0; side < 2 && c->crowd[i].traffic; side++)
			if (which >> (2 * i + side) & 1)
				setsockopt(c->crowd[i].pair.fd[side], SOL_SOCKET, SO_ATTACH_FILTER, &prog,
					   sizeof(prog));
}

static void filter_none(struct chaos *c)
{
	for (int i = 0; i < CHAOS_MAX; i++)
		for (int side = 0; side < 2 && c->crowd[i].traffic; side++)
			setsockopt(c->crowd[i].pair.fd[side], SOL_SOCKET, SO_DETACH_FILTER, &(int){ 0 }, sizeof(int));
}

static int socket_step(struct chaos *c)
{
	int r;

	c->run->injected++;
	filter_some(c, rnd(&c->rnd));
	r = chaos_pause(c, PERIOD_MS);
	filter_none(c);
	if (r == 0)
		r = chaos_pause(c, PERIOD_MS);
	return r == 0 ? grow_maybe(c) : r;
}

static int socket_proof(struct chaos *c)
{
	return run_counted(c->run, "reasons.socket_filter");
}

const struct disturbance disturb_socket_filters = {
	.guests = 2, .step = socket_step, .proof = socket_proof,
};
