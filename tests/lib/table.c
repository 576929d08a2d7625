/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of pairs straight from the pins, without asking fastlod, which may be dead or hanging: every slot
 * for a dump, and what is left in each map once all connections are gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "harness.h"

static int pin_open(const char *name)
{
	char path[192];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", env.pins, name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

static uint32_t fresh_slots(void)
{
	int fd = pin_open("data_ctl");
	uint32_t fresh = 0;
	void *page;

	if (fd < 0)
		return 0;
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED) {
		fresh = ((struct fl_ctl *)page)->fresh;
		munmap(page, 4096);
	}
	close(fd);
	return fresh;
}

/* A slot that is in use is one that is not free. */
static int read_slots(struct fl_slot **ret, uint32_t *ret_n)
{
	uint32_t n = fresh_slots();
	size_t size = (n * sizeof(struct fl_slot) + 4095) & ~4095UL;
	int fd = pin_open("fl_slots");
	void *map;

	if (fd < 0)
		return fd;
	*ret_n = n;
	*ret = malloc(size + 1);
	map = n ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
	close(fd);
	if (map == MAP_FAILED) {
		free(*ret);
		return -errno;
	}
	if (map) {
		memcpy(*ret, map, size);
		munmap(map, size);
	}
	return 0;
}

static void side_dump(FILE *to, const struct fl_side *s, int i)
{
	fprintf(to, "  side %d: flags %x base %u reads_at_admit %u\n", i, s->flags, s->base, s->reads_at_admit);
	fprintf(to, "    tx: spliced %llu B %llu msgs engaged %u reason %s seq %u mark %u/%u freed %u yielded %llu B\n",
		(unsigned long long)s->tx.spliced_bytes, (unsigned long long)s->tx.spliced_msgs, s->tx.engaged,
		reason_name(s->tx.reason), s->tx.seq, s->tx.mark_pos, s->tx.mark_msgs, s->tx.freed_msgs,
		(unsigned long long)s->tx.yielded_bytes);
	fprintf(to, "    rx: returned %llu reads %u habits %x tgid %u\n", (unsigned long long)s->rx.returned,
		s->rx.reads, s->rx.habits, s->rx.tgid);
}

void table_dump(FILE *to, uint64_t pair)
{
	struct fl_slot *slots;
	uint32_t n;

	if (read_slots(&slots, &n) < 0) {
		fprintf(to, "no table to look at in '%s'\n", env.pins);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct fl_slot *s = &slots[i];

		if (s->id != pair || s->state == FL_FREE)
			continue;
		fprintf(to, "pair %llu: slot %u state %u gen %u stop %s dead %x\n", (unsigned long long)pair, i, s->state,
			s->gen, reason_name(s->stop), s->dead);
		side_dump(to, &s->side[0], 0);
		side_dump(to, &s->side[1], 1);
	}
	free(slots);
}

/* Every slot ever used must be in the queue, once. Takes all out and puts them back: nobody may connect meanwhile. */
static int count_free(uint32_t fresh, struct table_left *left)
{
	uint32_t *taken = calloc(fresh + 1, sizeof(*taken)), n = 0;
	bool *seen = calloc(fresh + 1, sizeof(*seen));
	int fd = pin_open("fl_free");

	while (fd >= 0 && n <= fresh && bpf_map_lookup_and_delete_elem(fd, NULL, &taken[n]) == 0) {
		if (taken[n] >= fresh || seen[taken[n]])
			left->twice++;
		else
			seen[taken[n]] = true;
		n++;
	}
	for (uint32_t i = 0; i < n; i++)
		bpf_map_update_elem(fd, NULL, &taken[i], BPF_ANY);
	left->not_free = fresh - (n < fresh ? n : fresh);
	free(taken);
	free(seen);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static int count_pending(struct table_left *left)
{
	int fd = pin_open("fl_pending");
	struct fl_key key;

	if (fd < 0)
		return fd;
	for (void *at = NULL; bpf_map_get_next_key(fd, at, &key) == 0; at = &key)
		left->pending++;
	close(fd);
	return 0;
}

static int count_admitted(uint32_t fresh, struct table_left *left)
{
	int fd = pin_open("fl_sock");
	uint64_t cookie;

	if (fd < 0)
		return fd;
	for (uint32_t i = 0; i < fresh * 2; i++)
		left->admitted += bpf_map_lookup_elem(fd, &i, &cookie) == 0;
	close(fd);
	return 0;
}

int table_left(struct table_left *ret)
{
	struct table_left left = { 0 };
	struct fl_slot *slots;
	int r;

	r = read_slots(&slots, &left.used);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < left.used; i++)
		left.pairs += slots[i].state != FL_FREE;
	free(slots);
	r = count_pending(&left);
	if (r == 0)
		r = count_admitted(left.used, &left);
	if (r == 0)
		r = count_free(left.used, &left);
	if (r == 0)
		*ret = left;
	return r;
}

int64_t table_lost_events(void)
{
	int cpus = libbpf_num_possible_cpus(), fd = pin_open("fl_totals");
	uint64_t *per_cpu = cpus > 0 ? calloc(cpus, sizeof(*per_cpu)) : NULL;
	uint32_t key = FL_T_LOST_EVENTS;
	int64_t sum = -ENOENT;

	if (fd >= 0 && per_cpu && bpf_map_lookup_elem(fd, &key, per_cpu) == 0) {
		sum = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += per_cpu[cpu];
	}
	if (fd >= 0)
		close(fd);
	free(per_cpu);
	return sum;
}
