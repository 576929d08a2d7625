/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the host does to everybody: memory gets short, a CPU goes away, the clock is set.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"

static pid_t guard;

/* ---- memory: TCP's own gets short; and the guests live in a cgroup v1, where there is one, at its limit of it */

#define HARD_PAGES 65536 /* out of reach: beyond it TCP itself hardly moves */
#define LIMIT_FILE "memory.kmem.tcp.limit_in_bytes"
#define WIDE "268435456"

static struct memory memory;
static bool limited;

static void memory_undo(void *arg)
{
	(void)arg;
	memory_free(&memory);
}

static int memory_begin(struct chaos *c)
{
	int r = tcp_mem_borrow();

	if (r < 0) {
		run_fail(c->run, "net.ipv4.tcp_mem cannot be set: %s", strerror(-r));
		return TORTURE_SKIP;
	}
	limited = memory_new(&memory, WIDE) == 0;
	return limited ? guard_start(&guard, memory_undo, NULL) : 0;
}

static int memory_in(struct chaos *c)
{
	return limited && c->opened >= CHAOS_LASTING ? memory_enter(&memory) : 0;
}

static void memory_out(struct chaos *c)
{
	if (limited && c->opened >= CHAOS_LASTING)
		memory_leave(&memory);
}

/* Refused while more than that is in use: then it is as short as that. */
static void memory_narrow(struct chaos *c)
{
	static const char *const tight[] = { "131072", "262144", "524288", "1048576" };

	if (limited)
		memory_write(&memory, LIMIT_FILE, tight[rnd(&c->rnd) % 4]);
}

static int memory_widen(void)
{
	int r = tcp_mem_restore();

	return r == 0 && limited ? memory_write(&memory, LIMIT_FILE, WIDE) : r;
}

/* Short, and for a moment not. */
static int memory_step(struct chaos *c)
{
	char text[64];
	int r;

	snprintf(text, sizeof(text), "1 %llu %d", 1ULL << rnd(&c->rnd) % 12, HARD_PAGES);
	memory_narrow(c);
	r = tcp_mem_write(text);
	c->run->injected++;
	if (r == 0)
		r = chaos_pause(c, 200 + rnd(&c->rnd) % 400);
	if (r == 0)
		r = memory_widen();
	if (r == 0)
		r = c->steps % 4 ? chaos_pause(c, rnd(&c->rnd) % 50) : chaos_grow(c);
	return r;
}

static int memory_calm(struct chaos *c)
{
	(void)c;
	return memory_widen();
}

static int memory_proof(struct chaos *c)
{
	return run_counted(c->run, "reasons.memory");
}

static void memory_end(struct chaos *c)
{
	(void)c;
	tcp_mem_give_back();
	if (limited) {
		memory_free(&memory);
		guard_stop(guard);
	}
}

const struct disturbance disturb_memory = {
	.guests = 2, .begin = memory_begin, .enter = memory_in, .leave = memory_out, .step = memory_step,
	.calm = memory_calm, .proof = memory_proof, .end = memory_end,
};

/* ---- CPU 1. The machine may be shared: it is away for a moment only, and a guard sees that it comes back. */

#define CPU_FILE "/sys/devices/system/cpu/cpu1/online"
#define AWAY_MS 150

static unsigned int trips;

static void cpu_undo(void *arg)
{
	(void)arg;
	file_write(CPU_FILE, "1");
}

static bool cpu_is(char state)
{
	char text[8];

	return file_read(CPU_FILE, text, sizeof(text)) > 0 && text[0] == state;
}

static int cpu_begin(struct chaos *c)
{
	int r;

	trips = 0;
	if (!cpu_is('1')) {
		run_fail(c->run, "there is no CPU 1 to take away");
		return TORTURE_SKIP;
	}
	r = guard_start(&guard, cpu_undo, NULL);
	if (r == 0)
		r = file_write(CPU_FILE, "0");
	if (r < 0) {
		run_fail(c->run, "cannot take CPU 1 away: %s", strerror(-r));
		guard_stop(guard);
		return TORTURE_SKIP;
	}
	return file_write(CPU_FILE, "1");
}

static int cpu_step(struct chaos *c)
{
	int r = chaos_pause(c, 500 + rnd(&c->rnd) % 500), e;

	if (r < 0)
		return r;
	r = file_write(CPU_FILE, "0");
	if (r == 0 && !cpu_is('0'))
		r = run_fail(c->run, "CPU 1 did not go");
	if (r == 0)
		r = chaos_pause(c, AWAY_MS);
	e = file_write(CPU_FILE, "1");
	trips += r == 0 && e == 0;
	c->run->injected++;
	r = r ? r : e;
	return r == 0 ? chaos_grow(c) : r;
}

static int cpu_proof(struct chaos *c)
{
	snprintf(c->run->note, sizeof(c->run->note), ", CPU 1 was away %u times", trips);
	return trips ? 0 : run_fail(c->run, "CPU 1 never went");
}

static void cpu_end(struct chaos *c)
{
	if (file_write(CPU_FILE, "1") < 0 || !cpu_is('1'))
		run_fail(c->run, "CPU 1 is not back");
	guard_stop(guard);
}

const struct disturbance disturb_cpu = {
	.guests = 2, .begin = cpu_begin, .step = cpu_step, .proof = cpu_proof, .end = cpu_end,
};

/* ---- CLOCK_REALTIME, everybody's: only on a machine of the test's own (tests/vm) */

#define HOUR_S 3600

static int64_t real_minus_monotonic_ns;
static unsigned int jumps;

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int clock_be_off(int64_t seconds)
{
	int64_t ns = clock_ns(CLOCK_MONOTONIC) + real_minus_monotonic_ns + seconds * 1000000000LL;
	struct timespec ts = { .tv_sec = ns / 1000000000LL, .tv_nsec = ns % 1000000000LL };

	return clock_settime(CLOCK_REALTIME, &ts) < 0 ? -errno : 0;
}

static void clock_undo(void *arg)
{
	(void)arg;
	clock_be_off(0);
}

static int clock_begin(struct chaos *c)
{
	int r;

	jumps = 0;
	real_minus_monotonic_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	r = clock_be_off(0);
	if (r < 0) {
		run_fail(c->run, "cannot set the clock: %s", strerror(-r));
		return TORTURE_SKIP;
	}
	return guard_start(&guard, clock_undo, NULL);
}

/* An hour forth, an hour back, and right again */
static int clock_step(struct chaos *c)
{
	static const int hours[] = { 1, -1, 0 };
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		r = clock_be_off((int64_t)hours[i] * HOUR_S);
		jumps += r == 0;
		c->run->injected++;
		if (r == 0)
			r = chaos_grow(c);
	}
	return r;
}

static int clock_proof(struct chaos *c)
{
	return jumps ? 0 : run_fail(c->run, "the clock never jumped");
}

static void clock_end(struct chaos *c)
{
	(void)c;
	clock_be_off(0);
	guard_stop(guard);
}

const struct disturbance disturb_clock = {
	.guests = 2, .begin = clock_begin, .step = clock_step, .proof = clock_proof, .end = clock_end,
};
