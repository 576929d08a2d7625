/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Start: locks, probes, programs, policies, control socket, and only then mode RUN. Stop: mode DRAIN, and
 * the programs are removed once two sweeps in a row found the sockmap free of unread bytes; if that takes
 * longer than drain_timeout, everything stays pinned and at work, and the next fastlod takes over.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "daemon_private.h"
#include "hooks.h"
#include "left.h"
#include "lock.h"
#include "log.h"
#include "remember.h"

#define EXIT_REFUSED 2
#define HALF_NS 1000000000ULL
#define PAUSE_NS 1000000000ULL

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

int daemon_sync_policies(struct daemon *d, bool always)
{
	uint32_t shapes = 0;
	bool changed = false;
	int r = policies_sync(d->policies, programs_policy_fd(d->programs), &shapes, &changed);

	programs_ctl(d->programs)->shapes = shapes;
	if (always)
		remember_save(d->policies, d->cfg.run_dir);
	if (r < 0)
		log_warn("cannot write the policies into the kernel: %s", strerror(-r));
	if (changed || always)
		keeper_policies_changed(d->keeper);
	return r;
}

static void on_cgroup_event(void *arg)
{
	daemon_sync_policies(arg, false);
}

static bool on_swept(void *arg, unsigned int left)
{
	struct daemon *d = arg;

	d->left = left;
	if (programs_renew_pins(d->programs) > 0)
		lock_pin_dir(d->cfg.pin_dir);
	hooks_renew(d->programs);
	if (d->stopping) {
		d->clean_sweeps = left ? 0 : d->clean_sweeps + 1;
		if (d->clean_sweeps >= 2)
			sd_event_exit(d->event, 0);
		return true;
	}
	if (d->control && policies_reap(d->policies, now_ns()) > 0)
		daemon_sync_policies(d, true);
	return false;
}

static int on_drain_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	return sd_event_exit(((struct daemon *)arg)->event, 1);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *si, void *arg)
{
	struct daemon *d = arg;

	(void)source;
	if (d->stopping)
		return 0;
	log_info("signal %u: draining", si->ssi_signo);
	sd_notify(0, "STOPPING=1");
	d->stopping = true;
	keeper_set_mode(d->keeper, FL_MODE_DRAIN);
	return sd_event_add_time_relative(d->event, NULL, CLOCK_MONOTONIC, d->cfg.drain_timeout * 1000000ULL, 1000,
					  on_drain_timeout, d);
}

static void set_knobs(struct fl_ctl *ctl, const struct config *cfg)
{
	ctl->observe_reads = cfg->observe_reads;
	ctl->socket_opt_in = cfg->socket_opt_in;
	ctl->bulk_stays = !cfg->bulk_leaves;
	ctl->yield = cfg->yields.bits;
	ctl->max_per_uid = cfg->max_pairs_per_uid;
}

/* Policies and knobs from one configuration to another; if that fails, back. */
static int take_over(struct daemon *d, const struct config *next, char *err, size_t errlen)
{
	char ignored[POLICY_ERROR_MAX];
	int r = policies_configure(d->policies, next->policies, next->n_policies, err, errlen);

	if (r < 0)
		return r;
	set_knobs(programs_ctl(d->programs), next);
	r = daemon_sync_policies(d, true);
	if (r < 0)
		snprintf(err, errlen, "cannot write the policies into the kernel: %s", strerror(-r));
	else if ((r = programs_opt_in(d->programs, next->socket_opt_in)) < 0)
		snprintf(err, errlen, "socket_opt_in: cannot attach setsockopt: %s", strerror(-r));
	if (r == 0)
		return 0;
	policies_configure(d->policies, d->cfg.policies, d->cfg.n_policies, ignored, sizeof(ignored));
	set_knobs(programs_ctl(d->programs), &d->cfg);
	daemon_sync_policies(d, true);
	return r;
}

/* All or nothing. Only policies and knobs are taken over. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *si, void *arg)
{
	struct daemon *d = arg;
	struct config next;
	char err[1024];
	int r;

	(void)source;
	(void)si;
	/* whatever comes of it: Type=notify-reload waits for both words */
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(now_ns() / 1000));
	r = config_load(d->config_path, &next, err, sizeof(err));
	if (r == 0) {
		r = take_over(d, &next, err, sizeof(err));
		if (r < 0)
			config_free(&next);
	}
	if (r < 0) {
		log_err("%s", err);
		log_err("reload: nothing was changed");
	} else {
		if (config_keep_places(&next, &d->cfg))
			log_warn("pin_dir, run_dir, cgroup, max_pairs and observer change with a restart only, ignoring");
		config_free(&d->cfg);
		d->cfg = next;
		log_info("reloaded, %zu policies", policies_count(d->policies));
	}
	sd_notify(0, "READY=1");
	return 0;
}

static int start_loop(struct daemon *d)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_default(&d->event);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGTERM, on_stop, d);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGINT, on_stop, d);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGHUP, on_reload, d);
	if (r >= 0)
		r = sd_event_set_watchdog(d->event, true);
	if (r < 0)
		log_err("cannot set the event loop up: %s", strerror(-r));
	return r;
}

/* Everything that may be refused before a single program is loaded. */
static int check_host(struct daemon *d)
{
	uint64_t id;
	int r = cgroup_mount_find(&d->cgroup_mount);
	if (r < 0) {
		log_err("no cgroup2 file system is mounted (try 'mount -t cgroup2 none /sys/fs/cgroup')");
		return r;
	}
	if (d->cfg.cgroup && (strncmp(d->cfg.cgroup, d->cgroup_mount, strlen(d->cgroup_mount)) != 0 ||
			      cgroup_id_of(d->cfg.cgroup, &id) < 0)) {
		log_err("cgroup: '%s' is not a directory of the cgroup2 mount '%s'", d->cfg.cgroup, d->cgroup_mount);
		return -EINVAL;
	}
	r = kernel_bpffs(d->cfg.pin_dir);
	if (r == 0)
		r = lock_pin_dir(d->cfg.pin_dir);
	return r;
}

static int start_programs(struct daemon *d)
{
	static const struct keeper_ops keeper_ops = { on_cgroup_event, on_swept };
	const char *cgroup = d->cfg.cgroup ? d->cfg.cgroup : d->cgroup_mount;
	struct fl_ctl *ctl;
	uint64_t id;
	int r = programs_load(&d->cfg, &d->kernel, cgroup, &d->programs);

	if (r < 0)
		return r;
	ctl = programs_ctl(d->programs);
	r = cgroup_id_of(cgroup, &id);
	if (r < 0) {
		log_err("cannot tell the id of cgroup '%s': %s", cgroup, strerror(-r));
		return r;
	}
	ctl->cgroup = id;
	hooks_find(d->programs);
	malloc_trim(0); /* the kernel's BTF was 5 MB and is not needed again */
	set_knobs(ctl, &d->cfg);
	ctl->half_ns = HALF_NS;
	ctl->pause_ns = PAUSE_NS;
	r = keeper_new(d->event, d->programs, &keeper_ops, d, &d->keeper);
	if (r < 0)
		log_err("cannot watch the event ring: %s", strerror(-r));
	return r;
}

/* What the kernel gets wrong is off before anybody else's socket is touched by it. */
static void test_kernel(struct daemon *d)
{
	struct selftest_result result;

	keeper_set_mode(d->keeper, FL_MODE_RUN);
	selftest_run(d->event, d->cfg.cgroup ? d->cfg.cgroup : d->cgroup_mount, &d->findings);
	result = selftest_judge(&d->findings);
	programs_ctl(d->programs)->rmem_blind = result.rmem_blind;
	d->unfit = result.unfit;
	if (d->unfit && !d->stopping) {
		log_err("this kernel failed the self-test: nothing will be spliced");
		keeper_set_mode(d->keeper, FL_MODE_UNFIT);
	}
}

static int start_service(struct daemon *d)
{
	char err[POLICY_ERROR_MAX];
	int r;

	d->policies = policies_new(d->cgroup_mount);
	if (!d->policies)
		return -ENOMEM;
	r = policies_configure(d->policies, d->cfg.policies, d->cfg.n_policies, err, sizeof(err));
	if (r < 0) {
		log_err("%s", err);
		return r;
	}
	if (programs_adopted(d->programs) || programs_replaced(d->programs))
		remember_load(d->policies, d->cfg.run_dir);
	test_kernel(d);
	if (d->stopping)
		return 0;
	r = control_listen(d->event, d->cfg.run_dir, &daemon_ops, d, &d->control);
	if (r < 0)
		return r;
	daemon_sync_policies(d, true);
	return 0;
}

static void finish(struct daemon *d, bool started)
{
	control_free(d->control);
	if (started && !d->left && d->clean_sweeps >= 2) {
		programs_remove(d->programs);
		remember_forget(d->cfg.run_dir);
		log_info("stopped, nothing left behind");
	} else if (started) {
		left_log(d->programs);
		log_warn("%u pairs still hold unread bytes: everything stays at work in '%s', a new fastlod takes over",
			 d->left, d->cfg.pin_dir);
	} else if (d->programs && !programs_adopted(d->programs)) {
		programs_remove(d->programs);
	}
	keeper_free(d->keeper);
	programs_free(d->programs);
	policies_free(d->policies);
	sd_event_unref(d->event);
	free(d->cgroup_mount);
}

int daemon_run(struct config *cfg, const char *config_path)
{
	struct daemon d = { .cfg = *cfg, .config_path = config_path };
	int r;

	clock_gettime(CLOCK_MONOTONIC, &d.started);
	/* from here on a signal waits for the loop, so that nothing is left half done */
	r = start_loop(&d);
	if (r >= 0)
		r = kernel_probe(&d.cfg, &d.kernel);
	if (r >= 0)
		r = lock_run_dir(d.cfg.run_dir);
	if (r >= 0)
		r = check_host(&d);
	if (r >= 0)
		r = start_programs(&d);
	if (r >= 0)
		r = start_service(&d);
	if (r < 0) {
		finish(&d, false);
		lock_remove(d.cfg.run_dir);
		config_free(&d.cfg);
		return r == -ECANCELED ? 0 : EXIT_REFUSED;
	}
	if (sd_event_get_state(d.event) == SD_EVENT_FINISHED) /* stopped meanwhile, and done with it */
		goto finished;
	log_info("ready: observer %s, %u pairs, %zu policies%s", d.kernel.observer, programs_max_pairs(d.programs),
		 policies_count(d.policies), programs_adopted(d.programs) ? ", took over what was pinned" :
		 programs_replaced(d.programs) ? ", replaced what was pinned" : "");
	sd_notify(0, "READY=1");
	r = sd_event_loop(d.event);
	if (r < 0)
		log_err("event loop: %s", strerror(-r));
finished:
	finish(&d, true);
	lock_remove(d.cfg.run_dir);
	config_free(&d.cfg);
	return r < 0 ? EXIT_REFUSED : 0;
}
