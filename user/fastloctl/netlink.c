/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Just enough netlink to dump a list and pick attributes. nftables uses the same layout as rtnetlink.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "causes.h"

#define TYPE_MASK 0x3fff /* without NLA_F_NESTED and NLA_F_NET_BYTEORDER */

static const struct rtattr *find(const struct rtattr *at, int len, int type)
{
	for (; RTA_OK(at, len); at = RTA_NEXT(at, len))
		if ((at->rta_type & TYPE_MASK) == type)
			return at;
	return NULL;
}

const struct rtattr *netlink_attr(const void *payload, int len, unsigned int skip, int type)
{
	skip = NLMSG_ALIGN(skip);
	return len < (int)skip ? NULL : find((const void *)((const char *)payload + skip), len - (int)skip, type);
}

const struct rtattr *netlink_nested(const struct rtattr *in, int type)
{
	return in ? find(RTA_DATA(in), RTA_PAYLOAD(in), type) : NULL;
}

/* 1: more to come; 0: the end; a negative errno */
static int take(char *buf, int n, void (*fn)(const void *payload, int len, void *arg), void *arg)
{
	for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (unsigned int)n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
		fn(NLMSG_DATA(h), (int)NLMSG_PAYLOAD(h, 0), arg);
	}
	return 1;
}

int netlink_dump(int protocol, int type, const void *request, unsigned int len,
		 void (*fn)(const void *payload, int len, void *arg), void *arg)
{
	struct {
		struct nlmsghdr head;
		char data[64];
	} q = { .head = { .nlmsg_len = NLMSG_LENGTH(len), .nlmsg_type = type,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	char *buf = malloc(1 << 16);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), r = 1;

	memcpy(q.data, request, len);
	if (!buf || fd < 0)
		r = buf ? -errno : -ENOMEM;
	else if (send(fd, &q, q.head.nlmsg_len, 0) < 0)
		r = -errno;
	while (r > 0) {
		ssize_t n = recv(fd, buf, 1 << 16, 0);

		r = n < 0 ? -errno : take(buf, (int)n, fn, arg);
	}
	if (fd >= 0)
		close(fd);
	free(buf);
	return r;
}
