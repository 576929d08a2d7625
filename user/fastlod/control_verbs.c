/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verbs of the control socket. A request is text from an unprivileged stranger until proved
 * otherwise: depth-limited parse, exact verbs, and the privilege check before the arguments.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control_verbs.h"
#include "text.h"

#define DEPTH_MAX 8
#define CODE_REFUSED 2 /* fastloctl's exit status */

struct call {
	const struct control_ops *ops;
	void *arg;
	struct json_object *request;
	int fd; /* to go with the reply; -1: none */
};

__attribute__((format(printf, 1, 2))) static struct json_object *refuse(const char *fmt, ...)
{
	struct json_object *reply = json_object_new_object();
	char text[POLICY_ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_mask(text);
	json_object_object_add(reply, "ok", json_object_new_boolean(false));
	json_object_object_add(reply, "error", json_object_new_string(text));
	json_object_object_add(reply, "code", json_object_new_int(CODE_REFUSED));
	return reply;
}

static struct json_object *agree(void)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "ok", json_object_new_boolean(true));
	return reply;
}

static struct json_object *done(int r, const char *err)
{
	if (r < 0)
		return refuse("%s", *err ? err : strerror(-r));
	return agree();
}

static struct json_object *verb_status(struct call *c)
{
	struct json_object *status = c->ops->status(c->arg);

	if (!status)
		return refuse("cannot tell the status: %s", strerror(ENOMEM));
	json_object_object_add(status, "ok", json_object_new_boolean(true));
	return status;
}

static struct json_object *verb_records(struct call *c)
{
	int fd = c->ops->records(c->arg);

	if (fd < 0)
		return refuse("cannot list the pairs: %s", strerror(-fd));
	c->fd = fd;
	return agree();
}

static struct json_object *verb_counters(struct call *c)
{
	struct json_object *reply = agree();
	int r = c->ops->counters(c->arg, reply);

	if (r == 0)
		return reply;
	json_object_put(reply);
	return refuse("cannot read the counters: %s", strerror(-r));
}

static struct json_object *verb_policy_list(struct call *c)
{
	struct json_object *list = c->ops->policy_list(c->arg), *reply;

	if (!list)
		return refuse("cannot list the policies: %s", strerror(ENOMEM));
	reply = agree();
	json_object_object_add(reply, "policies", list);
	return reply;
}

static struct json_object *verb_policy_add(struct call *c)
{
	char err[POLICY_ERROR_MAX] = "";
	struct json_object *json, *reply;
	struct policy p;

	if (!json_object_object_get_ex(c->request, "policy", &json))
		return refuse("policy_add: 'policy' is missing");
	if (policy_from_json(json, &p, err, sizeof(err)) < 0)
		return refuse("%s", *err ? err : strerror(ENOMEM));
	if (p.origin == POLICY_CONFIG)
		reply = refuse("origin: 'config' is not 'control' or 'run'");
	else
		reply = done(c->ops->policy_add(c->arg, &p, err, sizeof(err)), err);
	policy_free(&p);
	return reply;
}

static struct json_object *verb_policy_remove(struct call *c)
{
	char err[POLICY_ERROR_MAX] = "";
	struct json_object *name;
	int r;

	if (!json_object_object_get_ex(c->request, "name", &name) || !json_object_is_type(name, json_type_string))
		return refuse("policy_remove: 'name' is missing");
	r = c->ops->policy_remove(c->arg, json_object_get_string(name), err, sizeof(err));
	if (r == -ENOENT && !*err)
		return refuse("cannot remove policy '%.80s': there is none of that name", json_object_get_string(name));
	return done(r, err);
}

static struct json_object *verb_drain(struct call *c)
{
	char err[POLICY_ERROR_MAX] = "";
	int r = c->ops->drain(c->arg, err, sizeof(err));

	return done(r, err);
}

static struct json_object *verb_resume(struct call *c)
{
	char err[POLICY_ERROR_MAX] = "";
	int r = c->ops->resume(c->arg, err, sizeof(err));

	return done(r, err);
}

static const struct {
	const char *name;
	bool changes;
	struct json_object *(*run)(struct call *c);
} verbs[] = {
	{ "status", false, verb_status },
	{ "records", false, verb_records },
	{ "counters", false, verb_counters },
	{ "policy_list", false, verb_policy_list },
	{ "policy_add", true, verb_policy_add },
	{ "policy_remove", true, verb_policy_remove },
	{ "drain", true, verb_drain },
	{ "resume", true, verb_resume },
};

/* in fastloctl's words: "policy_add" is "policy add" there */
static struct json_object *deny(const char *verb)
{
	const char *bar = strchr(verb, '_');
	int first = bar ? (int)(bar - verb) : (int)strlen(verb);

	return refuse("%.*s%s%s: permission denied: needs root", first, verb, bar ? " " : "", bar ? bar + 1 : "");
}

static struct json_object *answer(struct call *c, bool may_change)
{
	struct json_object *json;
	const char *verb;
	size_t i;

	if (!json_object_is_type(c->request, json_type_object))
		return refuse("the request is not a JSON object");
	if (!json_object_object_get_ex(c->request, "verb", &json) || !json_object_is_type(json, json_type_string))
		return refuse("the request has no 'verb'");
	verb = json_object_get_string(json);
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, verb) != 0)
			continue;
		if (verbs[i].changes && !may_change)
			return deny(verb);
		return verbs[i].run(c);
	}
	return refuse("'%.80s' is not a verb", verb);
}

struct json_object *control_answer(const struct control_ops *ops, void *arg, const char *text, bool may_change,
				   int *ret_fd)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct call c = { .ops = ops, .arg = arg, .fd = -1 };
	struct json_object *reply;

	if (!tokener)
		return NULL;
	c.request = json_tokener_parse_ex(tokener, text, (int)strlen(text));
	if (json_tokener_get_error(tokener) != json_tokener_success)
		reply = refuse("the request is not a JSON object");
	else
		reply = answer(&c, may_change);
	json_object_put(c.request);
	json_tokener_free(tokener);
	*ret_fd = c.fd;
	return reply;
}
