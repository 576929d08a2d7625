/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loading. Order matters: maps are adopted before programs load (they refer to them), the tail-call entry
 * is swapped before links are (open sockets run the new code first), and the observer is attached before
 * sockops (a receive that nobody counted keeps a direction on TCP for good).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* abi.h first: the skeleton uses its types */
#include "fastlo/abi.h"
#include "fastlo.skel.h"
#include "iterate.h"
#include "load_log.h"
#include "log.h"
#include "pins.h"
#include "predecessor.h"
#include "programs.h"

#define OPT_IN_PIN "link_setsockopt"

struct programs {
	struct fastlo_bpf *skel;
	struct pins *pins;
	int cgroup_fd;
	bool opt_in; /* link_setsockopt is there */
	int sweep_fd; /* pinned: a fastlod of another ABI drains this set with it */
	bool adopted;
	bool replaced;
	bool pinned; /* what is in the pin directory is ours */
	uint32_t max_pairs;
};

static void choose(struct fastlo_bpf *s, const struct kernel *k)
{
	bool tramp = strcmp(k->observer, "trampoline") == 0, tp = strcmp(k->observer, "tracepoint") == 0;

	bpf_program__set_autoload(s->progs.fl_recv_tp, tp);
	bpf_program__set_autoload(s->progs.fl_recv4, tramp);
	bpf_program__set_autoload(s->progs.fl_recv6, tramp && k->ipv6);
	bpf_program__set_autoload(s->progs.fl_send, tramp);
	s->rodata->fl_has_cast = k->rdonly_cast;
	s->rodata->fl_oob_by_regs = !tramp;
	s->rodata->fl_has_observer = tramp || tp;
}

/*
 * libbpf 1.1 looks for a weak kernel function that vmlinux lacks (bpf_rdonly_cast before Linux 6.2) in the modules, too; to
 * list those takes CAP_SYS_ADMIN, and without it the load fails. It tries only once: let that be for a name nobody has.
 */
static void look_at_no_module(struct fastlo_bpf *s)
{
	bpf_program__set_attach_target(s->progs.fl_destroy, 0, "fl_nowhere");
}

static int size_maps(struct fastlo_bpf *s, uint32_t pairs)
{
	int r = bpf_map__set_max_entries(s->maps.fl_slots, pairs);

	if (!r)
		r = bpf_map__set_max_entries(s->maps.fl_free, pairs);
	if (!r)
		r = bpf_map__set_max_entries(s->maps.fl_pending, pairs);
	if (!r)
		r = bpf_map__set_max_entries(s->maps.fl_uids, pairs);
	if (!r)
		r = bpf_map__set_max_entries(s->maps.fl_sock, pairs * 2);
	return r;
}

int programs_opt_in(struct programs *p, bool on)
{
	int r = 0;

	if (!on)
		pins_detach(p->pins, OPT_IN_PIN);
	else if (!p->opt_in)
		r = pins_attach_cgroup(p->pins, OPT_IN_PIN, p->skel->progs.fl_setsockopt, p->cgroup_fd);
	if (r == 0)
		p->opt_in = on;
	return r;
}

static int cannot_attach(const char *what, const char *cgroup, int r)
{
	log_err("cannot attach %s to '%s': %s (needs CAP_NET_ADMIN, and a cgroup2 directory)", what, cgroup,
		strerror(-r));
	return r;
}

static int attach_cgroup(struct programs *p, const char *cgroup, bool opt_in)
{
	struct {
		const char *name;
		struct bpf_program *prog;
	} list[] = {
		{ "link_sockops", p->skel->progs.fl_sockops },
		{ "link_getsockopt", p->skel->progs.fl_getsockopt },
	};
	int r;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		r = pins_attach_cgroup(p->pins, list[i].name, list[i].prog, p->cgroup_fd);
		if (r < 0)
			return cannot_attach(list[i].name + strlen("link_"), cgroup, r);
	}
	r = programs_opt_in(p, opt_in);
	return r < 0 ? cannot_attach("setsockopt", cgroup, r) : 0;
}

static int attach_tracing(struct programs *p)
{
	struct {
		const char *name;
		struct bpf_program *prog;
	} list[] = {
		{ "link_recv", p->skel->progs.fl_recv_tp },	{ "link_recv4", p->skel->progs.fl_recv4 },
		{ "link_recv6", p->skel->progs.fl_recv6 },	{ "link_send", p->skel->progs.fl_send },
		{ "link_destroy", p->skel->progs.fl_destroy },	{ "link_mkdir", p->skel->progs.fl_cg_mkdir },
		{ "link_rmdir", p->skel->progs.fl_cg_rmdir },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int r = pins_attach_tracing(p->pins, list[i].name,
					    bpf_program__autoload(list[i].prog) ? list[i].prog : NULL);

		if (r < 0) {
			log_err("cannot attach %s: %s", list[i].name + strlen("link_"), strerror(-r));
			return r;
		}
	}
	return 0;
}

static int attach_all(struct programs *p, const char *cgroup, bool opt_in)
{
	struct fastlo_bpf *s = p->skel;
	int splice = bpf_program__fd(s->progs.fl_splice), r;
	uint32_t zero = 0;

	r = bpf_map_update_elem(bpf_map__fd(s->maps.fl_progs), &zero, &splice, BPF_ANY);
	if (r < 0) {
		log_err("cannot enter the splice program into 'fl_progs': %s", strerror(-r));
		return r;
	}
	r = bpf_prog_attach(bpf_program__fd(s->progs.fl_stub), bpf_map__fd(s->maps.fl_sock), BPF_SK_MSG_VERDICT, 0);
	if (r < 0) {
		log_err("cannot attach the sk_msg program to 'fl_sock': %s", strerror(-r));
		return r;
	}
	p->sweep_fd = pins_attach_iter(p->pins, FL_SWEEP_PIN, s->progs.fl_sweep, bpf_map__fd(s->maps.fl_chunks));
	if (p->sweep_fd < 0) {
		log_err("cannot attach the sweep: %s", strerror(-p->sweep_fd));
		return p->sweep_fd;
	}
	r = attach_tracing(p);
	if (r == 0)
		r = attach_cgroup(p, cgroup, opt_in);
	return r;
}

static int load_maps_and_programs(struct programs *p, const struct config *cfg, const struct kernel *kernel)
{
	int r;

	load_log_hold();
	p->skel = fastlo_bpf__open();
	if (!p->skel)
		return load_log_explain(-errno);
	choose(p->skel, kernel);
	if (!kernel->rdonly_cast)
		look_at_no_module(p->skel);
	r = size_maps(p->skel, cfg->max_pairs);
	if (r < 0)
		return load_log_explain(r);
	r = predecessor_drain(cfg->pin_dir, pins_incomplete(p->pins, p->skel->obj) ? "holds only a part of the maps" : NULL,
			      cfg->drain_timeout, &p->replaced);
	if (r < 0)
		return r;
	if (p->replaced)
		pins_clear(p->pins);
	r = pins_adopt_maps(p->pins, p->skel->obj, &p->adopted);
	if (r < 0)
		return r;
	if (p->adopted && bpf_map__max_entries(p->skel->maps.fl_slots) != cfg->max_pairs)
		log_warn("max_pairs: %u does not fit what is pinned in '%s', using %u", cfg->max_pairs, cfg->pin_dir,
			 bpf_map__max_entries(p->skel->maps.fl_slots));
	p->max_pairs = bpf_map__max_entries(p->skel->maps.fl_slots);
	r = bpf_map__set_max_entries(p->skel->maps.fl_chunks, (p->max_pairs + FL_CHUNK - 1) / FL_CHUNK);
	if (r == 0)
		r = fastlo_bpf__load(p->skel);
	if (r < 0)
		return load_log_explain(r);
	load_log_drop();
	p->pinned = true;
	r = pins_pin_maps(p->pins, p->skel->obj);
	if (r < 0)
		log_err("cannot pin the maps in '%s': %s", cfg->pin_dir, strerror(-r));
	return r;
}

int programs_load(const struct config *cfg, const struct kernel *kernel, const char *cgroup, struct programs **ret)
{
	struct programs *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->cgroup_fd < 0) {
		r = -errno;
		log_err("cannot open cgroup '%s': %s", cgroup, strerror(-r));
		free(p);
		return r;
	}
	r = pins_open(cfg->pin_dir, &p->pins);
	if (r == 0)
		r = load_maps_and_programs(p, cfg, kernel);
	if (r == 0)
		r = attach_all(p, cgroup, cfg->socket_opt_in);
	if (r < 0 && p->pinned && !p->adopted)
		pins_remove(p->pins);
	if (r < 0)
		programs_free(p);
	else
		*ret = p;
	return r;
}

struct fl_ctl *programs_ctl(struct programs *p)
{
	return &p->skel->data_ctl->fl_ctl;
}

int programs_policy_fd(struct programs *p)
{
	return bpf_map__fd(p->skel->maps.fl_policy);
}

int programs_events_fd(struct programs *p)
{
	return bpf_map__fd(p->skel->maps.fl_events);
}

bool programs_adopted(const struct programs *p)
{
	return p->adopted;
}

bool programs_replaced(const struct programs *p)
{
	return p->replaced;
}

uint32_t programs_max_pairs(const struct programs *p)
{
	return p->max_pairs;
}

/* map_fd -1: the iterator is not one over a map. fn NULL: it writes nothing. */
static int run_iterator(struct bpf_program *prog, int map_fd, size_t size, void (*fn)(const void *, void *), void *arg)
{
	union bpf_iter_link_info info = { .map.map_fd = map_fd };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(prog, map_fd < 0 ? NULL : &opts);
	int r;

	if (!link)
		return -errno;
	r = iterate_link(bpf_link__fd(link), size, fn, arg);
	bpf_link__destroy(link);
	return r;
}

int programs_admit(struct programs *p)
{
	return run_iterator(p->skel->progs.fl_admit, bpf_map__fd(p->skel->maps.fl_sk), 1, NULL, NULL);
}

int programs_scan(struct programs *p)
{
	return run_iterator(p->skel->progs.fl_scan, -1, 1, NULL, NULL);
}

int programs_list_fd(struct programs *p)
{
	union bpf_iter_link_info info = { .map.map_fd = bpf_map__fd(p->skel->maps.fl_slots) };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(p->skel->progs.fl_list, &opts);
	int fd;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		fd = -errno;
	bpf_link__destroy(link);
	return fd;
}

int programs_counters(struct programs *p, uint64_t totals[FL_T_MAX], uint64_t reasons[FL_R_MAX])
{
	int cpus = libbpf_num_possible_cpus(), r = 0;
	uint64_t *per_cpu = cpus > 0 ? calloc((size_t)cpus, sizeof(*per_cpu)) : NULL;

	if (!per_cpu)
		return cpus < 0 ? cpus : -ENOMEM;
	for (uint32_t key = 0; key < FL_T_MAX + FL_R_MAX && !r; key++) {
		struct bpf_map *map = key < FL_T_MAX ? p->skel->maps.fl_totals : p->skel->maps.fl_reasons;
		uint32_t index = key < FL_T_MAX ? key : key - FL_T_MAX;
		uint64_t sum = 0;

		if (bpf_map_lookup_elem(bpf_map__fd(map), &index, per_cpu) < 0)
			r = -errno;
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += per_cpu[cpu];
		*(key < FL_T_MAX ? &totals[index] : &reasons[index]) = sum;
	}
	free(per_cpu);
	return r;
}

int programs_sweep(struct programs *p, void (*fn)(const void *rec, void *arg), void *arg)
{
	return iterate_link(p->sweep_fd, sizeof(struct fl_sweep_rec), fn, arg);
}

int programs_symbols(struct programs *p, const char *const *names, uint32_t n,
		     void (*fn)(const void *symbol, void *arg), void *arg)
{
	int fd = bpf_map__fd(p->skel->maps.fl_wanted), r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++) {
		struct fl_name name = { "" };

		strncpy(name.text, names[i], sizeof(name.text) - 1);
		if (bpf_map_update_elem(fd, &name, &i, BPF_ANY) < 0)
			r = -errno;
	}
	return r < 0 ? r : run_iterator(p->skel->progs.fl_symbols, -1, sizeof(struct fl_symbol), fn, arg);
}

int programs_renew_pins(struct programs *p)
{
	return pins_renew(p->pins, p->skel->obj);
}

void programs_remove(struct programs *p)
{
	pins_remove(p->pins);
}

void programs_free(struct programs *p)
{
	if (!p)
		return;
	pins_free(p->pins);
	close(p->cgroup_fd);
	fastlo_bpf__destroy(p->skel);
	load_log_drop();
	free(p);
}
