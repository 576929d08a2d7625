/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policies -> keys of the BPF map fl_policy. The map is pinned and outlives the daemon, so the first
 * sync adopts what it finds; from then on nobody but us writes it. Deletes come first: the map may
 * be full.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "log.h"
#include "policies_private.h"

struct gather {
	struct held *wanted; /* uthash */
	struct entry *entry;
	size_t count;
	bool full;
};

static void held_free_all(struct held *all)
{
	struct held *h, *next;

	HASH_ITER(hh, all, h, next) {
		HASH_DEL(all, h);
		free(h);
	}
}

void policies_forget(struct policies *p)
{
	held_free_all(p->synced);
	p->synced = NULL;
	p->looked = false;
}

static struct held *held_find(struct held *all, const struct fl_policy_key *key)
{
	struct held *h;

	HASH_FIND(hh, all, key, sizeof(*key), h);
	return h;
}

static struct held *held_add(struct held **all, const struct fl_policy_key *key)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->key = *key;
	HASH_ADD(hh, *all, key, sizeof(h->key), h);
	return h;
}

static int want(struct gather *g, uint64_t cgroup)
{
	struct fl_policy_key key;
	struct fl_policy value;
	struct held *h;

	policy_key(&g->entry->policy, cgroup, &key, &value);
	value.id = g->entry->id;
	h = held_find(g->wanted, &key);
	if (h) {
		if (!g->entry->clash_logged && strcmp(h->owner, g->entry->policy.name) != 0) {
			log_warn("policy '%s' selects what '%s' already does, using '%s' there",
				 g->entry->policy.name, h->owner, h->owner);
			g->entry->clash_logged = true;
		}
		return 0;
	}
	if (g->count == FL_MAX_POLICIES) {
		g->full = true;
		return 0;
	}
	h = held_add(&g->wanted, &key);
	if (!h)
		return -ENOMEM;
	h->value = value;
	h->owner = g->entry->policy.name;
	g->count++;
	return 0;
}

static int want_cgroup(const char *abs_path, uint64_t id, void *arg)
{
	struct gather *g = arg;

	(void)abs_path;
	g->entry->cgroups++;
	return want(g, id);
}

static int gather(struct policies *p, struct held **ret_wanted)
{
	struct gather g = { 0 };
	int r = 0;

	DL_FOREACH(p->entries, g.entry) {
		g.entry->cgroups = 0;
		if (g.entry->policy.cgroup)
			r = cgroup_match(p->mount, g.entry->policy.cgroup, want_cgroup, &g);
		else
			r = want(&g, 0);
		if (r < 0) {
			held_free_all(g.wanted);
			return r;
		}
	}
	if (g.full && !p->full_logged)
		log_warn("policies match more than %u cgroups, ignoring the rest", FL_MAX_POLICIES);
	p->full_logged = g.full;
	*ret_wanted = g.wanted;
	return 0;
}

/* What an earlier daemon left in the map; values of id 0 are never equal to ours. */
static int look(struct policies *p, const struct policies_map *map)
{
	struct fl_policy_key key;
	int r;

	r = map->next(map->arg, NULL, &key);
	while (!r) {
		if (held_find(p->synced, &key))
			break; /* it was changed meanwhile, and the walk began again */
		if (!held_add(&p->synced, &key))
			return -ENOMEM;
		r = map->next(map->arg, &key, &key);
	}
	if (r < 0 && r != -ENOENT)
		return r;
	p->looked = true;
	return 0;
}

static int drop_unwanted(struct policies *p, struct held *wanted, const struct policies_map *map, bool *changed)
{
	struct held *h, *next;
	int r, first = 0;

	HASH_ITER(hh, p->synced, h, next) {
		if (held_find(wanted, &h->key))
			continue;
		r = map->remove(map->arg, &h->key);
		if (r < 0 && r != -ENOENT) {
			first = first ? first : r;
			continue;
		}
		*changed = true;
		HASH_DEL(p->synced, h);
		free(h);
	}
	return first;
}

static int write_wanted(struct policies *p, struct held *wanted, const struct policies_map *map, bool *changed)
{
	struct held *h, *next, *old;
	int r, first = 0;

	HASH_ITER(hh, wanted, h, next) {
		old = held_find(p->synced, &h->key);
		if (old && memcmp(&old->value, &h->value, sizeof(h->value)) == 0)
			continue;
		if (!old)
			old = held_add(&p->synced, &h->key); /* id 0: tried again if the update fails */
		r = old ? map->update(map->arg, &h->key, &h->value) : -ENOMEM;
		if (r < 0) {
			first = first ? first : r;
			continue;
		}
		*changed = true;
		old->value = h->value;
	}
	return first;
}

int policies_sync_map(struct policies *p, const struct policies_map *map, uint32_t *ret_shapes, bool *ret_changed)
{
	struct held *wanted, *h, *next;
	bool changed = false;
	uint32_t shapes = 0;
	int r, first = 0;

	if (!p->looked) {
		policies_forget(p);
		r = look(p, map);
		if (r < 0)
			return r;
	}
	r = gather(p, &wanted);
	if (r < 0)
		return r;
	first = drop_unwanted(p, wanted, map, &changed);
	r = write_wanted(p, wanted, map, &changed);
	held_free_all(wanted);
	HASH_ITER(hh, p->synced, h, next)
		shapes |= 1U << h->key.shape;
	*ret_shapes = shapes;
	*ret_changed = changed;
	return first ? first : r;
}

static int bpf_update(void *arg, const struct fl_policy_key *key, const struct fl_policy *value)
{
	return bpf_map_update_elem(*(int *)arg, key, value, BPF_ANY) < 0 ? -errno : 0;
}

static int bpf_remove(void *arg, const struct fl_policy_key *key)
{
	return bpf_map_delete_elem(*(int *)arg, key) < 0 ? -errno : 0;
}

static int bpf_next(void *arg, const struct fl_policy_key *prev, struct fl_policy_key *ret_key)
{
	return bpf_map_get_next_key(*(int *)arg, prev, ret_key) < 0 ? -errno : 0;
}

int policies_sync(struct policies *p, int map_fd, uint32_t *ret_shapes, bool *ret_changed)
{
	struct policies_map map = {
		.update = bpf_update,
		.remove = bpf_remove,
		.next = bpf_next,
		.arg = &map_fd,
	};

	return policies_sync_map(p, &map, ret_shapes, ret_changed);
}
