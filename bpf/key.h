/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The key under which the two ends of a connection find each other: addresses normalised to 16 bytes
 * (a v4 client of a [::] listener reports AF_INET on one end and AF_INET6 on the other), then ordered,
 * so that both ends compute the same bytes. Pure; tests/unit/test_key.c.
 */
#ifndef FL_KEY_H
#define FL_KEY_H

#include "fastlo/abi.h"

#ifndef fl_inline
#define fl_inline static inline __attribute__((always_inline))
#endif

struct fl_addr {
	__u32 word[4]; /* network order */
	__u16 port;    /* host order */
};

fl_inline void fl_addr_v4(struct fl_addr *a, __u32 be_addr, __u16 port)
{
	a->word[0] = 0;
	a->word[1] = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	a->word[2] = 0xffff0000;
#else
	a->word[2] = 0x0000ffff;
#endif
	a->word[3] = be_addr;
	a->port = port;
}

/* -1, 0, 1; any total order serves, as long as both ends use the same. */
fl_inline int fl_addr_cmp(const struct fl_addr *a, const struct fl_addr *b)
{
	for (int i = 0; i < 4; i++)
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i] ? -1 : 1;
	return a->port == b->port ? 0 : a->port < b->port ? -1 : 1;
}

/* Returns the side (0 or 1) of `local`, or -1 for a socket connected to itself. */
fl_inline int fl_key_make(struct fl_key *key, __u64 netns, const struct fl_addr *local,
			  const struct fl_addr *remote)
{
	int cmp = fl_addr_cmp(local, remote);
	const struct fl_addr *first = cmp < 0 ? local : remote;
	const struct fl_addr *second = cmp < 0 ? remote : local;

	key->netns = netns;
	__builtin_memcpy(key->addr[0], first->word, 16);
	__builtin_memcpy(key->addr[1], second->word, 16);
	key->port[0] = first->port;
	key->port[1] = second->port;
	key->pad = 0;
	return cmp == 0 ? -1 : cmp < 0 ? 0 : 1;
}

#endif
