/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keys of section [fastlo]: one table, from which parsing and the error texts come.
 */
#ifndef FASTLO_CONFIG_KEYS_H
#define FASTLO_CONFIG_KEYS_H

#include "config.h"

#define CONFIG_KEYS 10

/* Index of the key, or -ENOENT. */
int config_key_find(const char *key);

/* -EINVAL with "KEY: 'VALUE' is not ..." in err. */
int config_key_set(struct config *c, int index, const char *value, char *err, size_t errlen);

/* Allocates the strings, so c can be freed. */
int config_defaults(struct config *ret_config);

#endif
