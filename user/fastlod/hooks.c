/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names in, addresses and offsets out. Modules come and go while fastlod runs, and most of what is looked for lives in
 * modules, hence not CO-RE but a table that can be filled again at any time. The programs read it meanwhile: an entry
 * is removed by its address and entered with its address last.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "hooks.h"
#include "log.h"

static const struct {
	const char *name;
	enum fl_hook_what what;
} known[] = {
	/* nat asks its rules for a flow's first packet only, and a flow that it translates never pairs */
	{ "ipv4_conntrack_defrag", FL_HOOK_QUIET },
	{ "ipv6_defrag", FL_HOOK_QUIET },
	{ "ipv4_conntrack_in", FL_HOOK_QUIET },
	{ "ipv6_conntrack_in", FL_HOOK_QUIET },
	{ "ipv4_conntrack_local", FL_HOOK_QUIET },
	{ "ipv6_conntrack_local", FL_HOOK_QUIET },
	{ "nf_confirm", FL_HOOK_QUIET },
	{ "ipv4_confirm", FL_HOOK_QUIET }, /* as these are called in Linux 6.1 */
	{ "ipv6_confirm", FL_HOOK_QUIET },
	{ "nf_nat_ipv4_pre_routing", FL_HOOK_QUIET },
	{ "nf_nat_ipv4_out", FL_HOOK_QUIET },
	{ "nf_nat_ipv4_local_fn", FL_HOOK_QUIET },
	{ "nf_nat_ipv4_local_in", FL_HOOK_QUIET },
	{ "nf_nat_ipv6_in", FL_HOOK_QUIET },
	{ "nf_nat_ipv6_out", FL_HOOK_QUIET },
	{ "nf_nat_ipv6_local_fn", FL_HOOK_QUIET },
	{ "nf_nat_ipv6_fn", FL_HOOK_QUIET },
	{ "nf_nat_ipv6_local_in", FL_HOOK_QUIET },
	/* these are kind lsm's: without labels they do nothing */
	{ "selinux_ip_forward", FL_HOOK_QUIET },
	{ "selinux_ip_output", FL_HOOK_QUIET },
	{ "selinux_ip_postroute", FL_HOOK_QUIET },
	{ "smack_ip_output", FL_HOOK_QUIET },
	{ "apparmor_ip_postroute", FL_HOOK_QUIET },
	{ "nft_do_chain_ipv4", FL_HOOK_NFT },
	{ "nft_do_chain_ipv6", FL_HOOK_NFT },
	{ "nft_do_chain_inet", FL_HOOK_NFT },
	{ "nft_do_chain_inet_ingress", FL_HOOK_NFT },
	{ "nft_do_chain_netdev", FL_HOOK_NFT },
	{ "nf_route_table_hook4", FL_HOOK_NFT },
	{ "nf_route_table_hook6", FL_HOOK_NFT },
	{ "nf_route_table_inet", FL_HOOK_NFT },
	{ "ipt_do_table", FL_HOOK_XT },
	{ "iptable_mangle_hook", FL_HOOK_XT },
	{ "ip6t_do_table", FL_HOOK_XT6 },
	{ "ip6table_mangle_hook", FL_HOOK_XT6 },
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

/* Counters of who uses labels: SECMARK rules, labelled IPsec, NetLabel protocols. */
static const char *const lsm_users[FL_LSM_USERS] = {
	"selinux_secmark_refcount",
	"selinux_xfrm_refcount",
	"netlabel_mgmt_protocount",
};

static void enter(struct fl_hook *hooks, uint64_t addr, enum fl_hook_what what)
{
	for (uint32_t i = 0; i < FL_HOOK_PROBES; i++) {
		struct fl_hook *h = &hooks[fl_hook_at(addr, i)];

		if (h->addr)
			continue;
		h->what = what;
		h->addr = addr;
		return;
	}
}

struct search {
	struct fl_host *host;
	uint64_t stack;
	int found;
};

static void on_symbol(const void *record, void *arg)
{
	const struct fl_symbol *symbol = record;
	struct search *s = arg;

	if (symbol->index == FL_SYMBOL_STACK) {
		s->stack = symbol->addr;
		return;
	}
	if (symbol->index == FL_SYMBOL_REGS) {
		s->host->regs = symbol->addr - s->stack <= UINT16_MAX ? symbol->addr - s->stack : 0;
		return;
	}
	if (symbol->index >= KNOWN) {
		s->host->lsm_users[symbol->index - KNOWN] = symbol->addr;
		return;
	}
	enter(s->host->hooks, symbol->addr, known[symbol->index].what);
	s->found++;
}

/* Returns how many hook functions have an address. */
static int read_symbols(struct programs *p, struct fl_host *host)
{
	const char *names[KNOWN + FL_LSM_USERS];
	struct search s = { .host = host };
	int r;

	for (size_t i = 0; i < KNOWN; i++)
		names[i] = known[i].name;
	memcpy(names + KNOWN, lsm_users, sizeof(lsm_users));
	r = programs_symbols(p, names, KNOWN + FL_LSM_USERS, on_symbol, &s);
	if (r < 0)
		log_warn("cannot read the kernel's symbols: %s; every netfilter hook counts as one with rules", strerror(-r));
	return s.found;
}

/* The BTF that has this struct: the kernel's, or a module's on top of it. NULL: none. */
static struct btf *btf_with(struct btf *vmlinux, const char *module, const char *type)
{
	char path[128];
	struct btf *btf;

	if (btf__find_by_name_kind(vmlinux, type, BTF_KIND_STRUCT) > 0)
		return vmlinux;
	/* by file: asking for BTF by its number takes CAP_SYS_ADMIN */
	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", module);
	btf = btf__parse_split(path, vmlinux);
	return libbpf_get_error(btf) ? NULL : btf;
}

static int offset_of(const struct btf *btf, const char *type, const char *member, uint16_t *ret)
{
	int id = btf ? btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT) : -ENOENT;
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;

	for (int i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_member *m = btf_members(t) + i;

		if (strcmp(btf__name_by_offset(btf, m->name_off), member) == 0) {
			*ret = btf_member_bit_offset(t, i) / 8;
			return 0;
		}
	}
	return -ENOENT;
}

static void read_types(struct fl_host *h)
{
	struct btf *vmlinux = btf__load_vmlinux_btf(), *nft, *xt;

	if (libbpf_get_error(vmlinux))
		return;
	nft = btf_with(vmlinux, "nf_tables", "nft_base_chain");
	h->nft_known = offset_of(nft, "nft_chain", "blob_gen_0", &h->nft_gen[0]) == 0 &&
		       offset_of(nft, "nft_chain", "blob_gen_1", &h->nft_gen[1]) == 0 &&
		       offset_of(nft, "nft_base_chain", "chain", &h->nft_base) == 0 &&
		       offset_of(nft, "nft_base_chain", "policy", &h->nft_policy) == 0 &&
		       offset_of(nft, "nft_base_chain", "stats", &h->nft_stats) == 0;
	xt = btf_with(vmlinux, "x_tables", "xt_table_info");
	h->xt_known = offset_of(xt, "xt_table", "private", &h->xt_private) == 0 &&
		      offset_of(xt, "xt_table_info", "hook_entry", &h->xt_entry) == 0 &&
		      offset_of(xt, "xt_table_info", "underflow", &h->xt_underflow) == 0 &&
		      offset_of(xt, "xt_table_info", "entries", &h->xt_entries) == 0;
	if (nft != vmlinux)
		btf__free(nft);
	if (xt != vmlinux)
		btf__free(xt);
	btf__free(vmlinux);
}

static bool has_line(const char *path, const char *what)
{
	FILE *f = fopen(path, "re");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return found;
}

/* The kernel makes their mount points if they were enabled at boot. Smack checks every packet. */
static enum fl_lsm find_lsm(const struct fl_host *h)
{
	if (access("/sys/fs/smackfs", F_OK) == 0)
		return FL_LSM_ALWAYS;
	if (access("/sys/fs/selinux", F_OK) < 0)
		return FL_LSM_NONE;
	for (int i = 0; i < FL_LSM_USERS; i++)
		if (!h->lsm_users[i])
			return FL_LSM_ALWAYS;
	return has_line("/sys/fs/selinux/policy_capabilities/always_check_network", "1") ? FL_LSM_ALWAYS
											  : FL_LSM_COUNTED;
}

void hooks_find(struct programs *p)
{
	struct fl_ctl *ctl = programs_ctl(p);
	struct fl_host host = { 0 };

	log_debug("%d hook functions known", read_symbols(p, &host));
	read_types(&host);
	host.lsm = find_lsm(&host);
	/* offsets first: nobody looks at them before a hook is known that needs them, and they never change after */
	memcpy((char *)&ctl->host + sizeof(host.hooks), (char *)&host + sizeof(host.hooks),
	       sizeof(host) - sizeof(host.hooks));
	for (int i = 0; i < FL_HOOKS; i++) {
		if (ctl->host.hooks[i].addr == host.hooks[i].addr)
			continue;
		__atomic_store_n(&ctl->host.hooks[i].addr, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&ctl->host.hooks[i].what, host.hooks[i].what, __ATOMIC_SEQ_CST);
		__atomic_store_n(&ctl->host.hooks[i].addr, host.hooks[i].addr, __ATOMIC_SEQ_CST);
	}
}

int hooks_known(const struct fl_ctl *ctl)
{
	int n = 0;

	for (int i = 0; i < FL_HOOKS; i++)
		n += ctl->host.hooks[i].addr != 0;
	return n;
}

/* Of the names of the loaded modules. */
static uint64_t modules_hash(void)
{
	DIR *dir = opendir("/sys/module");
	uint64_t hash = 0;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		uint64_t one = 14695981039346656037ULL; /* FNV-1a; their sum does not depend on the order */

		for (char *c = e->d_name; *c; c++)
			one = (one ^ (uint8_t)*c) * 1099511628211ULL;
		hash += one;
	}
	if (dir)
		closedir(dir);
	return hash;
}

void hooks_renew(struct programs *p)
{
	static uint64_t last_stranger, last_modules;
	uint64_t modules, stranger = programs_ctl(p)->stranger;

	if (stranger == last_stranger)
		return;
	last_stranger = stranger;
	modules = modules_hash();
	if (modules == last_modules)
		return;
	last_modules = modules;
	hooks_find(p);
}
