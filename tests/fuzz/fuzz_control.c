/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any request on the control socket, from who may change things and from who may not: it gets an answer, nothing is
 * changed by the latter, and a policy that is taken is whole and survives its own JSON.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_verbs.h"

static bool trusted;

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static struct json_object *status(void *arg)
{
	(void)arg;
	return json_object_new_object();
}

static struct json_object *policy_list(void *arg)
{
	(void)arg;
	return json_object_new_array();
}

static int policy_add(void *arg, const struct policy *p, char *err, size_t errlen)
{
	struct json_object *json = policy_to_json(p);
	struct policy again;

	(void)arg;
	check(trusted, "a stranger adds a policy");
	check(policy_validate(p, err, errlen) == 0, "a policy is not valid");
	check(policy_from_json(json, &again, err, errlen) == 0, "it does not read what it wrote");
	check(strcmp(p->name, again.name) == 0 && p->port == again.port && p->uid == again.uid && p->eager == again.eager &&
		      p->blocking == again.blocking && !p->cgroup == !again.cgroup &&
		      (!p->cgroup || strcmp(p->cgroup, again.cgroup) == 0), "it reads something else");
	policy_free(&again);
	json_object_put(json);
	return 0;
}

static int policy_remove(void *arg, const char *name, char *err, size_t errlen)
{
	(void)arg;
	(void)err;
	(void)errlen;
	check(trusted && name, "a stranger removes a policy");
	return -ENOENT;
}

static int change(void *arg, char *err, size_t errlen)
{
	(void)arg;
	(void)err;
	(void)errlen;
	check(trusted, "a stranger drains or resumes");
	return 0;
}

static int records(void *arg)
{
	(void)arg;
	return -ENOSYS;
}

static int counters(void *arg, struct json_object *reply)
{
	(void)arg;
	(void)reply;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_ops ops = { status, policy_list, policy_add, policy_remove, change, change, records,
						counters };
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	for (int i = 0; i < 2; i++) {
		struct json_object *reply, *ok = NULL;
		int fd;

		trusted = i;
		reply = control_answer(&ops, NULL, text, trusted, &fd);
		check(reply && json_object_object_get_ex(reply, "ok", &ok) && json_object_is_type(ok, json_type_boolean),
		      "no answer");
		check(fd == -1, "a descriptor");
		check(!strchr(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN), '\n'), "not one line");
		json_object_put(reply);
	}
	free(text);
	return 0;
}
