/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Network namespaces without ip(8): held by their file descriptors only, so they go with the process.
 * Entering one changes the calling thread; sockets stay in the one they were made in.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "harness.h"

static int netns_here(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int netns_enter(int ns, int *ret_old)
{
	int old;

	*ret_old = -1;
	if (ns < 0)
		return 0;
	old = netns_here();
	if (old < 0)
		return -errno;
	if (setns(ns, CLONE_NEWNET) < 0) {
		int r = -errno;

		close(old);
		return r;
	}
	*ret_old = old;
	return 0;
}

void netns_leave(int old)
{
	if (old < 0)
		return;
	setns(old, CLONE_NEWNET);
	close(old);
}

/* addr: NULL leaves it without one */
static int link_up(const char *name, const char *addr)
{
	struct ifreq req = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (addr) {
		inet_pton(AF_INET, addr, &in.sin_addr);
		memcpy(&req.ifr_addr, &in, sizeof(in));
		if (ioctl(fd, SIOCSIFADDR, &req) < 0)
			r = -errno;
		inet_pton(AF_INET, "255.255.255.0", &in.sin_addr);
		memcpy(&req.ifr_netmask, &in, sizeof(in));
		if (r == 0 && ioctl(fd, SIOCSIFNETMASK, &req) < 0)
			r = -errno;
	}
	if (r == 0 && ioctl(fd, SIOCGIFFLAGS, &req) < 0)
		r = -errno;
	req.ifr_flags |= IFF_UP;
	if (r == 0 && ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		r = -errno;
	close(fd);
	return r;
}

int netns_new(int *ret_ns)
{
	int old = netns_here(), ns, r;

	if (old < 0)
		return -errno;
	if (unshare(CLONE_NEWNET) < 0) {
		r = -errno;
		close(old);
		return r;
	}
	r = link_up("lo", NULL);
	ns = netns_here();
	netns_leave(old);
	if (r < 0) {
		close(ns);
		return r;
	}
	*ret_ns = ns;
	return 0;
}

struct request {
	struct nlmsghdr head;
	struct ifinfomsg link;
	char attrs[512];
};

static struct rtattr *attr_add(struct request *q, int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void attr_end(struct request *q, struct rtattr *a)
{
	a->rta_len = (char *)q + q->head.nlmsg_len - (char *)a;
}

/* veth0 here, veth1 in ns_b */
static int veth_add(int ns_b)
{
	struct request q = { .head = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
				       .nlmsg_type = RTM_NEWLINK,
				       .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK } };
	struct { struct nlmsghdr head; struct nlmsgerr err; char more[1024]; } answer;
	struct ifinfomsg none = { 0 };
	struct rtattr *info_at, *data, *peer;
	int fd, r = 0;

	attr_add(&q, IFLA_IFNAME, "veth0", 6);
	info_at = attr_add(&q, IFLA_LINKINFO, NULL, 0);
	attr_add(&q, IFLA_INFO_KIND, "veth", 5);
	data = attr_add(&q, IFLA_INFO_DATA, NULL, 0);
	peer = attr_add(&q, VETH_INFO_PEER, &none, sizeof(none));
	attr_add(&q, IFLA_IFNAME, "veth1", 6);
	attr_add(&q, IFLA_NET_NS_FD, &ns_b, sizeof(ns_b));
	attr_end(&q, peer);
	attr_end(&q, data);
	attr_end(&q, info_at);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (send(fd, &q, q.head.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		r = -errno;
	else if (answer.head.nlmsg_type == NLMSG_ERROR)
		r = answer.err.error;
	close(fd);
	return r;
}

int veth_up(int ns_a, const char *addr_a, int ns_b, const char *addr_b)
{
	int old, r;

	r = netns_enter(ns_a, &old);
	if (r < 0)
		return r;
	r = veth_add(ns_b);
	if (r == 0)
		r = link_up("veth0", addr_a);
	netns_leave(old);
	if (r < 0)
		return r;
	r = netns_enter(ns_b, &old);
	if (r < 0)
		return r;
	r = link_up("veth1", addr_b);
	netns_leave(old);
	return r;
}

int netns_own(void)
{
	static int own = -1;
	int ns, r;

	if (own >= 0)
		return own;
	r = netns_new(&ns);
	if (r == 0)
		r = veth_up(ns, OWN_ADDR, ns, NULL);
	if (r < 0)
		return r;
	own = ns;
	return own;
}
