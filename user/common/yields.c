/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of kinds and values. Knows no files and no maps.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fastlo/abi.h"
#include "yields.h"

#define VALUES 3

static const struct kind {
	const char *name;
	uint32_t mask;
	const char *expected;
	struct {
		const char *name;
		uint32_t bits;
	} values[VALUES];
} kinds[] = {
	{ "packet", FL_Y_PACKET, "'always' or 'never'", { { "always", FL_Y_PACKET }, { "never", 0 } } },
	{ "netfilter", FL_Y_RULES | FL_Y_HOOKS, "'hooks', 'rules' or 'never'",
	  { { "hooks", FL_Y_RULES | FL_Y_HOOKS }, { "rules", FL_Y_RULES }, { "never", 0 } } },
	{ "tc", FL_Y_TC, "'always' or 'never'", { { "always", FL_Y_TC }, { "never", 0 } } },
	{ "xdp", FL_Y_XDP, "'always' or 'never'", { { "always", FL_Y_XDP }, { "never", 0 } } },
	{ "xfrm", FL_Y_XFRM, "'always' or 'never'", { { "always", FL_Y_XFRM }, { "never", 0 } } },
	{ "lsm", FL_Y_LSM, "'always' or 'never'", { { "always", FL_Y_LSM }, { "never", 0 } } },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

int yields_set(struct yields *y, const char *kind, const char *value, char *err, size_t errlen)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].name, kind) != 0)
			continue;
		for (size_t j = 0; j < VALUES && kinds[i].values[j].name; j++) {
			if (strcmp(kinds[i].values[j].name, value) == 0) {
				y->set |= kinds[i].mask;
				y->bits = (y->bits & ~kinds[i].mask) | kinds[i].values[j].bits;
				return 0;
			}
		}
		snprintf(err, errlen, "%s: '%.64s' is not %s", kind, value, kinds[i].expected);
		return -EINVAL;
	}
	return -ENOENT;
}

static int parse_word(struct yields *y, char *word, char *err, size_t errlen)
{
	char *value = strchr(word, '=');
	int r;

	if (value)
		*value = '\0';
	r = value ? yields_set(y, word, value + 1, err, errlen) : -ENOENT;
	if (r != -ENOENT)
		return r;
	if (value)
		*value = '=';
	snprintf(err, errlen, "yield: '%.64s' is not KIND=VALUE (packet, netfilter, tc, xdp, xfrm or lsm)", word);
	return -EINVAL;
}

int yields_parse(struct yields *y, const char *text, char *err, size_t errlen)
{
	char copy[YIELDS_TEXT_MAX], *rest = copy, *word;
	struct yields next = *y;
	int r;

	if (strlen(text) >= sizeof(copy) || !text[strspn(text, " ,")]) {
		snprintf(err, errlen, "yield: '%.64s' is not KIND=VALUE, or several with blanks between", text);
		return -EINVAL;
	}
	memcpy(copy, text, strlen(text) + 1);
	while ((word = strsep(&rest, " ,"))) {
		r = *word ? parse_word(&next, word, err, errlen) : 0;
		if (r < 0)
			return r;
	}
	*y = next;
	return 0;
}

void yields_print(const struct yields *y, char ret_text[YIELDS_TEXT_MAX])
{
	size_t n = 0;

	*ret_text = '\0';
	for (size_t i = 0; i < KINDS; i++)
		for (size_t j = 0; (y->set & kinds[i].mask) && j < VALUES && kinds[i].values[j].name; j++)
			if ((y->bits & kinds[i].mask) == kinds[i].values[j].bits)
				n += snprintf(ret_text + n, YIELDS_TEXT_MAX - n, "%s%s=%s", n ? " " : "",
					      kinds[i].name, kinds[i].values[j].name);
}

uint32_t yields_flags(const struct yields *y)
{
	return (y->bits & y->set) << FL_F_YIELD_SHIFT | y->set << FL_F_YIELD_SET_SHIFT;
}
