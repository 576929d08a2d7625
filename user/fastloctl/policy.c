/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl policy list|add|remove. Values are checked here by the same code as the configuration
 * file's, so a wrong one is bad usage (1) and needs no daemon to be found out.
 */
#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "policy.h"

static int print_table(struct json_object *list)
{
	static const char *const titles[] = { "NAME",	"CGROUP",   "CGROUPS", "PORT",	"UID",
					      "ENGAGE", "BLOCKING", "YIELD",   "ORIGIN" };
	static const char *const keys[] = { "name",   "cgroup",	  "cgroups", "port",  "uid",
					    "engage", "blocking", "yield",   "origin" };
	struct libscols_table *table = scols_new_table();
	size_t i, j;

	if (!table)
		return ctl_fail(CTL_REFUSED, "cannot print the policies: out of memory");
	for (j = 0; j < sizeof(keys) / sizeof(keys[0]); j++)
		scols_table_new_column(table, titles[j], 1, 0);
	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *p = json_object_array_get_idx(list, i);
		struct libscols_line *line = scols_table_new_line(table, NULL);

		for (j = 0; line && j < sizeof(keys) / sizeof(keys[0]); j++) {
			const char *text = ctl_string(p, keys[j]);

			scols_line_set_data(line, j, *text ? text : "-");
		}
	}
	scols_print_table(table);
	scols_unref_table(table);
	return CTL_OK;
}

static int list(int argc, char **argv)
{
	struct json_object *reply, *policies;
	int code;

	if (argc > 1)
		return ctl_fail(CTL_USAGE, "policy list: unknown argument '%s'", argv[1]);
	code = ctl_ask("policy_list", &reply);
	if (code)
		return code;
	policies = json_object_get(json_object_object_get(reply, "policies"));
	json_object_put(reply);
	if (!json_object_is_type(policies, json_type_array)) {
		json_object_put(policies);
		return ctl_fail(CTL_REFUSED, "cannot list the policies: fastlod sent none (is it of another version?)");
	}
	if (ctl_json())
		return ctl_print(policies);
	code = print_table(policies);
	json_object_put(policies);
	return code;
}

static int send_change(struct json_object *request)
{
	struct json_object *reply;
	int code = ctl_call(request, &reply);

	if (code)
		return code;
	if (ctl_json())
		return ctl_print(reply);
	json_object_put(reply);
	return CTL_OK;
}

/* argv[0] is "add" */
static int parse(int argc, char **argv, struct policy *p)
{
	char err[POLICY_ERROR_MAX];
	int i;

	if (argc < 2)
		return ctl_fail(CTL_USAGE, "policy add: no name");
	if (policy_set_name(p, argv[1], err, sizeof(err)) < 0)
		return ctl_fail(CTL_USAGE, "policy add: %s", err);
	for (i = 2; i < argc; i += 2) {
		if (strncmp(argv[i], "--", 2) != 0)
			return ctl_fail(CTL_USAGE, "policy add: unknown argument '%s'", argv[i]);
		if (i + 1 == argc)
			return ctl_fail(CTL_USAGE, "policy add: '%s' needs a value", argv[i]);
		if (policy_set(p, argv[i] + 2, argv[i + 1], err, sizeof(err)) < 0)
			return ctl_fail(CTL_USAGE, "policy add: %s", err);
	}
	if (policy_validate(p, err, sizeof(err)) < 0)
		return ctl_fail(CTL_USAGE, "policy add: %s", err);
	return CTL_OK;
}

/* It is no mistake, but may be a mistyped path. */
static void say_if_none_matches(const struct policy *p)
{
	struct json_object *reply, *list;

	if (!p->cgroup || ctl_json() || ctl_ask("policy_list", &reply) != CTL_OK)
		return;
	list = json_object_object_get(reply, "policies");
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
		struct json_object *of = json_object_array_get_idx(list, i);

		if (strcmp(ctl_string(of, "name"), p->name) == 0 && strcmp(ctl_string(of, "cgroups"), "0") == 0)
			fprintf(stderr, "fastloctl: no cgroup matches '%s' yet: policy '%s' applies when one comes\n", p->cgroup,
				p->name);
	}
	json_object_put(reply);
}

static int add(int argc, char **argv)
{
	struct policy p = { .origin = POLICY_CONTROL };
	struct json_object *request;
	int code;

	code = parse(argc, argv, &p);
	if (!code) {
		request = json_object_new_object();
		json_object_object_add(request, "verb", json_object_new_string("policy_add"));
		json_object_object_add(request, "policy", policy_to_json(&p));
		code = send_change(request);
	}
	if (!code)
		say_if_none_matches(&p);
	policy_free(&p);
	return code;
}

static int remove_one(int argc, char **argv)
{
	struct json_object *request;

	if (argc != 2)
		return ctl_fail(CTL_USAGE, "policy remove: %s", argc < 2 ? "no name" : "more than one name");
	request = json_object_new_object();
	json_object_object_add(request, "verb", json_object_new_string("policy_remove"));
	json_object_object_add(request, "name", json_object_new_string(argv[1]));
	return send_change(request);
}

int verb_policy(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "list") == 0)
		return list(argc - 1, argv + 1);
	if (strcmp(argv[1], "add") == 0)
		return add(argc - 1, argv + 1);
	if (strcmp(argv[1], "remove") == 0)
		return remove_one(argc - 1, argv + 1);
	return ctl_fail(CTL_USAGE, "policy: '%s' is not list, add or remove", argv[1]);
}
