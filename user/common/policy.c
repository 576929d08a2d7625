/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policies over plain values: keys, checks, JSON, the kernel's key. Touches no cgroup and no map.
 * Error texts quote the value and say what would be right; the caller puts file:line in front.
 */
#include <errno.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "text.h"

#define CGROUP_MAX 4000
#define UID_LAST 4294967294U /* the one after it means "no user" */

static const char *const origin_names[] = {
	[POLICY_CONFIG] = "config",
	[POLICY_CONTROL] = "control",
	[POLICY_RUN] = "run",
};

__attribute__((format(printf, 3, 4))) static int fail(char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	if (errlen)
		text_mask(err);
	return -EINVAL;
}

static bool cgroup_ok(const char *path)
{
	const char *c;

	if (*path != '/' || strlen(path) > CGROUP_MAX)
		return false;
	for (c = path; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
		if (strncmp(c, "/..", 3) == 0 && (c[3] == '/' || !c[3]))
			return false;
	}
	return true;
}

static int set_cgroup(struct policy *p, const char *value, char *err, size_t errlen)
{
	char *copy;

	if (!cgroup_ok(value))
		return fail(err, errlen,
			    "cgroup: '%.200s' is not a path or glob that starts with '/' and has no '..'", value);
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(p->cgroup);
	p->cgroup = copy;
	return 0;
}

static int set_uid(struct policy *p, const char *value, char *err, size_t errlen)
{
	struct passwd *user;
	uint64_t number;

	if (text_to_number(value, 0, UID_LAST, &number) < 0) {
		user = *value ? getpwnam(value) : NULL;
		if (!user)
			return fail(err, errlen, "uid: '%.64s' is not a user or a number from 0 to %u", value,
				    UID_LAST);
		number = user->pw_uid;
	}
	p->uid = (uint32_t)number;
	p->has_uid = true;
	return 0;
}

static int set_choice(bool *field, const char *key, const char *value, const char *yes, const char *no,
		      char *err, size_t errlen)
{
	if (strcmp(value, yes) != 0 && strcmp(value, no) != 0)
		return fail(err, errlen, "%s: '%.64s' is not '%s' or '%s'", key, value, yes, no);
	*field = strcmp(value, yes) == 0;
	return 0;
}

static int set_yields(struct policy *p, const char *value, char *err, size_t errlen)
{
	char text[POLICY_ERROR_MAX];

	return yields_parse(&p->yields, value, text, sizeof(text)) < 0 ? fail(err, errlen, "%s", text) : 0;
}

int policy_set(struct policy *p, const char *key, const char *value, char *err, size_t errlen)
{
	uint64_t number;

	if (strcmp(key, "cgroup") == 0)
		return set_cgroup(p, value, err, errlen);
	if (strcmp(key, "port") == 0) {
		if (text_to_number(value, 1, 65535, &number) < 0)
			return fail(err, errlen, "port: '%.64s' is not a number from 1 to 65535", value);
		p->port = (uint16_t)number;
		p->has_port = true;
		return 0;
	}
	if (strcmp(key, "uid") == 0)
		return set_uid(p, value, err, errlen);
	if (strcmp(key, "engage") == 0)
		return set_choice(&p->eager, key, value, "eager", "observed", err, errlen);
	if (strcmp(key, "blocking") == 0)
		return set_choice(&p->blocking, key, value, "allow", "refuse", err, errlen);
	if (strcmp(key, "yield") == 0)
		return set_yields(p, value, err, errlen);
	return fail(err, errlen, "'%.64s' is not a key of a policy (%s)", key, POLICY_KEYS);
}

static bool name_ok(const char *name)
{
	const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
	size_t len = strlen(name);

	return len > 0 && len < sizeof(((struct policy *)NULL)->name) && strspn(name, letters) == len;
}

int policy_set_name(struct policy *p, const char *name, char *err, size_t errlen)
{
	if (!name_ok(name))
		return fail(err, errlen, "policy: '%.80s' is not a name of 1 to 63 letters, digits and _.:-", name);
	memcpy(p->name, name, strlen(name) + 1);
	return 0;
}

int policy_validate(const struct policy *p, char *err, size_t errlen)
{
	if (strnlen(p->name, sizeof(p->name)) == sizeof(p->name) || !name_ok(p->name))
		return fail(err, errlen, "policy: '%.63s' is not a name of 1 to 63 letters, digits and _.:-",
			    p->name);
	if (!p->cgroup && !p->has_port && !p->has_uid)
		return fail(err, errlen, "policy: '%s' is not complete: it needs a cgroup, a port or a uid", p->name);
	if (p->cgroup && !cgroup_ok(p->cgroup))
		return fail(err, errlen,
			    "cgroup: '%.200s' is not a path or glob that starts with '/' and has no '..'", p->cgroup);
	return 0;
}

int policy_copy(const struct policy *p, struct policy *ret_copy)
{
	char *cgroup = NULL;

	if (p->cgroup) {
		cgroup = strdup(p->cgroup);
		if (!cgroup)
			return -ENOMEM;
	}
	*ret_copy = *p;
	ret_copy->cgroup = cgroup;
	return 0;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	free(p->cgroup);
	p->cgroup = NULL;
}

const char *policy_origin_name(enum policy_origin origin)
{
	return origin_names[origin];
}

struct json_object *policy_to_json(const struct policy *p)
{
	struct json_object *json = json_object_new_object();
	char yields[YIELDS_TEXT_MAX];

	json_object_object_add(json, "name", json_object_new_string(p->name));
	if (p->cgroup)
		json_object_object_add(json, "cgroup", json_object_new_string(p->cgroup));
	if (p->has_port)
		json_object_object_add(json, "port", json_object_new_int(p->port));
	if (p->has_uid)
		json_object_object_add(json, "uid", json_object_new_int64(p->uid));
	json_object_object_add(json, "engage", json_object_new_string(p->eager ? "eager" : "observed"));
	json_object_object_add(json, "blocking", json_object_new_string(p->blocking ? "allow" : "refuse"));
	yields_print(&p->yields, yields);
	if (*yields)
		json_object_object_add(json, "yield", json_object_new_string(yields));
	json_object_object_add(json, "origin", json_object_new_string(policy_origin_name(p->origin)));
	return json;
}

static int set_origin(struct policy *p, const char *value, char *err, size_t errlen)
{
	size_t i;

	for (i = 0; i < sizeof(origin_names) / sizeof(origin_names[0]); i++) {
		if (strcmp(value, origin_names[i]) == 0) {
			p->origin = (enum policy_origin)i;
			return 0;
		}
	}
	return fail(err, errlen, "origin: '%.64s' is not 'config', 'control' or 'run'", value);
}

int policy_from_json(struct json_object *json, struct policy *ret_policy, char *err, size_t errlen)
{
	struct policy p = { .origin = POLICY_CONTROL };
	int r = 0;

	if (!json_object_is_type(json, json_type_object))
		return fail(err, errlen, "policy: '%.80s' is not an object", json_object_to_json_string(json));
	json_object_object_foreach(json, key, value) {
		const char *text = json_object_get_string(value);

		if (!json_object_is_type(value, json_type_string) && !json_object_is_type(value, json_type_int))
			r = fail(err, errlen, "%.64s: '%.64s' is not a string or a number", key, text ? text : "null");
		else if (strlen(text) != (size_t)json_object_get_string_len(value) &&
			 json_object_is_type(value, json_type_string))
			r = fail(err, errlen, "%.64s: '%.64s' is not free of NUL bytes", key, text);
		else if (strcmp(key, "name") == 0)
			r = policy_set_name(&p, text, err, errlen);
		else if (strcmp(key, "origin") == 0)
			r = set_origin(&p, text, err, errlen);
		else
			r = policy_set(&p, key, text, err, errlen);
		if (r < 0)
			break;
	}
	if (!r)
		r = policy_validate(&p, err, errlen);
	if (r < 0) {
		policy_free(&p);
		return r;
	}
	*ret_policy = p;
	return 0;
}

void policy_key(const struct policy *p, uint64_t cgroup_id, struct fl_policy_key *ret_key,
		struct fl_policy *ret_value)
{
	struct fl_policy_key key;

	memset(&key, 0, sizeof(key)); /* it is hashed whole */
	if (p->cgroup) {
		key.shape |= FL_SHAPE_CGROUP;
		key.cgroup = cgroup_id;
	}
	if (p->has_port) {
		key.shape |= FL_SHAPE_PORT;
		key.port = p->port;
	}
	if (p->has_uid) {
		key.shape |= FL_SHAPE_UID;
		key.uid = p->uid;
	}
	*ret_key = key;
	*ret_value = (struct fl_policy){
		.flags = (p->eager ? FL_F_EAGER : 0) | (p->blocking ? FL_F_BLOCKING : 0) | yields_flags(&p->yields),
	};
}
