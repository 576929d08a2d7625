/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events come in bursts (a server's fifty clients become ready at once), so they only note that there is something to
 * do; one pass then serves the whole burst. A pass over many pairs takes milliseconds: nine times as long as the last
 * one took, the CPU is left to others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "keeper.h"
#include "log.h"

#define ADMIT_PAUSE_US 1000ULL
#define REST 9 /* times the CPU time of the last pass, */
#define REST_MAX_US 500000ULL /* but no longer */

struct keeper {
	sd_event *event;
	struct programs *programs;
	const struct keeper_ops *ops;
	void *arg;
	struct ring_buffer *ring;
	sd_event_source *ring_source;
	sd_event_source *admit_source;
	sd_event_source *sweep_source;
	uint64_t swept_at; /* the end of the last sweep, CLOCK_MONOTONIC in us, */
	uint64_t sweep_took;
	uint64_t admitted_at; /* and of the last admission */
	uint64_t admit_took;
	uint64_t retry_us; /* after this long what could not be released is tried again */
	unsigned int left;
	bool later; /* something wants the next sweep within KEEPER_SWEEP_LATER_US */
	bool cgroups_changed;
	bool again;
};

static uint64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

static uint64_t now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

/* Not the time on the wall: on a busy host a pass of a millisecond takes seconds, and a rest of nine times that a minute. */
static uint64_t cpu_us(void)
{
	return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

/* In in_us, or when it has rested, or when it is armed already: whichever of the first two is later, of the last earlier. */
static void arm(sd_event_source *source, uint64_t in_us, uint64_t ended, uint64_t took)
{
	uint64_t rest = took * REST < REST_MAX_US ? took * REST : REST_MAX_US;
	uint64_t at = now_us() + in_us, rested = ended + rest, armed;
	int enabled = 0;

	at = at < rested ? rested : at;
	sd_event_source_get_enabled(source, &enabled);
	if (enabled && sd_event_source_get_time(source, &armed) >= 0 && armed <= at)
		return;
	sd_event_source_set_time(source, at);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void sweep_within(struct keeper *k, uint64_t us)
{
	arm(k->sweep_source, us, k->swept_at, k->sweep_took);
}

static void sweep_soon(struct keeper *k)
{
	k->retry_us = 0;
	sweep_within(k, 0);
}

/* In a moment, so that one pass over the sockets serves the burst */
static void admit_soon(struct keeper *k)
{
	arm(k->admit_source, ADMIT_PAUSE_US, k->admitted_at, k->admit_took);
}

static int on_admit(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *k = arg;
	uint64_t start = cpu_us();
	int r = programs_admit(k->programs);

	(void)source;
	(void)usec;
	k->admitted_at = now_us();
	k->admit_took = cpu_us() - start;
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
		sweep_soon(k);
		break;
	case FL_EV_HALF:
		sweep_within(k, KEEPER_SWEEP_LATER_US);
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

static void on_record(const void *record, void *arg)
{
	const struct fl_sweep_rec *rec = record;
	struct keeper *k = arg;

	switch (rec->what) {
	case FL_SW_RELEASING:
		k->left++;
		break;
	case FL_SW_HALF:
	case FL_SW_PAUSED:
		k->later = true;
		break;
	case FL_SW_READY:
		admit_soon(k);
		break;
	}
}

static int sweep(struct keeper *k)
{
	uint64_t start = cpu_us();
	int r;

	k->left = 0;
	k->later = false;
	programs_ctl(k->programs)->halves = 0;
	r = programs_sweep(k->programs, on_record, k);
	k->swept_at = now_us();
	if (r < 0)
		log_warn("cannot sweep the table: %s, ignoring", strerror(-r));
	k->again = k->ops->swept(k->arg, r < 0 ? 1 : k->left);
	/* somebody waits for the end of a drain: no rest then */
	k->sweep_took = k->again ? 0 : cpu_us() - start;
	return r;
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *k = arg;
	uint64_t next = KEEPER_SWEEP_IDLE_US;

	(void)source;
	(void)usec;
	sweep(k);
	if (k->later)
		next = KEEPER_SWEEP_LATER_US;
	if (k->left) {
		k->retry_us = k->retry_us ? k->retry_us * 2 : KEEPER_SWEEP_MIN_US;
		if (k->retry_us > KEEPER_SWEEP_MAX_US)
			k->retry_us = KEEPER_SWEEP_MAX_US;
		next = k->retry_us;
	} else {
		k->retry_us = 0;
		if (k->again)
			next = KEEPER_SWEEP_MIN_US;
	}
	sweep_within(k, next);
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
