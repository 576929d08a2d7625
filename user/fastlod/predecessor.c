/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The events of the old set are nobody's business here: its sweep looks at every slot each time.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "fastlo/abi.h"
#include "iterate.h"
#include "log.h"
#include "predecessor.h"

#define PAUSE_MIN_NS 2000000L
#define PAUSE_MAX_NS 200000000L
#define SLOTS_NAMED 16

/* The part of a struct fl_ctl that every ABI has. */
struct head {
	uint32_t abi;
	uint32_t mode;
};

struct left {
	unsigned int n;
	uint32_t slots[SLOTS_NAMED];
};

static void on_record(const void *data, void *arg)
{
	const struct fl_sweep_rec *rec = data;
	struct left *left = arg;

	if (rec->what != FL_SW_RELEASING && rec->what != FL_SW_HALF)
		return;
	if (left->n < SLOTS_NAMED)
		left->slots[left->n] = rec->slot;
	left->n++;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* The signals are blocked, and the loop that would take them does not run yet. */
static bool interrupted(long ns)
{
	struct timespec pause = { 0, ns };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return sigtimedwait(&set, NULL, &pause) > 0;
}

/* As a stop does it: two sweeps in a row must find nothing, since a verdict may have been under way at the first. */
static int sweep_until_clean(int sweep_fd, unsigned int timeout_s, struct left *left)
{
	uint64_t until = now_ns() + timeout_s * 1000000000ULL;
	long pause = PAUSE_MIN_NS;
	int clean = 0, r;

	for (;;) {
		left->n = 0;
		r = iterate_link(sweep_fd, sizeof(struct fl_sweep_rec), on_record, left);
		if (r < 0)
			return r;
		clean = left->n ? 0 : clean + 1;
		if (clean == 2)
			return 0;
		if (now_ns() >= until)
			return -ETIMEDOUT;
		if (interrupted(pause))
			return -ECANCELED;
		pause = pause * 2 < PAUSE_MAX_NS ? pause * 2 : PAUSE_MAX_NS;
	}
}

static void say_left(const char *dir, uint32_t abi, const struct left *left, const char *why)
{
	char slots[SLOTS_NAMED * 12] = "";
	size_t n = 0;

	for (unsigned int i = 0; i < left->n && i < SLOTS_NAMED; i++)
		n += (size_t)snprintf(slots + n, sizeof(slots) - n, "%s%u", i ? ", " : "", left->slots[i]);
	log_err("%s: %u pairs of ABI %u in '%s' still hold unread bytes (slots %s%s); they go over TCP, and the next "
		"start, or --drain, goes on", why, left->n, abi, dir, slots, left->n > SLOTS_NAMED ? ", ..." : "");
}

static int drain(const char *dir, struct head *head, const char *anyway, unsigned int timeout_s)
{
	struct left left = { 0 };
	char path[4096], what[80];
	int fd, r;

	if (head->abi == FL_ABI_VERSION)
		snprintf(what, sizeof(what), "%s", anyway);
	else
		snprintf(what, sizeof(what), "is of ABI %u, this fastlod speaks %u", head->abi, FL_ABI_VERSION);
	snprintf(path, sizeof(path), "%s/%s", dir, FL_SWEEP_PIN);
	fd = bpf_obj_get(path);
	if (fd < 0) {
		log_err("'%s' %s, and '%s' to drain it with cannot be opened: %s (stop what uses it with the fastlod that made "
			"it)", dir, what, path, strerror(errno));
		return -EEXIST;
	}
	log_info("'%s' %s: draining it", dir, what);
	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu", (timeout_s + 30) * 1000000ULL);
	__atomic_store_n(&head->mode, FL_MODE_DRAIN, __ATOMIC_SEQ_CST);
	r = sweep_until_clean(fd, timeout_s, &left);
	close(fd);
	if (r == -ETIMEDOUT)
		say_left(dir, head->abi, &left, "drain_timeout is over");
	else if (r == -ECANCELED)
		say_left(dir, head->abi, &left, "stopped");
	else if (r < 0)
		log_err("cannot run '%s': %s", path, strerror(-r));
	return r == 0 || r == -ECANCELED ? r : -EEXIST;
}

int predecessor_drain(const char *dir, const char *anyway, unsigned int timeout_s, bool *ret_drained)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	struct head *head;
	char path[4096];
	int fd, r = 0;

	snprintf(path, sizeof(path), "%s/data_ctl", dir);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0; /* none, or what adoption says about it */
	head = MAP_FAILED;
	/* a program's or a link's descriptor is no map's, and answers with another structure */
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == BPF_MAP_TYPE_ARRAY &&
	    info.value_size >= sizeof(*head))
		head = mmap(NULL, sizeof(*head), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (head == MAP_FAILED || (head->abi == FL_ABI_VERSION && info.value_size != sizeof(struct fl_ctl))) {
		log_err("'%s' is not what a fastlod pins there (remove '%s' if no fastlod uses it)", path, dir);
		r = -EEXIST;
	} else if (head->abi != FL_ABI_VERSION || anyway) {
		r = drain(dir, head, anyway, timeout_s);
		*ret_drained = r == 0;
	}
	if (head != MAP_FAILED)
		munmap(head, sizeof(*head));
	return r;
}
