/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a socket itself says about its fast path: FASTLO_INFO, and waiting until it says something.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "harness.h"

struct fastlo_info info(int fd)
{
	struct fastlo_info i = { 0 };
	socklen_t len = sizeof(i);

	if (getsockopt(fd, SOL_FASTLO, FASTLO_INFO, &i, &len) == 0)
		return i;
	return (struct fastlo_info){ .state = env.plain ? FASTLO_STATE_OFF : ~0U };
}

int wait_state(int fd, unsigned int state)
{
	int64_t until = now_ms() + PATIENCE_MS;

	do {
		if (info(fd).state == state)
			return 0;
	} while (tick(until));
	return -ETIMEDOUT;
}

int wait_reason(int fd, unsigned int reason)
{
	int64_t until = now_ms() + PATIENCE_MS;

	do {
		struct fastlo_info i = info(fd);

		if (i.state != ~0U && i.reason == reason)
			return 0;
	} while (tick(until));
	return -ETIMEDOUT;
}

uint64_t spliced(int fd)
{
	return info(fd).tx_spliced_bytes;
}

static void tcp_dump(FILE *to, int fd)
{
	struct tcp_info t = { 0 };
	socklen_t len = sizeof(t);
	int in = -1, out = -1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len) < 0)
		return;
	ioctl(fd, FIONREAD, &in);
	ioctl(fd, SIOCOUTQ, &out);
	fprintf(to, "  tcp: state %u unacked %u retransmits %u rto %u us last_data_sent %u ms last_data_recv %u ms "
		    "rcv_space %u FIONREAD %d SIOCOUTQ %d\n",
		t.tcpi_state, t.tcpi_unacked, t.tcpi_retransmits, t.tcpi_rto, t.tcpi_last_data_sent,
		t.tcpi_last_data_recv, t.tcpi_rcv_space, in, out);
}

void info_dump(FILE *to, const char *label, int fd)
{
	struct fastlo_info i = info(fd);

	fprintf(to,
		"%s: state %u reason %s pair %llu tx_spliced %llu B %llu msgs tx_tcp %llu B rx_spliced %llu B "
		"rx_returned %llu B\n",
		label, i.state, reason_name(i.reason), (unsigned long long)i.pair,
		(unsigned long long)i.tx_spliced_bytes, (unsigned long long)i.tx_spliced_msgs,
		(unsigned long long)i.tx_tcp_bytes, (unsigned long long)i.rx_spliced_bytes,
		(unsigned long long)i.rx_returned_bytes);
	tcp_dump(to, fd);
}
