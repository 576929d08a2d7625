/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads fastlo.conf with inih, which splits lines and strips blanks and comments. What it does
 * silently is done here instead, line by line in the reader, so that every error has its line:
 * sections (it cuts long names and skips empty sections), long lines (it would split them), lines
 * that are no "key = value" (it goes on).
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_keys.h"
#include "text.h"

static const char embedded_default[] = "[fastlo]\n";

enum section { SECTION_NONE, SECTION_FASTLO, SECTION_YIELD, SECTION_POLICY };

struct loader {
	FILE *file;
	const char *path;
	struct config *config;
	char *line; /* getline's */
	size_t size;
	unsigned int lineno;
	bool pending; /* this line is a "key = value" that inih has not handed over */
	enum section section;
	unsigned int fastlo_lines[CONFIG_KEYS]; /* where each key was set; 0: not yet */
	unsigned int policy_lines[6];
	struct yields yields_seen;
	unsigned int *section_lines; /* of each policy */
	char *err;
	size_t errlen;
	int error;
};

/* The first error wins: later ones are not recorded. */
__attribute__((format(printf, 3, 4))) static void fail(struct loader *l, unsigned int lineno, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (l->error)
		return;
	l->error = -EINVAL;
	n = snprintf(l->err, l->errlen, "%s:%u: ", l->path, lineno);
	if (n < 0 || (size_t)n >= l->errlen)
		return;
	va_start(ap, fmt);
	vsnprintf(l->err + n, l->errlen - (size_t)n, fmt, ap);
	va_end(ap);
	text_mask(l->err + n);
}

static struct policy *current_policy(struct loader *l)
{
	return &l->config->policies[l->config->n_policies - 1];
}

/* The end of a section: a policy must be whole by now. */
static void close_section(struct loader *l)
{
	char err[POLICY_ERROR_MAX];

	if (l->section == SECTION_POLICY && !l->error && policy_validate(current_policy(l), err, sizeof(err)) < 0)
		fail(l, l->section_lines[l->config->n_policies - 1], "%s", err);
	l->section = SECTION_NONE;
}

static void open_policy(struct loader *l, const char *name)
{
	struct config *c = l->config;
	struct policy p = { .origin = POLICY_CONFIG };
	char err[POLICY_ERROR_MAX];
	struct policy *policies;
	unsigned int *lines;
	size_t i;

	if (policy_set_name(&p, name, err, sizeof(err)) < 0) {
		fail(l, l->lineno, "%s", err);
		return;
	}
	for (i = 0; i < c->n_policies; i++)
		if (strcmp(c->policies[i].name, name) == 0)
			fail(l, l->lineno, "policy: '%s' is not a new name (see line %u)", name, l->section_lines[i]);
	if (c->n_policies == FL_MAX_POLICIES)
		fail(l, l->lineno, "policy: '%s' is not among the first %u, which is the limit", name, FL_MAX_POLICIES);
	if (l->error)
		return;
	policies = reallocarray(c->policies, c->n_policies + 1, sizeof(*policies));
	if (policies)
		c->policies = policies;
	lines = reallocarray(l->section_lines, c->n_policies + 1, sizeof(*lines));
	if (lines)
		l->section_lines = lines;
	if (!policies || !lines) {
		l->error = -ENOMEM;
		return;
	}
	lines[c->n_policies] = l->lineno;
	policies[c->n_policies++] = p;
	l->section = SECTION_POLICY;
	memset(l->policy_lines, 0, sizeof(l->policy_lines));
}

/* text starts at '[' and ends without a newline */
static void open_section(struct loader *l, char *text)
{
	char *end = strchr(text, ']'), *name, *rest;

	close_section(l);
	if (!end) {
		fail(l, l->lineno, "'%.80s' is not a section: ']' is missing", text);
		return;
	}
	for (rest = end + 1; isspace((unsigned char)*rest); rest++)
		;
	if (*rest && *rest != ';' && *rest != '#') {
		fail(l, l->lineno, "'%.80s' is not a section: nothing may follow ']'", text);
		return;
	}
	end[1] = '\0';
	if (strcmp(text, "[fastlo]") == 0) {
		l->section = SECTION_FASTLO;
	} else if (strcmp(text, "[yield]") == 0) {
		l->section = SECTION_YIELD;
	} else if (strncmp(text, "[policy ", 8) == 0 || strcmp(text, "[policy]") == 0) {
		*end = '\0';
		for (name = text + 7; *name == ' '; name++)
			;
		open_policy(l, name);
	} else {
		fail(l, l->lineno, "'%.80s' is not a section ([fastlo], [yield] or [policy NAME])", text);
	}
}

static void malformed(struct loader *l)
{
	l->line[strcspn(l->line, "\r\n")] = '\0';
	fail(l, l->lineno, "'%.80s' is not 'key = value', a [section] or a comment", l->line);
}

/* inih's fgets: hands out one whole line, without leading blanks, which would continue a value. */
static char *read_line(char *buf, int size, void *arg)
{
	struct loader *l = arg;
	char *text;
	ssize_t len;

	if (l->pending)
		malformed(l);
	l->pending = false;
	if (l->error)
		return NULL;
	len = getline(&l->line, &l->size, l->file);
	if (len < 0) {
		if (ferror(l->file))
			l->error = errno == EISDIR ? -EISDIR : -EIO;
		return NULL;
	}
	l->lineno++;
	if (memchr(l->line, '\0', (size_t)len)) {
		fail(l, l->lineno, "'%.80s' is not text: a NUL byte follows", l->line);
		return NULL;
	}
	if (len > size - 1) {
		fail(l, l->lineno, "'%.40s...' is not a line of at most %d characters", l->line, size - 2);
		return NULL;
	}
	text = l->line;
	if (l->lineno == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	while (isspace((unsigned char)*text))
		text++;
	if (*text == '[') {
		text[strcspn(text, "\r\n")] = '\0';
		open_section(l, text);
		strcpy(buf, "\n");
		return buf;
	}
	l->pending = *text && *text != ';' && *text != '#';
	memcpy(buf, text, strlen(text) + 1);
	return buf;
}

/* Whether this is the first time that the key is set here. */
static bool once(struct loader *l, unsigned int *seen, const char *key, const char *value)
{
	if (*seen) {
		fail(l, l->lineno, "%s: '%.80s' is not the first value (see line %u)", key, value, *seen);
		return false;
	}
	*seen = l->lineno;
	return true;
}

static void set_fastlo(struct loader *l, const char *key, const char *value)
{
	char err[POLICY_ERROR_MAX];
	int index = config_key_find(key);
	int r;

	if (index < 0) {
		fail(l, l->lineno, "'%.80s' is not a key of [fastlo]", key);
		return;
	}
	if (!once(l, &l->fastlo_lines[index], key, value))
		return;
	r = config_key_set(l->config, index, value, err, sizeof(err));
	if (r == -EINVAL)
		fail(l, l->lineno, "%s", err);
	else if (r < 0)
		l->error = r;
}

static void set_yield(struct loader *l, const char *key, const char *value)
{
	struct yields seen = l->yields_seen, one = { 0 };
	char err[POLICY_ERROR_MAX];
	int r = yields_set(&one, key, value, err, sizeof(err));

	if (r == -ENOENT)
		fail(l, l->lineno, "'%.80s' is not a key of [yield]", key);
	else if (r < 0)
		fail(l, l->lineno, "%s", err);
	else if (seen.set & one.set)
		fail(l, l->lineno, "%s: '%.80s' is not the first value", key, value);
	else
		yields_set(&l->config->yields, key, value, err, sizeof(err));
	l->yields_seen.set |= one.set;
}

static void set_policy(struct loader *l, const char *key, const char *value)
{
	static const char *const keys[] = { "cgroup", "port", "uid", "engage", "blocking", "yield" };
	char err[POLICY_ERROR_MAX];
	size_t i;
	int r;

	_Static_assert(sizeof(keys) / sizeof(keys[0]) == sizeof(l->policy_lines) / sizeof(l->policy_lines[0]),
		       "one line number per key");
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i], key) == 0 && !once(l, &l->policy_lines[i], key, value))
			return;
	r = policy_set(current_policy(l), key, value, err, sizeof(err));
	if (r == -EINVAL)
		fail(l, l->lineno, "%s", err);
	else if (r < 0)
		l->error = r;
}

/* inih's section is ignored: it is cut to 49 bytes. */
static int take(void *arg, const char *section, const char *key, const char *value)
{
	struct loader *l = arg;

	(void)section;
	if (!*key)
		return 0; /* "= value": read_line reports it */
	l->pending = false;
	if (l->error)
		return 0;
	if (l->section == SECTION_FASTLO)
		set_fastlo(l, key, value);
	else if (l->section == SECTION_YIELD)
		set_yield(l, key, value);
	else if (l->section == SECTION_POLICY)
		set_policy(l, key, value);
	else
		fail(l, l->lineno, "'%.80s' is not in a section ([fastlo], [yield] or [policy NAME])", key);
	return l->error == 0;
}

static FILE *open_file(const char *path, char *err, size_t errlen)
{
	FILE *f;

	if (path)
		f = fopen(path, "re");
	else
		f = fmemopen((void *)(uintptr_t)embedded_default, strlen(embedded_default), "r");
	if (!f) {
		int saved = errno;

		snprintf(err, errlen, "cannot read '%s': %s", path ? path : "embedded default", strerror(saved));
		errno = saved;
	}
	return f;
}

int config_load(const char *path, struct config *ret_config, char *err, size_t errlen)
{
	struct config config = { 0 };
	struct loader l = { .path = path ? path : "embedded", .config = &config, .err = err, .errlen = errlen };

	l.file = open_file(path, err, errlen);
	if (!l.file)
		return -errno;
	l.error = config_defaults(&config);
	if (!l.error) {
		ini_max_line = 1024; /* room for a container's cgroup; inih's own 200 is too short */
		if (ini_parse_stream(read_line, &l, take, &l) == -2)
			l.error = -ENOMEM;
		if (l.pending)
			malformed(&l);
		close_section(&l);
		if (!l.fastlo_lines[config_key_find("max_pairs_per_uid")])
			config.max_pairs_per_uid = (config.max_pairs + 3) / 4;
	}
	fclose(l.file);
	free(l.line);
	free(l.section_lines);
	if (l.error) {
		if (l.error != -EINVAL)
			snprintf(err, errlen, "cannot read '%s': %s", l.path, strerror(-l.error));
		config_free(&config);
		return l.error;
	}
	*ret_config = config;
	return 0;
}

static bool keep_path(char **next, char **now)
{
	char *path = *next;
	bool differ = (*next && *now) ? strcmp(*next, *now) != 0 : *next != *now;

	*next = *now;
	*now = path;
	return differ;
}

bool config_keep_places(struct config *next, struct config *now)
{
	bool differ = next->max_pairs != now->max_pairs || next->observer != now->observer;

	differ |= keep_path(&next->pin_dir, &now->pin_dir);
	differ |= keep_path(&next->run_dir, &now->run_dir);
	differ |= keep_path(&next->cgroup, &now->cgroup);
	next->max_pairs = now->max_pairs;
	next->observer = now->observer;
	return differ;
}

void config_free(struct config *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i < c->n_policies; i++)
		policy_free(&c->policies[i]);
	free(c->policies);
	free(c->pin_dir);
	free(c->run_dir);
	free(c->cgroup);
	memset(c, 0, sizeof(*c));
}
