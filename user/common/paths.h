/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where things are when nobody says otherwise. FASTLO_RUN_DIR moves the control socket for both
 * programs; a run_dir in the configuration file wins over it.
 */
#ifndef FASTLO_PATHS_H
#define FASTLO_PATHS_H

#include <stdlib.h>

#define PATHS_RUN_DIR "/run/fastlo"
#define PATHS_CONFIG "/etc/fastlo/fastlo.conf"
#define PATHS_CONTROL "control" /* in the run directory */
#define PATHS_GROUP "fastlo"	 /* whose members may ask there */

static inline const char *paths_run_dir(void)
{
	const char *dir = secure_getenv("FASTLO_RUN_DIR");

	return dir && *dir ? dir : PATHS_RUN_DIR;
}

#endif
