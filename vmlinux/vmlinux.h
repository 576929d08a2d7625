/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of the kernel's types that fastlo reads, kept by hand: CO-RE fits each field to the running
 * kernel, so only names and kinds count here, not offsets. Every field is used by a program in bpf/.
 */
#ifndef FL_VMLINUX_H
#define FL_VMLINUX_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false = 0, true = 1 };
#define NULL ((void *)0)

/* uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_SOCKMAP = 15,
	BPF_MAP_TYPE_SOCKHASH = 18,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_NO_PREALLOC = 1U << 0, BPF_F_CLONE = 1U << 9, BPF_F_MMAPABLE = 1U << 10 };
enum { BPF_F_INGRESS = 1ULL << 0 };
enum { BPF_SK_STORAGE_GET_F_CREATE = 1ULL << 0 };
enum { BPF_RB_FORCE_WAKEUP = 1ULL << 1 };
enum {
	BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4,
	BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5,
};
enum { BPF_SOCK_OPS_RTO_CB_FLAG = 1U << 0, BPF_SOCK_OPS_RETRANS_CB_FLAG = 1U << 1 };
enum sk_action { SK_DROP = 0, SK_PASS = 1 };
enum {
	BPF_TCP_CLOSE = 7,
	BPF_TCP_LISTEN = 10,
};

/* Contexts of programs: fixed layout (uapi), no relocation. */
struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol, mark, priority;
	__u32 src_ip4, src_ip6[4], src_port;
	__be16 dst_port;
	__u16 : 16;
	__u32 dst_ip4, dst_ip6[4], state;
	__s32 rx_queue_mapping;
};
struct bpf_sock_ops {
	__u32 op;
	__u32 args[4];
	__u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4];
	__u32 remote_port, local_port, is_fullsock;
	__u32 snd_cwnd, srtt_us, bpf_sock_ops_cb_flags, state, rtt_min, snd_ssthresh, rcv_nxt, snd_nxt;
	__u32 snd_una, mss_cache, ecn_flags, rate_delivered, rate_interval_us, packets_out, retrans_out;
	__u32 total_retrans, segs_in, data_segs_in, segs_out, data_segs_out, lost_out, sacked_out, sk_txhash;
	__u64 bytes_received, bytes_acked;
	union {
		struct bpf_sock *sk;
		__u64 : 64;
	} __attribute__((aligned(8)));
};
struct sk_msg_md {
	union {
		void *data;
		__u64 : 64;
	} __attribute__((aligned(8)));
	union {
		void *data_end;
		__u64 : 64;
	} __attribute__((aligned(8)));
	__u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, size;
	union {
		struct bpf_sock *sk;
		__u64 : 64;
	} __attribute__((aligned(8)));
};
struct bpf_sockopt {
	union {
		struct bpf_sock *sk;
		__u64 : 64;
	} __attribute__((aligned(8)));
	union {
		void *optval;
		__u64 : 64;
	} __attribute__((aligned(8)));
	union {
		void *optval_end;
		__u64 : 64;
	} __attribute__((aligned(8)));
	__s32 level, optname, optlen, retval;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;
typedef struct {
	s64 counter;
} atomic64_t;
typedef struct {
	u32 val;
} kuid_t;
typedef struct {
	struct net *net;
} possible_net_t;
struct list_head {
	struct list_head *next;
};
struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};
struct linux_mib {
	unsigned long mibs[64];
};

/* the loopback device's own filters */
struct bpf_mprog_entry; /* tcx: Linux 6.6 */
struct mini_Qdisc;	/* before it */
struct nf_hook_entries;
struct bpf_prog;
struct Qdisc {
	void *enqueue;
};
struct ipv4_devconf {
	int data[16];
};
struct in_device {
	struct ipv4_devconf cnf;
};
struct net_device {
	unsigned int flags;
	int ifindex;
	struct bpf_prog *xdp_prog;
	struct bpf_mprog_entry *tcx_ingress, *tcx_egress;
	struct mini_Qdisc *miniq_ingress, *miniq_egress;
	struct nf_hook_entries *nf_hooks_ingress, *nf_hooks_egress;
	struct Qdisc *qdisc;
	struct in_device *ip_ptr;
};
struct dst_entry {
	struct net_device *dev;
};

/* the filters of a network namespace */
struct nf_hook_entry {
	void *hook;
	void *priv;
};
struct nf_hook_entries {
	u16 num_hook_entries;
	struct nf_hook_entry hooks[0];
};
struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[5];
	struct nf_hook_entries *hooks_ipv6[5];
};
struct netns_nftables {
	u8 gencursor;
};
struct netns_packet {
	struct hlist_head sklist;
};
struct netns_xfrm {
	unsigned int policy_count[6];
	u8 policy_default[3];
};
struct netns_ipv4 {
	int sysctl_tcp_rmem[3];
};
struct net {
	u64 net_cookie;
	struct netns_ipv4 ipv4;
	struct net_device *loopback_dev;
	struct netns_packet packet;
	struct netns_nf nf;
	struct netns_nftables nft;
	struct netns_xfrm xfrm;
};
struct kernfs_node {
	u64 id;
};
struct bpf_prog_array_item {
	struct bpf_prog *prog;
};
struct bpf_prog_array {
	struct bpf_prog_array_item items[0];
};
enum cgroup_bpf_attach_type {
	CGROUP_INET_INGRESS,
	CGROUP_INET_EGRESS,
};
struct cgroup_bpf {
	struct bpf_prog_array *effective[2];
};
struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
};
struct cgroup {
	struct cgroup_subsys_state self;
	int level;
	struct kernfs_node *kn;
	struct cgroup_bpf bpf;
};
struct sock_cgroup_data {
	struct cgroup *cgroup;
};
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	struct proto *skc_prot;
	unsigned char skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
	struct hlist_node skc_node;
};
enum sock_flags {
	SOCK_DEAD = 0,
	SOCK_URGINLINE = 1,
	SOCK_RCVTSTAMP = 11,
	SOCK_TIMESTAMPING_RX_SOFTWARE = 15,
	SOCK_ZEROCOPY = 18,
};
typedef struct {
	long counter;
} atomic_long_t;
struct proto {
	atomic_long_t *memory_allocated;
	long *sysctl_mem;
};
struct page_counter {
	atomic_long_t usage;
	unsigned long max;
	struct page_counter *parent;
};
struct mem_cgroup {
	struct page_counter memory;
	_Bool tcpmem_active; /* cgroup v1 */
};
typedef struct {
	int owned;
} socket_lock_t;
typedef struct wait_queue_head {
	struct list_head head;
} wait_queue_head_t;
struct fasync_struct;
struct socket_wq {
	wait_queue_head_t wait;
	struct fasync_struct *fasync_list;
};
struct wait_queue_entry {
	struct list_head entry;
};
struct epoll_event {
	__u32 events;
};
struct eppoll_entry {
	struct epitem *base;
	struct wait_queue_entry wait;
};
struct epitem {
	struct eppoll_entry *pwqlist;
	struct epoll_event event;
};
struct sk_filter;
struct xfrm_policy;
struct bpf_local_storage;
struct socket;
struct sock {
	struct sock_common __sk_common;
	__s32 sk_peek_off;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	int sk_rcvbuf;
	u8 sk_userlocks;
	struct sk_filter *sk_filter;
	int sk_rcvlowat;
	u32 sk_tsflags;
	unsigned long sk_max_pacing_rate;
	kuid_t sk_uid;
	u16 sk_protocol;
	u8 sk_shutdown;
	socket_lock_t sk_lock;
	struct socket_wq *sk_wq;
	struct socket *sk_socket;
	struct mem_cgroup *sk_memcg;
	u16 sk_type;
	struct xfrm_policy *sk_policy[2];
	struct dst_entry *sk_dst_cache;
	void *sk_user_data;
	struct sock_cgroup_data sk_cgrp_data;
	struct bpf_local_storage *sk_bpf_storage;
};
struct packet_sock {
	struct sock sk;
	int ifindex;
	__be16 num;
};
struct inet_sock {
	struct sock sk;
};
struct tcp_ulp_ops;
struct inet_connection_sock {
	struct inet_sock icsk_inet;
	const struct tcp_ulp_ops *icsk_ulp_ops;
};
struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 copied_seq;
	u32 rcv_nxt;
	u32 rcv_wup;
	u32 rcv_wnd;
	u32 write_seq;
	u64 bytes_sent;
	u64 bytes_retrans;
	u32 data_segs_in;
	u8 bpf_sock_ops_cb_flags;
	u8 scaling_ratio; /* Linux 6.6 */
	u8 repair : 1;
	u8 recvmsg_inq : 1;
	bool is_mptcp;
};
typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;
struct sk_psock {
	refcount_t refcnt;
	struct list_head ingress_msg;
};

struct file {
	struct {
		s64 counter;
	} f_count;
};
/* Linux 6.13 */
struct file___ref {
	struct {
		struct {
			s64 counter;
		} refcnt;
	} f_ref;
};
struct socket {
	struct file *file;
	struct sock *sk;
};
struct thread_info {
	u32 status;
};
struct task_struct {
	void *stack;
	struct thread_info thread_info;
};
struct pt_regs {
	unsigned long r10;
	unsigned long dx;
	unsigned long si;
	unsigned long orig_ax;
};

struct bpf_map;
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
	u64 seq_num;
};
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};
struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};
struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

struct kallsym_iter {
	unsigned long value;
	char name[1];
};
struct bpf_iter__ksym {
	struct bpf_iter_meta *meta;
	struct kallsym_iter *ksym;
};

#pragma clang attribute pop

#endif
