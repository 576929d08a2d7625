/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Transcripts: lines of text in memory that the runner shares with the case's process, so that what was
 * seen before a hang or a crash is still there. And two of them side by side.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "state.h"

#define LINES 1000
#define WIDTH 52

static void add_line(struct conform_state *s, const char *line)
{
	size_t len = strlen(line);

	while (__atomic_exchange_n(&s->busy, 1, __ATOMIC_ACQUIRE))
		;
	if (s->len + len + 2 < sizeof(s->text)) {
		memcpy(s->text + s->len, line, len);
		s->len += len;
		s->text[s->len++] = '\n';
	}
	__atomic_store_n(&s->busy, 0, __ATOMIC_RELEASE);
}

void say(struct conform *c, const char *format, ...)
{
	char line[1024];
	va_list more;

	va_start(more, format);
	vsnprintf(line, sizeof(line), format, more);
	va_end(more);
	add_line(c->state, line);
}

long said(struct conform *c, const char *what, long r)
{
	int error = errno;

	if (r == -1)
		say(c, "%s = %s", what, error ? strerrorname_np(error) : "-1");
	else
		say(c, "%s = %ld", what, r);
	errno = error;
	return r;
}

uint64_t hash(uint64_t seed, const void *mem, size_t len)
{
	const unsigned char *p = mem;

	seed ^= 0xcbf29ce484222325ULL;
	for (size_t i = 0; i < len; i++)
		seed = (seed ^ p[i]) * 0x100000001b3ULL;
	return seed;
}

void say_hash(struct conform *c, const char *what, const void *mem, size_t len)
{
	say(c, "%s: %zu bytes, hash %016llx", what, len, (unsigned long long)hash(0, mem, len));
}

long said_bytes(struct conform *c, const char *what, const void *mem, long r)
{
	const char *p = mem;
	bool text = r > 0 && r <= 40;

	for (long i = 0; text && i < r; i++)
		text = p[i] >= ' ' && p[i] <= '~';
	if (text)
		say(c, "%s = %ld '%.*s'", what, r, (int)r, p);
	else if (r > 0)
		say(c, "%s = %ld, hash %016llx", what, r, (unsigned long long)hash(0, mem, r));
	else
		said(c, what, r);
	return r;
}

void say_poll(struct conform *c, const char *what, short bits)
{
	static const struct {
		short bit;
		const char *name;
	} names[] = { { POLLIN, "IN" },		{ POLLPRI, "PRI" },	    { POLLOUT, "OUT" },
		      { POLLRDNORM, "RDNORM" }, { POLLRDBAND, "RDBAND" },   { POLLWRNORM, "WRNORM" },
		      { POLLWRBAND, "WRBAND" }, { POLLRDHUP, "RDHUP" },	    { POLLERR, "ERR" },
		      { POLLHUP, "HUP" },	{ POLLNVAL, "NVAL" } };
	char text[128] = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bits & names[i].bit)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", names[i].name);
	say(c, "%s:%s", what, text);
}

void say_about(struct conform *c, const char *what, long value)
{
	say(c, "~ %s = %ld", what, value);
}

static bool same_line(const char *plain, size_t plain_len, const char *other, size_t other_len)
{
	const char *value = memchr(plain, '=', plain_len);
	long x, y;

	if (plain_len == other_len && memcmp(plain, other, plain_len) == 0)
		return true;
	if (plain_len < 2 || memcmp(plain, "~ ", 2) != 0 || !value || other_len <= (size_t)(value - plain) ||
	    memcmp(plain, other, value - plain) != 0)
		return false;
	x = atol(value + 1);
	y = atol(other + (value - plain) + 1);
	return y <= 2 * x && x <= 2 * y;
}

bool transcript_same(const char *plain, const char *other)
{
	while (*plain && *other) {
		size_t x = strcspn(plain, "\n"), y = strcspn(other, "\n");

		if (!same_line(plain, x, other, y))
			return false;
		plain += x + (plain[x] == '\n');
		other += y + (other[y] == '\n');
	}
	return !*plain && !*other;
}

static bool same(const char *left, const char *right)
{
	return same_line(left, strlen(left), right, strlen(right));
}

/* Cuts the text up in place. */
static int split(char *text, char **ret_lines)
{
	char *save = NULL;
	int n = 0;

	for (char *line = strtok_r(text, "\n", &save); line && n < LINES; line = strtok_r(NULL, "\n", &save))
		ret_lines[n++] = line;
	return n;
}

static void row(char mark, const char *left, const char *right)
{
	printf("      %c %-*s | %s\n", mark, WIDTH, left ? left : "", right ? right : "");
}

/* common[i][j]: the longest common subsequence of left from i on and right from j on */
static void fill_common(short (*common)[LINES + 1], char **left, int lefts, char **right, int rights)
{
	for (int i = lefts; i >= 0; i--)
		for (int j = rights; j >= 0; j--) {
			if (i == lefts || j == rights)
				common[i][j] = 0;
			else if (same(left[i], right[j]))
				common[i][j] = common[i + 1][j + 1] + 1;
			else
				common[i][j] = common[i + 1][j] > common[i][j + 1] ? common[i + 1][j] :
										     common[i][j + 1];
		}
}

void transcript_diff(const char *plain, const char *other, const char *name)
{
	static char *left[LINES], *right[LINES];
	static short common[LINES + 1][LINES + 1];
	char *copies[2] = { strdup(plain), strdup(other) };
	int lefts = split(copies[0], left), rights = split(copies[1], right), i = 0, j = 0;

	fill_common(common, left, lefts, right, rights);
	row(' ', "--- plain", name);
	while (i < lefts || j < rights) {
		bool both = i < lefts && j < rights;

		if (both && same(left[i], right[j])) {
			row(' ', left[i], right[j]);
			i++, j++;
		} else if (both && common[i + 1][j + 1] == common[i][j]) {
			row('!', left[i++], right[j++]);
		} else if (j == rights || (i < lefts && common[i + 1][j] >= common[i][j + 1])) {
			row('<', left[i++], NULL);
		} else {
			row('>', NULL, right[j++]);
		}
	}
	free(copies[0]);
	free(copies[1]);
}
