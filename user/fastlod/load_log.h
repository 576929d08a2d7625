/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What libbpf says while programs are loaded: held back until a load fails (or -v asks for it).
 */
#ifndef FASTLOD_LOAD_LOG_H
#define FASTLOD_LOAD_LOG_H

void load_log_hold(void);
void load_log_drop(void);
int load_log_explain(int r); /* shows it, and what the error r means; gives r back */

#endif
