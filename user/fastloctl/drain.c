/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl drain, resume: every connection back to plain TCP, and open for splicing again. Both
 * return once fastlod has switched; `list` shows how far the draining is.
 */
#include <json-c/json.h>

#include "ctl.h"

static int ask(int argc, char **argv, const char *verb)
{
	struct json_object *reply;
	int code;

	code = ctl_no_arguments(argc, argv);
	if (!code)
		code = ctl_ask(verb, &reply);
	if (code)
		return code;
	if (ctl_json())
		return ctl_print(reply);
	json_object_put(reply);
	return CTL_OK;
}

int verb_drain(int argc, char **argv)
{
	return ask(argc, argv, "drain");
}

int verb_resume(int argc, char **argv)
{
	return ask(argc, argv, "resume");
}
