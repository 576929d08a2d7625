/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastloctl: the table of verbs and the options that hold for all of them; nothing else. Help comes
 * from the same table.
 */
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "log.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *help;
} verbs[] = {
	{ "status", verb_status, "", "is fastlod running, and how much is spliced" },
	{ "list", verb_list, "", "every pair" },
	{ "stats", verb_stats, "", "totals, and why messages were not spliced" },
	{ "explain", verb_explain, "ID|PORT|PID", "why a connection is not spliced" },
	{ "doctor", verb_doctor, "", "can fastlo work here, and what does this kernel do to a spliced socket" },
	{ "policy", verb_policy, "list", "what is opted in without asking" },
	{ "policy", verb_policy, "add NAME [--cgroup PATH] [--port N] [--uid U]", "" },
	{ "", NULL, "           [--engage eager|observed] [--blocking allow|refuse]", "" },
	{ "policy", verb_policy, "remove NAME", "" },
	{ "run", verb_run, "[--eager] [--allow-blocking] -- CMD...", "run CMD opted in" },
	{ "drain", verb_drain, "[-c FILE]", "every connection back to plain TCP" },
	{ "resume", verb_resume, "", "splice again" },
	{ "version", verb_version, "", "versions of fastloctl and fastlod" },
};

static int help(void)
{
	size_t i;

	printf("usage: fastloctl [-j] [VERB]\n\n");
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		int n = printf("  %s%s%s", verbs[i].name, *verbs[i].arguments ? " " : "", verbs[i].arguments);

		if (*verbs[i].help)
			printf("%*s%s", n < 46 ? 46 - n : 2, "", verbs[i].help);
		printf("\n");
	}
	printf("\n  -j%*sone JSON document on stdout, errors too\n"
	       "\nexit status: 0 ok, 1 usage, 2 refused by kernel or daemon, 3 fastlod is not running\n",
	       42, "");
	return CTL_OK;
}

int main(int argc, char **argv)
{
	static char *bare[] = { "status", NULL };
	size_t v;
	int i;

	log_open("fastloctl", false);
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-j") == 0)
			ctl_set_json(true);
		else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return help();
		else if (strcmp(argv[i], "--version") == 0)
			return verb_version(1, argv);
		else
			return ctl_fail(CTL_USAGE, "unknown option '%s' (try 'fastloctl -h')", argv[i]);
	}
	if (i == argc)
		return verb_status(1, bare);
	for (v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++)
		if (verbs[v].run && strcmp(argv[i], verbs[v].name) == 0)
			return verbs[v].run(argc - i, argv + i);
	return ctl_fail(CTL_USAGE, "unknown verb '%s' (try 'fastloctl -h')", argv[i]);
}
