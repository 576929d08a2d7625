/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The test programs' own world: a cgroup, a bpffs, a run directory and a fastlod of their own, which go
 * away however the program ends; connected pairs of every address kind; streams whose bytes name
 * their offsets; and what FASTLO_INFO says. Functions return 0 or a count, or a negative errno; none of
 * them fails a test by itself (see check.h), so that threads, torture and bench can use them.
 */
#ifndef FASTLO_TESTS_HARNESS_H
#define FASTLO_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <json-c/json.h>

#include "fastlo/abi.h"
#include "reason.h"

#define PATIENCE_MS 10000 /* how long anything that must happen may take before a test gives up */

/* Whose a process is; all zero: root's. */
struct who {
	uid_t uid;
	gid_t gid;     /* 0: the same number as uid */
	uint64_t caps; /* ambient, so that they outlive exec */
};

/* ---- env.c: one per process. PLAIN=1 in the environment: no fastlod, every opt-in is left out. */
struct env {
	char mount[256];  /* the cgroup2 mount */
	char home[512];	  /* the cgroup that the program was started in */
	char cgroup[320]; /* fastlod's programs are attached here */
	char app[384];	  /* the program's own, below it */
	const char *rel;  /* the same as a policy names it: from the mount on */
	char dir[64];	  /* everything below is in here */
	char bpffs[96], pins[128], run[96], config[96], log[96];
	char bin[512]; /* where fastlod and fastloctl are */
	bool plain, up;
	struct who daemon_as; /* env_restart() */
	struct who ctl_as;    /* env_ctl() */
};
extern struct env env;

/* extra: further lines of [fastlo], then sections; "@CGROUP@" becomes env.rel */
int env_up(const char *extra);
void env_down(void);
int env_start(void);		/* starts fastlod again, same configuration, env.bin's binary */
int env_ready(void);		/* 1; 0: not yet */
int env_restart(void);		/* starts it and waits until it is ready */
int env_sigterm_and_wait(void); /* wait status */
int env_kill(void);		/* SIGKILL, reaped */
pid_t env_daemon(void);
bool env_has_pins(void);
void env_log_dump(FILE *to);
int env_join(const char *cgroup); /* moves this process */
/* The path of fastlod or fastloctl, where uid can see it. */
int env_program(const char *name, uid_t uid, char *ret, size_t size);
/* A fastlod that is expected not to come up: its wait status, and what it said. env.daemon_as, if that is its uid. */
int env_try_daemon(const char *config, uid_t uid, char *ret_said, size_t size);
/* `fastloctl -j VERB ...`, NULL-terminated: its exit status; ret may be NULL. */
int env_ctl(struct json_object **ret, const char *verb, ...) __attribute__((sentinel));
/* A number of `fastloctl -j stats`; path "a.b"; -1 if there is none. */
int64_t env_stat(const char *path);

/* ---- proc.c */
int64_t now_ms(void);
bool tick(int64_t deadline_ms); /* a nap of 1 ms; false once the deadline has passed */
int proc_spawn(char *const argv[], char *const envs[], uid_t uid, const char *cgroup, int out, int err, pid_t *ret);
int proc_spawn_as(char *const argv[], char *const envs[], const struct who *who, const char *cgroup, int out, int err,
		  pid_t *ret);
int proc_become(const struct who *who); /* this process, for good */
int proc_wait(pid_t pid, int timeout_ms); /* wait status, -ETIMEDOUT */
bool thread_asleep(pid_t tid);		  /* waits, interruptibly */
int file_write(const char *path, const char *text);
int file_read(const char *path, char *ret, size_t size); /* NUL-terminated, cut */
int tree_remove(const char *path);

/* ---- guard.c: undo runs when this process is gone, however it went */
int guard_start(pid_t *ret, void (*undo)(void *arg), void *arg);
void guard_stop(pid_t guard);

/* ---- netns.c */
#define OWN_ADDR "10.77.0.1"
#define OWN_NOBODY "10.77.0.99" /* a neighbour that never answers */
int netns_new(int *ret_ns);
int netns_enter(int ns, int *ret_old); /* ns < 0: stays; this thread only */
void netns_leave(int old);
int netns_own(void); /* a netns with OWN_ADDR on a veth, made at first use */
int veth_up(int ns_a, const char *addr_a, int ns_b, const char *addr_b);

/* ---- memory.c: -ENOENT or -EACCES where there is no such controller. Its sockets outlive it. */
struct memory {
	char home[600], own[660];
};
int memory_new(struct memory *ret, const char *limit);	   /* cgroup v1, of TCP's memory */
int memory_new_max(struct memory *ret, const char *limit); /* cgroup v2, of all memory */
int memory_write(const struct memory *m, const char *file, const char *value);
int64_t memory_read(const struct memory *m, const char *file);
int memory_enter(const struct memory *m); /* this process; its new sockets are limited */
void memory_leave(const struct memory *m);
void memory_free(const struct memory *m);
/* TCP's own limits, net.ipv4.tcp_mem, the whole host's: text is three numbers of pages. They come back in any event. */
int tcp_mem_borrow(void);
int tcp_mem_write(const char *text);
int tcp_mem_restore(void);
void tcp_mem_give_back(void); /* and no guard any more */

/* ---- table.c: the pins, fastlod not asked */
struct table_left {
	uint32_t used;	   /* slots ever used */
	uint32_t not_free; /* of those, not in the free list, */
	uint32_t twice;	   /* or in it twice */
	uint32_t pairs, pending, admitted;
};
void table_dump(FILE *to, uint64_t pair);
int table_left(struct table_left *ret);
int64_t table_lost_events(void); /* that found the ring full */

/* ---- pattern.c: the byte at an offset of a stream */
void pattern_fill(void *buf, size_t len, uint64_t seed, uint64_t off);
ssize_t pattern_check(const void *buf, size_t len, uint64_t seed, uint64_t off); /* index of the first wrong byte, -1 */
uint64_t rnd(uint64_t *state);
size_t rnd_size(uint64_t *state, size_t max); /* 1 .. max, every magnitude as likely */

/* ---- info.c */
struct fastlo_info info(int fd); /* all zero and state ~0 if it fails */
int wait_state(int fd, unsigned int state);
int wait_reason(int fd, unsigned int reason);
void info_dump(FILE *to, const char *label, int fd);
uint64_t spliced(int fd); /* tx_spliced_bytes */

/* ---- pair.c */
enum kind { V4, V6, MAPPED, OWN, KINDS };
extern const char *const kind_names[KINDS];
enum { CLIENT = 0, SERVER = 1 };

struct pair {
	int fd[2]; /* CLIENT, SERVER; both O_NONBLOCK */
	int listener;
	uint64_t seed;		   /* direction d, from fd[d], is the stream of seed + d */
	uint64_t sent[2], got[2]; /* per direction */
};

struct dial {
	enum kind kind;
	bool opt[2];	       /* opt in by setsockopt: CLIENT, SERVER */
	int ns;		       /* > 0: both ends in this netns */
	uint16_t port[2];      /* 0: any */
	int rcvbuf, sndbuf;    /* 0: the default */
	int defer_accept;      /* seconds */
	bool not_accepted;     /* leave fd[SERVER] -1: pair_accept() */
};

int opt_in(int fd, int on); /* does nothing under PLAIN=1 */
int kind_addr(enum kind k, int side, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len);
int pair_listen(const struct dial *d, int *ret_fd, uint16_t *ret_port);
int pair_connect(const struct dial *d, uint16_t port, int *ret_fd);
int pair_dial(struct pair *ret, const struct dial *d);
int pair_accept(struct pair *p);
int pair_open(struct pair *ret, enum kind k, bool opt_in_client, bool opt_in_server);
void pair_close(struct pair *p); /* takes NULL and closed ones */

/* from: CLIENT or SERVER. All wait with PATIENCE_MS, all verify what they receive (-EBADMSG). */
ssize_t pair_try_send(struct pair *p, int from, size_t len, int flags); /* one call */
ssize_t pair_try_recv(struct pair *p, int from, size_t len, int flags); /* one call; -ECONNRESET at EOF */
int pair_send(struct pair *p, int from, size_t len);
int pair_recv(struct pair *p, int from, size_t len);
int pair_pump(struct pair *p, int from, uint64_t len, size_t msg); /* sends and receives by turns */
int64_t pair_fill(struct pair *p, int from, size_t msg);	   /* sends until EAGAIN: bytes accepted */
int pair_drain(struct pair *p, int from);			   /* receives all that was sent */
int pair_pingpong(struct pair *p, int rounds, size_t msg);
int pair_warm(struct pair *p); /* ping-pongs until both directions are spliced */
void pair_dump(FILE *to, const struct pair *p);

#endif
