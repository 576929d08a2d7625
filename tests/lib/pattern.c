/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Streams whose every 8-byte word is a bijection of its index, so a byte that is lost, doubled or moved shows
 * wherever it happens. One multiplication per word: several GB/s per core.
 */
#include <string.h>

#include "harness.h"

static inline uint64_t word(uint64_t seed, uint64_t index)
{
	uint64_t x = (index + seed * 0x2545F4914F6CDD1DULL) * 0x9E3779B97F4A7C15ULL;

	return x ^ (x >> 32);
}

void pattern_fill(void *buf, size_t len, uint64_t seed, uint64_t off)
{
	unsigned char *p = buf;
	size_t head = off % 8;
	uint64_t w;

	if (head && len) {
		size_t n = 8 - head < len ? 8 - head : len;

		w = word(seed, off / 8);
		memcpy(p, (char *)&w + head, n);
		p += n;
		off += n;
		len -= n;
	}
	for (; len >= 8; p += 8, off += 8, len -= 8) {
		w = word(seed, off / 8);
		memcpy(p, &w, 8);
	}
	if (len) {
		w = word(seed, off / 8);
		memcpy(p, &w, len);
	}
}

ssize_t pattern_check(const void *buf, size_t len, uint64_t seed, uint64_t off)
{
	const unsigned char *p = buf;
	unsigned char want[4096];

	for (size_t at = 0; at < len; at += sizeof(want)) {
		size_t n = len - at < sizeof(want) ? len - at : sizeof(want);

		pattern_fill(want, n, seed, off + at);
		if (memcmp(want, p + at, n) == 0)
			continue;
		for (size_t i = 0; i < n; i++)
			if (want[i] != p[at + i])
				return at + i;
	}
	return -1;
}

/* splitmix64: any state is a good one */
uint64_t rnd(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15ULL;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

size_t rnd_size(uint64_t *state, size_t max)
{
	int bits = 0;

	while (bits < 62 && (1ULL << (bits + 1)) <= max)
		bits++;
	size_t top = 1ULL << rnd(state) % (bits + 1);

	top = top * 2 > max ? max : top * 2;
	return 1 + rnd(state) % top;
}
