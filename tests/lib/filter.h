/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Filters that count: BPF programs of any packet-seeing type, and the host's own tools in a namespace. "Payload" is
 * what is left of the counted bytes without headers, so that it compares with what was sent.
 */
#ifndef FASTLO_TESTS_FILTER_H
#define FASTLO_TESTS_FILTER_H

#include <linux/bpf.h>

#include "harness.h"

#define TCP_HEADERS 52 /* IPv4, TCP, timestamps; an IPv6 header is 20 more */

struct probe {
	int map, prog;
};
/* Counts, and accepts or drops by its switch. type: CGROUP_SKB, SCHED_CLS or XDP. */
int probe_load(struct probe *ret, enum bpf_prog_type type);
/* As systemd's IPAddressDeny=127.0.0.0/8 on egress: a longest-prefix map decides. */
int probe_load_deny(struct probe *ret);
void probe_close(struct probe *p);
uint64_t probe_packets(const struct probe *p);
uint64_t probe_payload(const struct probe *p, unsigned int headers);
int probe_drop(const struct probe *p, bool drop);

/* Runs a shell command in ns (-1: here): its exit status, 127 if the tool is missing. What it says is kept. */
int sh(int ns, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
extern char sh_said[65536];

#endif
