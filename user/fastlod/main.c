/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlod's command line. Exit status: 0 done, 1 usage or configuration, 2 refused by kernel or host, 3 --drain found nothing.
 */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "config.h"
#include "daemon.h"
#include "drain.h"
#include "log.h"
#include "paths.h"

static const char usage[] =
	"fastlod [-c FILE] [--check-config] [--drain] [-v] [--version]\n"
	"The daemon of the loopback fast path; stays in the foreground.\n"
	"  -c, --config FILE  read FILE (default: " PATHS_CONFIG ", if it is there)\n"
	"      --check-config read the configuration, and exit\n"
	"      --drain        release what a fastlod that no longer runs left pinned, and exit\n"
	"  -v, --verbose      log more, libbpf's words too\n"
	"      --version      print the version\n"
	"  -h, --help         this text\n";

int main(int argc, char **argv)
{
	enum { OPT_CHECK = 256, OPT_DRAIN, OPT_VERSION };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "check-config", no_argument, NULL, OPT_CHECK },
		{ "drain", no_argument, NULL, OPT_DRAIN },
		{ "verbose", no_argument, NULL, 'v' },	    { "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, 'h' },	    { 0 },
	};
	bool check = false, drain = false, verbose = false;
	const char *path = NULL;
	struct config cfg;
	char err[1024];
	int c;

	log_open("fastlod", false);
	while ((c = getopt_long(argc, argv, "c:vh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		case OPT_CHECK:
			check = true;
			break;
		case OPT_DRAIN:
			drain = true;
			break;
		case OPT_VERSION:
			puts("fastlod " FL_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 1;
		}
	}
	log_open("fastlod", verbose);
	if (optind < argc) {
		log_err("unexpected argument '%s' (try --help)", argv[optind]);
		return 1;
	}
	if (!path && access(PATHS_CONFIG, F_OK) == 0)
		path = PATHS_CONFIG;
	if (config_load(path, &cfg, err, sizeof(err)) < 0) {
		log_err("%s", err);
		return 1;
	}
	if (check) {
		config_free(&cfg);
		return 0;
	}
	return drain ? drain_left(&cfg) : daemon_run(&cfg, path);
}
