/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One fastlod per run directory and per pin directory. Locks go with the process, so a stale file of a
 * killed fastlod is no obstacle.
 */
#ifndef FASTLOD_LOCK_H
#define FASTLOD_LOCK_H

/*
 * Takes run_dir/fastlod.pid (written) and is held until the process ends. -EBUSY after a line in the log that
 * names the holder. run_dir is made if need be.
 */
int lock_run_dir(const char *run_dir);

/* The same for the pin directory, which exists. */
int lock_pin_dir(const char *pin_dir);

/* If lock_run_dir() succeeded: removes run_dir/fastlod.pid, and run_dir if lock_run_dir() made it and nothing else is in it. */
void lock_remove(const char *run_dir);

#endif
