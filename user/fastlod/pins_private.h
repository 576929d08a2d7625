/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What pins.c (the directory and the maps) and pins_links.c share; nobody else includes it.
 */
#ifndef FASTLOD_PINS_PRIVATE_H
#define FASTLOD_PINS_PRIVATE_H

#include <stddef.h>

#include "pins.h"

struct bpf_link;

#define MAX_LINKS 16

struct pins {
	char *dir;
	int fd; /* of dir: whatever is moved or mounted there later, this is where our pins are */
	struct bpf_link *links[MAX_LINKS];
	int n_links;
	bool renew_failed;
};

void pins_path(const struct pins *p, const char *name, char *path, size_t size);

#endif
