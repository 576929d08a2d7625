/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of scenarios: streams by themselves, the same while something disturbs them, and connections
 * in masses.
 */
#include "chaos.h"
#include "mass.h"

#define WILD (TRAFFIC_PEEK | TRAFFIC_PAUSE | TRAFFIC_VECTORS)
#define TALK (WILD | TRAFFIC_CATCHUP) /* a sender that never waits for its reader soon stays on TCP */

/* Kept in the sockmap, where the order of the two ways is at stake; or free to leave it and to come back. */
#define STREAM(title, parts, ...) STREAM_OF("bulk_leaves = no\n" TORTURE_POLICY, title, parts, __VA_ARGS__)
#define LEAVING(title, parts, ...) STREAM_OF(TORTURE_POLICY, title, parts, __VA_ARGS__)
#define STREAM_OF(conf, title, parts, ...)                                                                          \
	{ .name = title, .config = conf, .share = parts, .run = streams_run,                                        \
	  .stream = &(const struct stream){ __VA_ARGS__ } }
#define DISTURBED(title, what, conf) { .name = title, .config = conf, .run = chaos_run, .disturbance = &what }

const struct scenario scenarios[] = {
	STREAM("eager-v4", 10, V4, true, false, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 8),
	STREAM("eager-v6", 10, V6, true, true, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 8),
	STREAM("eager-mapped", 8, MAPPED, true, false, TALK, 1 << 16, 1 << 16, 8),
	STREAM("eager-own", 8, OWN, true, true, TALK, 1 << 16, 1 << 16, 8),
	STREAM("eager-full", 8, V6, true, true, WILD | TRAFFIC_BUFFERS, 1 << 20, 1 << 20, 8),
	STREAM("eager-blocking", 10, V4, true, true, TALK | TRAFFIC_BLOCKING, 1 << 16, 1 << 18, 8),
	STREAM("eager-waitall", 6, V6, true, false, WILD | TRAFFIC_BLOCKING | TRAFFIC_WAITALL, 1 << 18, 1 << 18, 8,
	       .tcp_only = true),
	STREAM("eager-small", 1, V4, true, false, TRAFFIC_PEEK | TRAFFIC_VECTORS, 400, 3000, 4),
	STREAM("eager-mixed", 2, V6, true, true, TRAFFIC_VECTORS | TRAFFIC_CATCHUP, 1 << 18, 3000, 4),
	STREAM("eager-short", 2, V4, true, false, TALK, 1 << 15, 1 << 15, 400),
	STREAM("observed-v4", 10, V4, false, true, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 8),
	STREAM("observed-v6", 10, V6, false, false, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 8),
	STREAM("observed-mapped", 8, MAPPED, false, true, TALK, 1 << 16, 1 << 16, 8),
	STREAM("observed-own", 8, OWN, false, false, TALK, 1 << 16, 1 << 16, 8),
	STREAM("observed-full", 8, V4, false, false, WILD | TRAFFIC_BUFFERS, 1 << 20, 1 << 20, 8),
	STREAM("observed-small", 1, V6, false, true, WILD, 400, 3000, 4),
	LEAVING("eager-leaving", 10, V4, true, true, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 8),
	LEAVING("observed-leaving", 10, V6, false, false, TALK | TRAFFIC_BUFFERS, 1 << 18, 1 << 18, 8),
	STREAM("observed-short", 2, MAPPED, false, false, TALK, 1 << 15, 1 << 15, 400),
	DISTURBED("undisturbed", disturb_none, TORTURE_POLICY),
	DISTURBED("cgroup-filters", disturb_cgroup_filters, TORTURE_POLICY),
	DISTURBED("socket-filters", disturb_socket_filters, TORTURE_POLICY),
	DISTURBED("policies", disturb_policies, ""),
	DISTURBED("killed", disturb_killed, TORTURE_POLICY),
	DISTURBED("stopped", disturb_stopped, TORTURE_POLICY),
	DISTURBED("upgraded", disturb_upgraded, TORTURE_POLICY),
	DISTURBED("other-abi", disturb_other_abi, TORTURE_POLICY),
	DISTURBED("drained", disturb_drained, TORTURE_POLICY),
	DISTURBED("reloaded", disturb_reloaded, TORTURE_POLICY),
	DISTURBED("ring-full", disturb_ring, TORTURE_POLICY),
	DISTURBED("table-full", disturb_full, "max_pairs = 4\nmax_pairs_per_uid = 0\n" TORTURE_POLICY),
	DISTURBED("memory", disturb_memory, TORTURE_POLICY),
	DISTURBED("forks", disturb_forks, TORTURE_POLICY),
	DISTURBED("cgroup-gone", disturb_cgroup, TORTURE_POLICY),
	DISTURBED("cpu", disturb_cpu, TORTURE_POLICY),
	{ .name = "clock", .config = TORTURE_POLICY, .by_name_only = true, .run = chaos_run, .disturbance = &disturb_clock },
	{ .name = "mass-churn", .config = MASS_POLICIES, .run = mass_churn },
	{ .name = "mass-open", .config = MASS_POLICIES, .run = mass_open },
};
const size_t n_scenarios = sizeof(scenarios) / sizeof(scenarios[0]);
