/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything that the BPF programs and user space share. Pinned maps outlive both, so any change of
 * a layout, of an enum's numbers or of a map's size rule is a new FL_ABI_VERSION.
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d; ports are in host order.
 */
#ifndef FASTLO_ABI_H
#define FASTLO_ABI_H

#include "fastlo.h"

#ifndef FL_ABI_VERSION /* a test builds another one */
#define FL_ABI_VERSION 4
#endif
/*
 * The same in every ABI, so that any fastlod can drain what any other one left pinned: `abi` and `mode` begin the
 * map `data_ctl`, FL_MODE_DRAIN is 1, and FL_SWEEP_PIN is the link of an iterator that releases what it can and
 * writes fl_sweep_recs, where FL_SW_RELEASING and FL_SW_HALF tell what it could not.
 */
#define FL_SWEEP_PIN "link_sweep"
#define FL_PIN_DIR "/sys/fs/bpf/fastlo"
#define FL_MAX_PAIRS_DEFAULT 65536
#define FL_MAX_PAIRS_LIMIT 1048576
#define FL_CHUNK 64	   /* slots that one step of the sweep's iterator tends */
#define FL_ENTER_SEGS 4	   /* data segments that an observed end receives before it takes a slot */
#define FL_CGROUP_DEPTH 16 /* ancestors of a socket's cgroup that policies are looked up for */

enum fl_reason {
#define FL_REASON(sym, name, text) FL_R_##sym,
#include "reason.def"
#undef FL_REASON
	FL_R_MAX,
};

/* A pair's life. Only compare-and-swap moves it on, but for FREE -> HALF by the owner of the slot. */
enum fl_pair_state {
	FL_FREE = 0,
	FL_HALF,      /* one end is registered, the pending map knows the slot */
	FL_OBSERVE,   /* both ends known, not (both) admitted */
	FL_READY,     /* both ends may be admitted: fastlod has been asked to */
	FL_ADMITTED,  /* both ends are in the sockmap */
	FL_RELEASING, /* every message goes over TCP; leaves the sockmap once nothing spliced is unread */
	FL_PLAIN,     /* out of the sockmap for good, slot->stop says why */
};

/* fl_sk.flags and fl_side.flags */
#define FL_F_SOCKET (1U << 0)  /* opted in by setsockopt */
#define FL_F_POLICY (1U << 1)  /* opted in by a policy */
#define FL_F_EAGER (1U << 2)   /* admitted when established */
#define FL_F_BLOCKING (1U << 3) /* blocking reads are allowed */
/* fl_sk.flags only */
#define FL_F_ENTERING (1U << 4) /* somebody is about to give it a slot */
/* fl_side.flags only */
#define FL_F_ADMITTED (1U << 8)
#define FL_F_LATE (1U << 9) /* rule 3 holds for it: somebody may have been parked in a receive */
#define FL_F_PRESENT (1U << 10)
#define FL_F_CLOSED (1U << 11)
#define FL_F_UNBASED (1U << 12) /* adopted while open: the first completed receive sets base */
#define FL_F_AT_BIRTH (1U << 13) /* in the sockmap since its connection came to be */

/*
 * Which of the host's filters make a message go over TCP: fl_ctl.yield for all, and what a policy says of its own
 * sockets, in the upper half of fl_policy.flags, fl_sk.flags and fl_side.flags. Of two ends every bit counts.
 */
#define FL_Y_PACKET (1U << 0) /* AF_PACKET sockets */
#define FL_Y_RULES (1U << 1)  /* netfilter hooks that hold rules, or of which nothing is known */
#define FL_Y_HOOKS (1U << 2)  /* every netfilter hook */
#define FL_Y_TC (1U << 3)
#define FL_Y_XDP (1U << 4)
#define FL_Y_XFRM (1U << 5)
#define FL_Y_LSM (1U << 6)
#define FL_Y_ALL ((1U << 7) - 1)
#define FL_F_YIELD_SHIFT 16	/* the bits, */
#define FL_F_YIELD_SET_SHIFT 24 /* and which of them the policy decides */
#define FL_F_YIELDS (FL_Y_ALL << FL_F_YIELD_SHIFT | FL_Y_ALL << FL_F_YIELD_SET_SHIFT)
#define FL_F_TERMS (FL_F_EAGER | FL_F_BLOCKING | FL_F_YIELDS) /* what a policy decides */

/* What an endpoint's readers were seen to do: fl_rx.habits */
#define FL_HABIT_BLOCKING (1U << 0)
#define FL_HABIT_WAITALL (1U << 1)
#define FL_HABIT_TRUNC (1U << 2)
#define FL_HABIT_OOB (1U << 3)
#define FL_HABIT_READERS (1U << 4) /* more than one thread blocks in receives */

/* socket storage: small, since every opted-in socket has one. Cloned by accept. */
struct fl_sk {
	__u32 slot;    /* index into fl_slots + 1; 0: none */
	__u16 side;    /* 0 or 1 */
	__u16 refused; /* enum fl_reason, while there is no slot */
	__u32 flags;   /* FL_F_SOCKET .. FL_F_BLOCKING, FL_F_YIELDS */
};

/* Written under the sending socket's lock, by that endpoint's senders only. */
struct fl_tx {
	__u64 spliced_bytes; /* low 32 bits are A.spliced of the engage rule */
	__u64 spliced_msgs;
	__u32 engaged; /* the last message was spliced */
	__u32 reason;  /* enum fl_reason of the last message that was not */
	__u32 mark_pos; /* backlog bound, see bpf/rules.h */
	__u32 mark_msgs;
	__u32 freed_msgs;
	__u32 tgid; /* who sent last */
	__u64 yielded_msgs;
	__u64 yielded_bytes;
	__u32 seq; /* write_seq at the last splice: while it stands, no TCP byte came between */
	__u32 debt; /* of messages that did not fit, see bpf/rules.h */
};

/* Written by the receivers of that endpoint only, atomically. */
struct fl_rx {
	__u64 returned; /* bytes handed over by completed receives; low 32 bits count in the engage rule */
	__u32 reads;	/* completed receives that returned bytes */
	__u32 habits;
	__u32 tgid; /* who read last */
	__u32 blocker; /* the thread that was seen last in a blocking receive, */
	__u32 former;  /* and the one before it */
	__u32 changes; /* of the one by the other */
	__u32 pad[8];
};

/* Written when an end is registered, admitted, released; read by everybody. */
struct fl_side {
	__u64 sk;     /* kernel address; valid only while cookie still matches there */
	__u64 cookie; /* 0: closed */
	__u64 cgroup;
	__u32 base; /* copied_seq from which `returned` counts */
	__u32 flags;
	__u32 reads_at_admit;
	__u32 uid;
	__u32 doubts; /* messages since rule 2 began to say no although all was read; written by this side's sender */
	__u32 pad0;
	__u64 doubted; /* when it did; CLOCK_MONOTONIC, ns */
	__u32 drained; /* epoch + 1: while RELEASING in that epoch, all that was spliced to this side had been returned */
	__u32 pad;
	struct fl_tx tx;
	struct fl_rx rx;
};

struct fl_slot {
	__u32 state; /* enum fl_pair_state */
	__u32 gen;   /* counts the uses of this slot */
	__u32 stop;  /* enum fl_reason: neither direction may be spliced any more */
	__u32 dead;  /* bit 0, 1: that side's socket is gone */
	__u64 id;    /* never used twice while the maps live */
	__u64 netns; /* netns cookie */
	__u64 born;  /* CLOCK_MONOTONIC, ns */
	__u8 addr[2][16];
	__u16 port[2];
	__u16 server; /* the side that listened */
	__u16 pad0;
	__u32 uid;     /* counted in fl_uids: of the end that came first */
	__u64 stopped; /* when `stop` was set; CLOCK_MONOTONIC, ns */
	__u32 pauses;  /* times in a row that it came back and soon had to leave again */
	__u32 epoch;   /* counts the times that messages could be spliced again */
	__u32 pad2[6];
	struct fl_side side[2];
};

/* Two ends of one connection make the same key: the lower (address, port) comes first. */
struct fl_key {
	__u64 netns;
	__u8 addr[2][16];
	__u16 port[2];
	__u32 pad;
};

/* A policy's selector. A field that does not count is 0 and its bit of the shape is clear. */
#define FL_SHAPE_CGROUP (1U << 2)
#define FL_SHAPE_PORT (1U << 1)
#define FL_SHAPE_UID (1U << 0)
#define FL_SHAPES 8
struct fl_policy_key {
	__u64 cgroup; /* cgroup id: this cgroup and everything below it */
	__u32 uid;
	__u16 port; /* of the side that listens */
	__u16 shape;
};
struct fl_policy {
	__u32 flags; /* FL_F_EAGER, FL_F_BLOCKING, FL_F_YIELDS */
	__u32 id;
};
#define FL_MAX_POLICIES 16384

enum fl_mode {
	FL_MODE_RUN = 0,
	FL_MODE_DRAIN = 1, /* for ever */
	FL_MODE_UNFIT = 2, /* for good: the self-test found that this kernel loses or reorders bytes */
};

/* A netfilter hook is a function; what is known of it. */
enum fl_hook_what {
	FL_HOOK_UNKNOWN = 0,
	FL_HOOK_QUIET, /* connection tracking and its like: no rules, no effect on an established flow */
	FL_HOOK_NFT,   /* priv is a struct nft_chain */
	FL_HOOK_XT,    /* priv is a struct xt_table of IPv4, */
	FL_HOOK_XT6,   /* or of IPv6 */
};
struct fl_hook {
	__u64 addr; /* of the function; 0: free */
	__u32 what; /* enum fl_hook_what */
	__u32 pad;
};
/* A table hashed by address: at most FL_HOOK_PROBES places from fl_hook_at() on. */
#define FL_HOOKS 128
#define FL_HOOK_PROBES 8
static inline __attribute__((always_inline)) __u32 fl_hook_at(__u64 addr, __u32 probe)
{
	return (__u32)((addr >> 4) + probe) % FL_HOOKS;
}

enum fl_lsm {
	FL_LSM_NONE = 0, /* no LSM of this kernel labels packets */
	FL_LSM_COUNTED,	 /* the words at fl_host.lsm_users tell whether labels are in use */
	FL_LSM_ALWAYS,
};
#define FL_LSM_USERS 3

/* Kernel symbols that fastlod asks for, and what the iterator over all of them writes for each that it finds. */
struct fl_name {
	char text[32]; /* zero-filled */
};
struct fl_symbol {
	__u64 addr;
	__u32 index; /* of the name, as fastlod numbered them */
	__u32 pad;
};
#define FL_NAMES_MAX 128
/* indices for the stack of the task that runs the iterator, and for the registers saved on it */
#define FL_SYMBOL_STACK FL_NAMES_MAX
#define FL_SYMBOL_REGS (FL_NAMES_MAX + 1)

/*
 * What fastlod finds out about this kernel for bpf/host.h: addresses of symbols, and offsets of types that
 * may live in modules, which CO-RE at load time would miss. Renewed when a hook is met that is not in it.
 */
struct fl_host {
	struct fl_hook hooks[FL_HOOKS];
	__u64 lsm_users[FL_LSM_USERS]; /* addresses of counters */
	__u32 lsm;		       /* enum fl_lsm */
	__u16 nft_known;	       /* 0: what follows is not known, every nft hook counts as one with rules */
	__u16 nft_gen[2];	       /* nft_chain.blob_gen_0, blob_gen_1 */
	__u16 nft_base;		       /* nft_base_chain.chain, .policy, .stats */
	__u16 nft_policy;
	__u16 nft_stats;
	__u16 xt_known;
	__u16 xt_private; /* xt_table.private */
	__u16 xt_entry;	  /* xt_table_info.hook_entry, .underflow, .entries */
	__u16 xt_underflow;
	__u16 xt_entries;
	__u16 regs; /* from task_struct.stack to the saved registers of a system call; 0: not known */
};

#define FL_PAUSES_MAX 3 /* eight times as long */

/*
 * One instance, in the data section `.data.ctl`; fastlod writes, the programs read, but for `fresh`, `ids`, `halves`, `stranger`.
 */
struct fl_ctl {
	__u32 abi;	     /* FL_ABI_VERSION; stays first for ever */
	__u32 mode;	     /* enum fl_mode; stays second */
	__u32 shapes;	     /* bit s: policies of shape s exist */
	__u32 socket_opt_in; /* serve setsockopt */
	__u32 observe_reads; /* reads that each end must show before it is admitted */
	__u32 recheck;	     /* this sweep compares endpoints with the policies */
	__u32 fresh;	     /* slots never used yet start here */
	__u32 rmem_blind;    /* sk_rmem_alloc may not count spliced bytes: ask the books, too */
	__u32 yield;	     /* FL_Y_* */
	__u32 halves;	     /* fastlod knows that eager ends wait for a peer; cleared before it sweeps */
	__u64 ids;	     /* pair ids given out */
	__u64 pause_ns;	     /* how long what left the sockmap for a while stays out at first; doubles */
	__u64 half_ns;	     /* age at which an eager end without a peer leaves the sockmap */
	__u32 max_per_uid;   /* slots that one user's sockets may take; 0: no limit */
	__u32 bulk_stays;    /* nothing leaves the sockmap because splicing does not gain */
	__u64 cgroup;	     /* id of the cgroup that sockops is attached to: fl_scan looks no further */
	__u64 stranger;	     /* the last hook function that was not in `host` */
	struct fl_host host;
};

enum fl_event_type {
	FL_EV_ADMIT = 1, /* slot is READY */
	FL_EV_RELEASE,	 /* slot is RELEASING */
	FL_EV_HALF,	 /* an eager end was admitted without its peer */
	FL_EV_CGROUP,	 /* a cgroup came or went: path globs must be looked at again */
};
struct fl_event {
	__u32 type;
	__u32 slot;
	__u32 gen;
	__u32 pad;
};

/* per-CPU totals of what no live slot counts any more */
enum fl_total {
	FL_T_SPLICED_BYTES,
	FL_T_SPLICED_MSGS,
	FL_T_TCP_BYTES,
	FL_T_PAIRS,	/* paired since the start */
	FL_T_ADMITTED,	/* endpoints put into the sockmap */
	FL_T_RELEASED,	/* endpoints taken out while open */
	FL_T_LOST_EVENTS,
	FL_T_MAX,
};

/* The sweep iterator writes one of these for every slot that still needs fastlod. */
enum fl_sweep_what {
	FL_SW_RELEASING = 1, /* not drained yet; for ever, as is FL_SW_HALF */
	FL_SW_HALF = 3, /* an eager end waits for its peer */
	FL_SW_READY,  /* asked for admission and not admitted yet */
	FL_SW_PAUSED, /* left the sockmap for a while */
};
struct fl_sweep_rec {
	__u32 slot;
	__u32 what;
};

/* One record of the list iterator: the slot (its fl_side.sk zeroed), and what only the live sockets know. */
struct fl_record {
	__u32 slot;
	__u32 pad;
	struct {
		__u64 tcp_bytes; /* sent over TCP */
		__u32 queued;	 /* bytes unread in either queue */
		__u32 alive;
	} live[2];
	struct fl_slot data;
};

#if defined(__cplusplus)
#define FL_ASSERT(c) static_assert(c, #c)
#else
#define FL_ASSERT(c) _Static_assert(c, #c)
#endif
FL_ASSERT(sizeof(struct fastlo_info) == FASTLO_INFO_SIZE_V1);
FL_ASSERT(sizeof(struct fl_sk) == 12);
FL_ASSERT(sizeof(struct fl_tx) == 64);
FL_ASSERT(sizeof(struct fl_rx) == 64);
FL_ASSERT(sizeof(struct fl_side) == 192 && __builtin_offsetof(struct fl_side, cookie) == 8);
FL_ASSERT(sizeof(struct fl_slot) == 512);
FL_ASSERT(sizeof(struct fl_key) == 48);
FL_ASSERT(sizeof(struct fl_policy_key) == 16);
FL_ASSERT(sizeof(struct fl_host) == 16 * FL_HOOKS + 56);
FL_ASSERT(sizeof(struct fl_event) == 16);
FL_ASSERT(sizeof(struct fl_sweep_rec) == 8);
FL_ASSERT(sizeof(struct fl_record) == 8 + 32 + 512);

#endif
