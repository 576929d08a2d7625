/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps, as every program sees them; maps.bpf.c defines them. All are pinned under fastlod's pin
 * directory. max_entries marked 1 here are set by fastlod from max_pairs before loading.
 */
#ifndef FL_MAPS_H
#define FL_MAPS_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "fastlo/abi.h"
#include "rules.h"

/* Written by setsockopt, sockops and adoption; read by all. Dies with its socket. */
struct fl_sk_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct fl_sk);
};
/* See struct fl_slot for who writes what. An element is in use from alloc to both ends' death. */
struct fl_slots_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_slot);
};
/*
 * What the sweep iterates over: one entry for FL_CHUNK slots, since each step of an iterator costs 100 ns or more, with
 * nothing in it. Not pinned; the sweep's link keeps it.
 */
struct fl_chunks_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};
/* Slots used before and free again. */
struct fl_free_map {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
};
/* Key -> slot, from the first end's arrival to the second's (or to the first one's death). */
struct fl_pending_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct fl_key);
	__type(value, __u32);
};
/* How many slots each user's sockets have taken: up when one is taken, down when it is given back, gone at 0. */
struct fl_uids_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __s32);
};
/* Index slot * 2 + side. Written by sockops (eager) and fl_admit; emptied by the sweep, or by the
 * kernel when a socket closes. */
struct fl_sock_map {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
};
/* Entry 0 is the current fl_splice: open sockets keep the stub of fl_sock, so this reaches them. */
struct fl_progs_map {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};
/* fastlod writes, sockops and adoption read. */
struct fl_policy_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, FL_MAX_POLICIES);
	__type(key, struct fl_policy_key);
	__type(value, struct fl_policy);
};
/* Messages and connections that were not spliced, by enum fl_reason. */
struct fl_reasons_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_R_MAX);
	__type(key, __u32);
	__type(value, __u64);
};
/* enum fl_total */
struct fl_totals_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_T_MAX);
	__type(key, __u32);
	__type(value, __u64);
};
/* struct fl_event, to fastlod. A lost event is made good by the periodic sweep. */
struct fl_events_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
};

/* fastlod's own, not pinned: names to look for among the kernel's symbols. */
struct fl_wanted_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_NAMES_MAX);
	__type(key, struct fl_name);
	__type(value, __u32);
};

extern struct fl_sk_map fl_sk SEC(".maps");
extern struct fl_slots_map fl_slots SEC(".maps");
extern struct fl_chunks_map fl_chunks SEC(".maps");
extern struct fl_free_map fl_free SEC(".maps");
extern struct fl_pending_map fl_pending SEC(".maps");
extern struct fl_uids_map fl_uids SEC(".maps");
extern struct fl_sock_map fl_sock SEC(".maps");
extern struct fl_progs_map fl_progs SEC(".maps");
extern struct fl_policy_map fl_policy SEC(".maps");
extern struct fl_reasons_map fl_reasons SEC(".maps");
extern struct fl_totals_map fl_totals SEC(".maps");
extern struct fl_events_map fl_events SEC(".maps");
extern struct fl_wanted_map fl_wanted SEC(".maps");

/* Set before loading, from what probing found. */
extern const volatile bool fl_has_cast;	   /* bpf_rdonly_cast: Linux 6.2 */
extern const volatile bool fl_oob_by_regs; /* no trampoline tells of MSG_OOB: look at the caller's registers */
extern const volatile bool fl_has_observer;
extern struct fl_ctl fl_ctl;

#endif
