/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the verbs of fastloctl share: exit codes, output, the daemon, the pins. A verb gets its own
 * arguments (argv[0] is its name) and returns the exit status. stdout carries data only.
 */
#ifndef FASTLO_CTL_H
#define FASTLO_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastlo/abi.h"

struct json_object;

enum ctl_code {
	CTL_OK = 0,
	CTL_USAGE = 1,
	CTL_REFUSED = 2, /* by the kernel or the daemon */
	CTL_ABSENT = 3,	 /* fastlod is not running */
};

int verb_status(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_stats(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_policy(int argc, char **argv);
int verb_run(int argc, char **argv);
int verb_drain(int argc, char **argv);
int verb_resume(int argc, char **argv);
int verb_version(int argc, char **argv);

/* out.c: -j turns every result, errors too, into one JSON document on stdout */
void ctl_set_json(bool json);
bool ctl_json(void);
/* Says what failed, returns code. */
int ctl_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints and releases json; CTL_OK, or CTL_REFUSED if stdout is gone. */
int ctl_print(struct json_object *json);
/* "12.3 MiB"; buf is returned */
char *ctl_bytes(uint64_t bytes, char *buf, size_t len);
/* CTL_OK if the verb has no arguments */
int ctl_no_arguments(int argc, char **argv);

/* state.c: request is released; exit codes, failures have been printed */
int ctl_call(struct json_object *request, struct json_object **ret_reply);
/* a request of one verb and nothing else */
int ctl_ask(const char *verb, struct json_object **ret_reply);
/* "" when absent */
const char *ctl_string(struct json_object *json, const char *key);

/* All pairs; the caller frees the array. */
int ctl_pairs(struct fl_record **ret_records, size_t *ret_n);
/* Summed over all CPUs. */
int ctl_counters(uint64_t ret_totals[FL_T_MAX], uint64_t ret_reasons[FL_R_MAX]);

#endif
