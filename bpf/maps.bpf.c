// SPDX-License-Identifier: GPL-2.0-only
/*
 * Definitions of the maps and knobs that maps.h declares. No code.
 */
#include "maps.h"

struct fl_sk_map fl_sk SEC(".maps");
struct fl_slots_map fl_slots SEC(".maps");
struct fl_chunks_map fl_chunks SEC(".maps");
struct fl_free_map fl_free SEC(".maps");
struct fl_pending_map fl_pending SEC(".maps");
struct fl_uids_map fl_uids SEC(".maps");
struct fl_sock_map fl_sock SEC(".maps");
struct fl_progs_map fl_progs SEC(".maps");
struct fl_policy_map fl_policy SEC(".maps");
struct fl_reasons_map fl_reasons SEC(".maps");
struct fl_totals_map fl_totals SEC(".maps");
struct fl_events_map fl_events SEC(".maps");
struct fl_wanted_map fl_wanted SEC(".maps");

const volatile bool fl_has_cast = true;
const volatile bool fl_oob_by_regs = true;
const volatile bool fl_has_observer = true;

struct fl_ctl fl_ctl SEC(".data.ctl") = { .abi = FL_ABI_VERSION, .mode = FL_MODE_DRAIN };

char LICENSE[] SEC("license") = "GPL";
