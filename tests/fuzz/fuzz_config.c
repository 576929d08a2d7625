/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes as fastlo.conf: it is read or refused with one line, and what was read is as config.h says.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void check_loaded(const struct config *c)
{
	char err[POLICY_ERROR_MAX];

	check(c->pin_dir && c->run_dir && c->max_pairs >= 1 && c->max_pairs <= FL_MAX_PAIRS_LIMIT, "a key is out of range");
	for (size_t i = 0; i < c->n_policies; i++) {
		check(policy_validate(&c->policies[i], err, sizeof(err)) == 0, "a policy is not valid");
		for (size_t j = 0; j < i; j++)
			check(strcmp(c->policies[i].name, c->policies[j].name) != 0, "two policies of one name");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c = { .max_pairs = 12345 };
	static char path[32];
	char err[1024] = "";
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("fastlo.conf", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "no room for the file");
	if (config_load(path, &c, err, sizeof(err)) < 0) {
		check(c.max_pairs == 12345 && !c.policies, "a refused file left something behind");
		check(*err && !strchr(err, '\n'), "not one line");
		return 0;
	}
	check_loaded(&c);
	config_free(&c);
	return 0;
}
