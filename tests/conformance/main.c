/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * conformance [-v] [-l] [-g GROUP] [-k KIND] [CASE]: fastlo beside plain TCP. Under PLAIN=1 there is no fastlo,
 * and every mode is plain TCP: a difference then is the case's own.
 */
#include <getopt.h>
#include <stdlib.h>

#include "conform.h"

int main(int argc, char **argv)
{
	struct conform_options o = { 0 };
	int ch;

	while ((ch = getopt(argc, argv, "vlg:k:")) != -1) {
		switch (ch) {
		case 'v':
			o.verbose = true;
			break;
		case 'l':
			o.list = true;
			break;
		case 'g':
			o.group = atoi(optarg);
			break;
		case 'k':
			o.kind = optarg;
			break;
		default:
			fprintf(stderr, "usage: conformance [-v] [-l] [-g GROUP] [-k KIND] [CASE]\n");
			return 2;
		}
	}
	o.only = argv[optind];
	if (!o.list && geteuid() != 0) {
		printf("needs root\n0 passed, 0 failed, 1 skipped\n");
		return 0;
	}
	return conform_main(&o);
}
