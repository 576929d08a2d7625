/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events come in bursts (a server's fifty clients become ready at once), so they only note that there is something
 * to admit; one pass over the sockets then serves the whole burst.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "keeper.h"
#include "log.h"

#define ADMIT_PAUSE_US 1000ULL

struct keeper {
	sd_event *event;
	struct programs *programs;
	const struct keeper_ops *ops;
	void *arg;
	struct ring_buffer *ring;
	sd_event_source *ring_source;
	sd_event_source *admit_source;
	sd_event_source *sweep_source;
	uint64_t sweep_us;
	unsigned int left;
	bool cgroups_changed;
	bool again;
};

static void arm(sd_event_source *source, uint64_t in_us)
{
	sd_event_source_set_time_relative(source, in_us);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Nearer than whatever is armed. */
static void sweep_soon(struct keeper *k)
{
	k->sweep_us = KEEPER_SWEEP_MIN_US;
	arm(k->sweep_source, k->sweep_us);
}

/* In a moment, so that one pass over the sockets serves the burst */
static void admit_soon(struct keeper *k)
{
	int enabled = 0;

	sd_event_source_get_enabled(k->admit_source, &enabled);
	if (!enabled)
		arm(k->admit_source, ADMIT_PAUSE_US);
}

static int on_admit(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *k = arg;
	int r = programs_admit(k->programs);

	(void)source;
	(void)usec;
	if (r < 0)
		log_warn("cannot admit pairs: %s, ignoring", strerror(-r));
	return 0;
}

static int on_event(void *arg, void *data, size_t size)
{
	const struct fl_event *ev = data;
	struct keeper *k = arg;

	if (size < sizeof(*ev))
		return 0;
	switch (ev->type) {
	case FL_EV_ADMIT:
		admit_soon(k);
		break;
	case FL_EV_RELEASE:
	case FL_EV_HALF:
		sweep_soon(k);
		break;
	case FL_EV_CGROUP:
		k->cgroups_changed = true;
		break;
	}
	return 0;
}

static int on_ring(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct keeper *k = arg;
	int r = ring_buffer__consume(k->ring);

	(void)source;
	(void)fd;
	(void)revents;
	if (r < 0)
		log_warn("cannot read the event ring: %s, ignoring", strerror(-r));
	if (k->cgroups_changed) {
		k->cgroups_changed = false;
		k->ops->cgroup_event(k->arg);
	}
	return 0;
}

static void on_record(const void *data, void *arg)
{
	const struct fl_sweep_rec *rec = data;
	struct keeper *k = arg;

	switch (rec->what) {
	case FL_SW_RELEASING:
	case FL_SW_HALF:
		k->left++;
		break;
	case FL_SW_READY:
		admit_soon(k);
		break;
	}
}

static int sweep(struct keeper *k)
{
	int r;

	k->left = 0;
	r = programs_sweep(k->programs, on_record, k);
	if (r < 0)
		log_warn("cannot sweep the table: %s, ignoring", strerror(-r));
	k->again = k->ops->swept(k->arg, r < 0 ? 1 : k->left);
	return r;
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *k = arg;

	(void)usec;
	sweep(k);
	if (!k->left)
		k->sweep_us = k->again ? KEEPER_SWEEP_MIN_US : KEEPER_SWEEP_IDLE_US;
	else if (k->sweep_us < KEEPER_SWEEP_MIN_US || k->sweep_us > KEEPER_SWEEP_MAX_US)
		k->sweep_us = KEEPER_SWEEP_MIN_US;
	else if (k->sweep_us * 2 <= KEEPER_SWEEP_MAX_US)
		k->sweep_us *= 2;
	arm(source, k->sweep_us);
	return 0;
}

int keeper_policies_changed(struct keeper *k)
{
	struct fl_ctl *ctl = programs_ctl(k->programs);
	int r;

	ctl->recheck = 1;
	r = sweep(k);
	ctl->recheck = 0;
	if (r == 0 && ctl->shapes && ctl->mode == FL_MODE_RUN) {
		r = programs_scan(k->programs);
		if (r < 0)
			log_warn("cannot look for open connections: %s, ignoring", strerror(-r));
	}
	sweep_soon(k);
	return r;
}

int keeper_set_mode(struct keeper *k, enum fl_mode mode)
{
	programs_ctl(k->programs)->mode = mode;
	/* policies may have changed while nothing was looked at */
	if (mode == FL_MODE_RUN)
		return keeper_policies_changed(k);
	sweep_soon(k);
	return 0;
}

int keeper_new(sd_event *event, struct programs *programs, const struct keeper_ops *ops, void *arg,
	       struct keeper **ret)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->event = event;
	k->programs = programs;
	k->ops = ops;
	k->arg = arg;
	k->sweep_us = KEEPER_SWEEP_IDLE_US;
	k->ring = ring_buffer__new(programs_events_fd(programs), on_event, k, NULL);
	r = k->ring ? 0 : -errno;
	if (r == 0)
		r = sd_event_add_io(event, &k->ring_source, ring_buffer__epoll_fd(k->ring), EPOLLIN, on_ring, k);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &k->admit_source, CLOCK_MONOTONIC, 0, 1, on_admit, k);
	if (r >= 0)
		r = sd_event_source_set_enabled(k->admit_source, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &k->sweep_source, CLOCK_MONOTONIC, 0, 1, on_sweep, k);
	if (r < 0) {
		keeper_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	sd_event_source_disable_unref(k->ring_source);
	sd_event_source_disable_unref(k->admit_source);
	sd_event_source_disable_unref(k->sweep_source);
	ring_buffer__free(k->ring);
	free(k);
}
