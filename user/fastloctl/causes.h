/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which program, chain, device or process makes a pair yield to a filter of the host: as far as the kernel tells. Each
 * function adds sentences to an array. Those of a namespace are called inside it.
 */
#ifndef FASTLO_CAUSES_H
#define FASTLO_CAUSES_H

#include <stdbool.h>
#include <stdint.h>

#include "fastlo/abi.h"

struct json_object;

/* An array of strings, empty where nothing more than the reason is known. */
struct json_object *causes_find(const struct fl_record *r, uint32_t reason);

void causes_add(struct json_object *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "PREFIX: program ID 'NAME'" */
void causes_add_program(struct json_object *list, const char *prefix, uint32_t id);

/* causes_enter.c: into the pair's network namespace; the caller goes back. */
bool causes_enter(const struct fl_record *r);

/* causes_netfilter.c */
void causes_netfilter(struct json_object *list);
/* causes_device.c; lo is the index of the loopback device */
void causes_tc(struct json_object *list, unsigned int lo);
void causes_xdp(struct json_object *list, unsigned int lo);
/* causes_packet.c */
void causes_packet(struct json_object *list, unsigned int lo);

/* netlink.c: calls fn with the payload of each answer to a dump. 0 or a negative errno. */
int netlink_dump(int protocol, int type, const void *request, unsigned int len,
		 void (*fn)(const void *payload, int len, void *arg), void *arg);
struct rtattr;
/* The attribute of that type after a header of `skip` bytes, or NULL. */
const struct rtattr *netlink_attr(const void *payload, int len, unsigned int skip, int type);
const struct rtattr *netlink_nested(const struct rtattr *in, int type);

#endif
