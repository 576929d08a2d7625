// SPDX-License-Identifier: GPL-2.0-only
/*
 * The textbook sockmap redirector, a peer of the benchmark: every IPv4 connection of its cgroup goes into a
 * sockhash by its 4-tuple, every message into the socket with the mirrored one. No rule at all, on purpose:
 * it shows what the mechanism alone costs. Unsafe for use; see docs/ARCHITECTURE.md for what it leaves out.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct tuple {
	__u32 local_ip, remote_ip;
	__u32 local_port, remote_port; /* network order, low half */
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, struct tuple);
	__type(value, __u64);
} redirect_socks SEC(".maps");

SEC("sockops")
int redirect_ops(struct bpf_sock_ops *ops)
{
	struct tuple own;

	if (ops->family != 2 /* AF_INET */)
		return 1;
	if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	own.local_ip = ops->local_ip4;
	own.remote_ip = ops->remote_ip4;
	own.local_port = bpf_htons(ops->local_port);
	/* network order in the upper half */
	own.remote_port = bpf_htons(bpf_ntohl(ops->remote_port));
	bpf_sock_hash_update(ops, &redirect_socks, &own, BPF_NOEXIST);
	return 1;
}

SEC("sk_msg")
int redirect_msg(struct sk_msg_md *msg)
{
	struct tuple other;

	other.local_ip = msg->remote_ip4;
	other.remote_ip = msg->local_ip4;
	other.local_port = bpf_htons(bpf_ntohl(msg->remote_port));
	other.remote_port = bpf_htons(msg->local_port);
	bpf_msg_redirect_hash(msg, &redirect_socks, &other, BPF_F_INGRESS);
	return SK_PASS;
}

char _license[] SEC("license") = "GPL";
