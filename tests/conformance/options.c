/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The options of socket(7), tcp(7), ip(7) and ipv6(7) that a TCP socket can be asked for, with a value that
 * differs from the default and with which plain TCP goes on working.
 */
#include <linux/filter.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <sys/time.h>

#include "options.h"

static const struct sock_filter accept_all[] = { { BPF_RET | BPF_K, 0, 0, 0xffffffff } };
static const struct sock_fprog filter = { 1, (struct sock_filter *)accept_all };
static const struct linger linger = { 1, 3 };
static const struct timeval two_s = { 2, 0 };
static const struct tcp_md5sig md5 = {
	.tcpm_addr = { .ss_family = AF_INET, .__data = { 0, 0, 10, 1, 2, 3 } }, .tcpm_keylen = 3, .tcpm_key = "key"
};

#define INT(n) &(const int){ n }, sizeof(int)
#define OF(v) &(v), sizeof(v)
#define NONE NULL, 0
#define S(o, ...) { #o, SOL_SOCKET, o, __VA_ARGS__ }
#define T(o, ...) { #o, IPPROTO_TCP, o, __VA_ARGS__ }
#define I4(o, ...) { #o, IPPROTO_IP, o, __VA_ARGS__ }
#define I6(o, ...) { #o, IPPROTO_IPV6, o, __VA_ARGS__ }
#define WIN OPTION_WINDOWS
#define VARIES OPTION_VARIES
#define GET NONE, OPTION_GET_ONLY
#define GET_VARIES NONE, OPTION_GET_ONLY | OPTION_VARIES
#define BINDS "with a host address plain TCP stops, since its packets are not from `lo`; and so does the pair: it yields"
#define PACKETS "spliced messages are no packets; kept for what goes over TCP"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif

const struct option options[] = {
	I4(IP_TTL, INT(33), WIN, PACKETS),
	I4(IP_UNICAST_IF, INT(0), WIN),
	I6(IPV6_UNICAST_HOPS, INT(33), WIN, PACKETS),
	I6(IPV6_UNICAST_IF, INT(0), WIN),
	I6(IPV6_V6ONLY, INT(1), WIN),
	S(SO_RCVBUF, INT(32768), WIN, "bounds spliced bytes, too"),
	S(SO_REUSEADDR, INT(0), WIN),
	S(SO_REUSEPORT, INT(1), WIN, "for SO_REUSE_UNICASTPORT"),
	T(TCP_TIMESTAMP, INT(5), WIN | VARIES),
	T(TCP_USER_TIMEOUT, INT(30000), WIN, "for TCP_MAXRT"),

	S(SO_ACCEPTCONN, GET),
	S(SO_ATTACH_FILTER, OF(filter)),
	S(SO_ATTACH_BPF, INT(-1)),
	S(SO_ATTACH_REUSEPORT_CBPF, OF(filter)),
	S(SO_BINDTODEVICE, "lo", 3, OPTION_MAY_STOP, BINDS),
	S(SO_BINDTOIFINDEX, INT(1), OPTION_MAY_STOP, BINDS),
	S(SO_BROADCAST, INT(1)),
	S(SO_BSDCOMPAT, INT(1)),
	S(SO_BUF_LOCK, INT(3)),
	S(SO_BUSY_POLL, INT(1)),
	S(SO_BUSY_POLL_BUDGET, INT(4)),
	S(SO_COOKIE, GET_VARIES),
	S(SO_DETACH_FILTER, INT(0)),
	S(SO_DOMAIN, GET),
	S(SO_DONTROUTE, INT(1)),
	S(SO_ERROR, GET),
	S(SO_INCOMING_CPU, INT(0), VARIES),
	S(SO_INCOMING_NAPI_ID, GET_VARIES),
	S(SO_KEEPALIVE, INT(1), 0, "probes go over TCP"),
	S(SO_LINGER, OF(linger)),
	S(SO_LOCK_FILTER, INT(1)),
	S(SO_MARK, INT(7), 0, PACKETS),
	S(SO_MAX_PACING_RATE, INT(1000000000)),
	S(SO_MEMINFO, GET_VARIES),
	S(SO_NETNS_COOKIE, GET_VARIES),
	S(SO_NO_CHECK, INT(1)),
	S(SO_NOFCS, INT(1)),
	S(SO_OOBINLINE, INT(1)),
	S(SO_PASSCRED, INT(1)),
	S(SO_PASSPIDFD, INT(1)),
	S(SO_PASSRIGHTS, INT(0)),
	S(SO_PASSSEC, INT(1)),
	S(SO_PEEK_OFF, INT(0)),
	S(SO_PEERCRED, GET_VARIES),
	S(SO_PEERNAME, GET_VARIES),
	S(SO_PEERSEC, GET_VARIES),
	S(SO_PREFER_BUSY_POLL, INT(1)),
	S(SO_PRIORITY, INT(3), 0, PACKETS),
	S(SO_PROTOCOL, GET),
	S(SO_RCVBUFFORCE, INT(32768)),
	S(SO_RCVLOWAT, INT(50)),
	S(SO_RCVMARK, INT(1)),
	S(SO_RCVPRIORITY, INT(1)),
	S(SO_RCVTIMEO, OF(two_s)),
	S(SO_RESERVE_MEM, INT(65536)),
	S(SO_RXQ_OVFL, INT(1)),
	S(SO_SELECT_ERR_QUEUE, INT(1)),
	S(SO_SNDBUF, INT(32768), 0, "bounds what goes over TCP; spliced bytes are bounded by the receiver"),
	S(SO_SNDBUFFORCE, INT(32768)),
	S(SO_SNDLOWAT, INT(1)),
	S(SO_SNDTIMEO, OF(two_s)),
	S(SO_TIMESTAMP, INT(1)),
	S(SO_TIMESTAMPNS, INT(1)),
	{ "SO_TIMESTAMPING (receive)", SOL_SOCKET, SO_TIMESTAMPING,
	  INT(SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE) },
	{ "SO_TIMESTAMPING (send)", SOL_SOCKET, SO_TIMESTAMPING,
	  INT(SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE) },
	S(SO_TXREHASH, INT(0)),
	S(SO_TYPE, GET),
	S(SO_WIFI_STATUS, INT(1)),
	S(SO_ZEROCOPY, INT(1)),

	T(TCP_CC_INFO, GET_VARIES),
	T(TCP_CONGESTION, "reno", 4, 0, PACKETS),
	T(TCP_CORK, INT(1), 0, "a spliced message is not held back"),
	T(TCP_DEFER_ACCEPT, INT(3)),
	T(TCP_DELACK_MAX_US, INT(20000)),
	T(TCP_FASTOPEN, INT(5)),
	T(TCP_FASTOPEN_CONNECT, INT(1)),
	T(TCP_FASTOPEN_NO_COOKIE, INT(1)),
	T(TCP_INFO, GET_VARIES, "counts the TCP part alone; FASTLO_INFO has the rest"),
	T(TCP_INQ, INT(1)),
	T(TCP_IS_MPTCP, GET),
	T(TCP_KEEPCNT, INT(4)),
	T(TCP_KEEPIDLE, INT(60)),
	T(TCP_KEEPINTVL, INT(5)),
	T(TCP_LINGER2, INT(9)),
	T(TCP_MAXSEG, INT(1000), VARIES, PACKETS),
	T(TCP_MD5SIG, OF(md5), 0, "a key for another peer; spliced messages are not signed"),
	T(TCP_NODELAY, INT(0)),
	T(TCP_NOTSENT_LOWAT, INT(10000)),
	T(TCP_QUICKACK, INT(0), VARIES),
	T(TCP_REPAIR, INT(-1), 0, "off without a window probe; 1 is in a case of its own"),
	T(TCP_RTO_MAX_MS, INT(20000)),
	T(TCP_RTO_MIN_US, INT(100000)),
	T(TCP_SAVE_SYN, INT(1)),
	T(TCP_SAVED_SYN, GET_VARIES),
	T(TCP_SYNCNT, INT(3)),
	T(TCP_THIN_DUPACK, INT(1)),
	T(TCP_THIN_LINEAR_TIMEOUTS, INT(1)),
	T(TCP_TX_DELAY, INT(1000), 0, "a spliced message is not delayed"),
	T(TCP_ULP, "tls", 3, 0, "switching kTLS on is in a case of its own"),
	T(TCP_WINDOW_CLAMP, INT(40000), 0, "the receive-buffer rule looks at SO_RCVBUF alone"),

	I4(IP_BIND_ADDRESS_NO_PORT, INT(1)),
	I4(IP_FREEBIND, INT(1)),
	I4(IP_LOCAL_PORT_RANGE, INT(0)),
	I4(IP_MINTTL, INT(1), 0, PACKETS),
	I4(IP_MTU, GET_VARIES),
	I4(IP_MTU_DISCOVER, INT(IP_PMTUDISC_DO), 0, PACKETS),
	I4(IP_MULTICAST_ALL, INT(0)),
	I4(IP_MULTICAST_LOOP, INT(0)),
	I4(IP_MULTICAST_TTL, INT(3)),
	I4(IP_NODEFRAG, INT(1)),
	I4(IP_OPTIONS, "\1\1\1\0", 4, 0, PACKETS),
	I4(IP_PASSSEC, INT(1)),
	I4(IP_PKTINFO, INT(1)),
	I4(IP_PROTOCOL, GET_VARIES),
	I4(IP_RECVERR, INT(1)),
	I4(IP_RECVOPTS, INT(1)),
	I4(IP_RECVORIGDSTADDR, INT(1)),
	I4(IP_RECVTOS, INT(1)),
	I4(IP_RECVTTL, INT(1)),
	I4(IP_RETOPTS, INT(1)),
	I4(IP_ROUTER_ALERT, INT(1)),
	I4(IP_TOS, INT(0x10), 0, PACKETS),
	I4(IP_TRANSPARENT, INT(1)),

	I6(IPV6_ADDRFORM, INT(AF_INET), OPTION_BUSY),
	I6(IPV6_ADDR_PREFERENCES, INT(IPV6_PREFER_SRC_PUBLIC)),
	I6(IPV6_AUTOFLOWLABEL, INT(1)),
	I6(IPV6_DONTFRAG, INT(1)),
	I6(IPV6_FLOWINFO_SEND, INT(1)),
	I6(IPV6_FREEBIND, INT(1)),
	I6(IPV6_MINHOPCOUNT, INT(1), 0, PACKETS),
	I6(IPV6_MTU, INT(1400), VARIES, PACKETS),
	I6(IPV6_MTU_DISCOVER, INT(IPV6_PMTUDISC_DO), 0, PACKETS),
	I6(IPV6_MULTICAST_HOPS, INT(3)),
	I6(IPV6_MULTICAST_LOOP, INT(0)),
	I6(IPV6_RECVDSTOPTS, INT(1)),
	I6(IPV6_RECVERR, INT(1)),
	I6(IPV6_RECVHOPLIMIT, INT(1), 0, "IPV6_2292PKTOPTIONS is in a case of its own"),
	I6(IPV6_RECVHOPOPTS, INT(1)),
	I6(IPV6_RECVORIGDSTADDR, INT(1)),
	I6(IPV6_RECVPKTINFO, INT(1), 0, "IPV6_2292PKTOPTIONS is in a case of its own"),
	I6(IPV6_RECVRTHDR, INT(1)),
	I6(IPV6_RECVTCLASS, INT(1), 0, "IPV6_2292PKTOPTIONS is in a case of its own"),
	I6(IPV6_ROUTER_ALERT_ISOLATE, INT(1)),
	I6(IPV6_TCLASS, INT(0x10), 0, PACKETS),
	I6(IPV6_TRANSPARENT, INT(1)),
};
const size_t options_count = sizeof(options) / sizeof(options[0]);
