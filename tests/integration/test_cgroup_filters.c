/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cgroup_skb programs on open, spliced connections, in each way that one comes and goes: the legacy call, a bpf_link,
 * an ancestor, either end, a replacement, a cgroup that dies with its sockets open, one attached between SYN and
 * accept, systemd's IPAddressDeny. A sibling's leave the pair alone.
 */
#include "check.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>

#include "filter.h"
#include "traffic.h"

#define BULK 100000

static struct probe probe;

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_return_code(fd, errno);
	return fd;
}

/* a cgroup beside .../app */
static const char *sub(char path[512], const char *name)
{
	snprintf(path, 512, "%s/%s", env.cgroup, name);
	if (mkdir(path, 0755) < 0)
		assert_int_equal(errno, EEXIST);
	return path;
}

/* Both directions pass the program (of `halves` directions), none is spliced. */
static void filtered(struct pair *p, unsigned int halves)
{
	uint64_t before = spliced(p->fd[CLIENT]) + spliced(p->fd[SERVER]), seen = probe_payload(&probe, TCP_HEADERS);

	ok(pair_pump(p, CLIENT, BULK, 1500));
	ok(pair_pump(p, SERVER, BULK, 1500));
	ok(pair_pingpong(p, 5, 100));
	expect_reason(p->fd[CLIENT], FL_R_CGROUP_FILTER);
	expect_reason(p->fd[SERVER], FL_R_CGROUP_FILTER);
	assert_int_equal(spliced(p->fd[CLIENT]) + spliced(p->fd[SERVER]), before);
	seen = probe_payload(&probe, TCP_HEADERS) - seen;
	assert_true(seen >= halves * (BULK + 500) && seen < halves * (BULK + 500) + 100000);
}

static void splices(struct pair *p)
{
	uint64_t before;

	ok(pair_warm(p));
	before = spliced(p->fd[CLIENT]);
	ok(pair_pingpong(p, 10, 500));
	assert_int_equal(spliced(p->fd[CLIENT]) - before, 5000);
	ok(pair_send(p, CLIENT, 700)); /* something spliced is always unread when a filter comes */
}

static void legacy_and_link(void **state)
{
	enum bpf_attach_type types[] = { BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS };
	const char *places[] = { env.app, env.cgroup };
	struct pair p;

	(void)state;
	ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
	ok(pair_open(&p, V4, true, true));
	for (int i = 0; i < 4; i++) {
		int dir = open_dir(places[i / 2]), link;

		splices(&p);
		ok(bpf_prog_attach(probe.prog, dir, types[i % 2], BPF_F_ALLOW_MULTI));
		filtered(&p, 2);
		ok(bpf_prog_detach2(probe.prog, dir, types[i % 2]));
		splices(&p);
		link = ok(bpf_link_create(probe.prog, dir, types[i % 2], NULL));
		filtered(&p, 2);
		/* detached by force while the link is held */
		ok(bpf_link_detach(link));
		splices(&p);
		close(link);
		link = ok(bpf_link_create(probe.prog, dir, types[i % 2], NULL));
		filtered(&p, 2);
		close(link);
		splices(&p);
		close(dir);
	}
	pair_close(&p);
	probe_close(&probe);
}

/* One takes the other's place without a gap in which anything is spliced. */
static void replaced(void **state)
{
	struct traffic_opts o = { .seed = 5, .max_send = 4096, .flags = TRAFFIC_CATCHUP };
	int dir = open_dir(env.app), link;
	struct probe first, second;
	struct traffic *t;
	uint64_t before;
	struct pair p;

	(void)state;
	ok(probe_load(&first, BPF_PROG_TYPE_CGROUP_SKB));
	ok(probe_load(&second, BPF_PROG_TYPE_CGROUP_SKB));
	ok(pair_open(&p, V4, true, true));
	splices(&p);
	link = ok(bpf_link_create(first.prog, dir, BPF_CGROUP_INET_EGRESS, NULL));
	probe = first;
	filtered(&p, 2);
	before = spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]);
	ok(traffic_start(&t, &p, &o));
	for (int i = 0; i < 200; i++) {
		LIBBPF_OPTS(bpf_link_update_opts, opts, 0);

		ok(bpf_link_update(link, i % 2 ? first.prog : second.prog, &opts));
		if (i % 20 == 0)
			ok(traffic_more(t, 10000));
	}
	ok(traffic_stop(t));
	assert_int_equal(spliced(p.fd[CLIENT]) + spliced(p.fd[SERVER]), before);
	close(link);
	splices(&p);
	pair_close(&p);
	probe_close(&first);
	probe_close(&second);
	close(dir);
}

/* in: where the listener and the accepted end live; the client is in .../app */
static void open_across(struct pair *p, const char *in)
{
	struct dial d = { .kind = V4, .opt = { true, true } };
	uint16_t port;

	*p = (struct pair){ .fd = { -1, -1 }, .seed = 91 };
	ok(env_join(in));
	ok(pair_listen(&d, &p->listener, &port));
	ok(env_join(env.app));
	ok(pair_connect(&d, port, &p->fd[CLIENT]));
	ok(pair_accept(p));
}

static void either_end(void **state)
{
	char path[512];
	int dir, app = open_dir(env.app);
	struct pair p;

	(void)state;
	dir = open_dir(sub(path, "server"));
	ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
	open_across(&p, path);
	splices(&p);
	ok(bpf_prog_attach(probe.prog, dir, BPF_CGROUP_INET_INGRESS, BPF_F_ALLOW_MULTI));
	filtered(&p, 1);
	ok(bpf_prog_detach2(probe.prog, dir, BPF_CGROUP_INET_INGRESS));
	splices(&p);
	ok(bpf_prog_attach(probe.prog, app, BPF_CGROUP_INET_EGRESS, BPF_F_ALLOW_MULTI));
	filtered(&p, 1);
	ok(bpf_prog_detach2(probe.prog, app, BPF_CGROUP_INET_EGRESS));
	splices(&p);
	pair_close(&p);
	probe_close(&probe);
	close(dir);
	close(app);
	rmdir(path);
}

static void sibling(void **state)
{
	struct pair p;
	char path[512];
	int dir;

	(void)state;
	dir = open_dir(sub(path, "sibling"));
	ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
	ok(pair_open(&p, V4, true, true));
	splices(&p);
	ok(bpf_prog_attach(probe.prog, dir, BPF_CGROUP_INET_INGRESS, 0));
	ok(bpf_prog_attach(probe.prog, dir, BPF_CGROUP_INET_EGRESS, 0));
	splices(&p);
	assert_int_equal(probe_packets(&probe), 0);
	pair_close(&p);
	probe_close(&probe);
	close(dir);
	rmdir(path);
}

/* The cgroup is removed, the program's descriptor closed: TCP would still run it for that socket, and does. */
static void dying_cgroup(void **state)
{
	struct pair p;
	char path[512];
	int dir;

	(void)state;
	for (int by_link = 0; by_link < 2; by_link++) {
		int link = -1;

		dir = open_dir(sub(path, "dying"));
		ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
		open_across(&p, path);
		splices(&p);
		if (by_link)
			link = ok(bpf_link_create(probe.prog, dir, BPF_CGROUP_INET_INGRESS, NULL));
		else
			ok(bpf_prog_attach(probe.prog, dir, BPF_CGROUP_INET_INGRESS, 0));
		close(dir);
		filtered(&p, 1);
		assert_return_code(rmdir(path), errno);
		filtered(&p, 1);
		if (link >= 0) {
			close(link);
			/* the kernel may keep it until the last socket is gone, or not: either way both agree */
			ok(pair_pump(&p, CLIENT, BULK, 1500));
		}
		pair_close(&p);
		probe_close(&probe);
	}
}

static void between_syn_and_accept(void **state)
{
	int dir = open_dir(env.app);
	struct pair p;

	(void)state;
	ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
	ok(pair_dial(&p, &(struct dial){ .kind = V4, .opt = { true, true }, .not_accepted = true }));
	ok(pair_send(&p, CLIENT, 3000));
	ok(bpf_prog_attach(probe.prog, dir, BPF_CGROUP_INET_INGRESS, BPF_F_ALLOW_MULTI));
	ok(pair_send(&p, CLIENT, 3000));
	ok(pair_accept(&p));
	ok(pair_drain(&p, CLIENT));
	assert_true(probe_payload(&probe, TCP_HEADERS) >= 3000);
	filtered(&p, 2);
	ok(bpf_prog_detach2(probe.prog, dir, BPF_CGROUP_INET_INGRESS));
	splices(&p);
	pair_close(&p);
	probe_close(&probe);
	close(dir);
}

/* Denied on an open connection: nothing arrives from then on, and the flow dies as on TCP. */
static void address_deny(void **state)
{
	int dir = open_dir(env.app), limit = 300, error = 0;
	socklen_t len = sizeof(error);
	struct pollfd poller;
	struct probe deny;
	struct pair p;
	int sent;

	(void)state;
	ok(probe_load_deny(&deny));
	ok(pair_open(&p, V4, true, true));
	splices(&p);
	ok(pair_drain(&p, CLIENT));
	ok(bpf_prog_attach(deny.prog, dir, BPF_CGROUP_INET_EGRESS, BPF_F_ALLOW_MULTI));
	assert_return_code(setsockopt(p.fd[CLIENT], IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit)), errno);
	sent = (int)pair_try_send(&p, CLIENT, 2000, 0);
	assert_true(sent == 2000 || sent == -EPERM);
	expect_reason(p.fd[CLIENT], FL_R_CGROUP_FILTER);
	poller = (struct pollfd){ .fd = p.fd[CLIENT] };
	assert_int_equal(poll(&poller, 1, PATIENCE_MS), 1);
	assert_return_code(getsockopt(p.fd[CLIENT], SOL_SOCKET, SO_ERROR, &error, &len), errno);
	assert_true(error == ETIMEDOUT || error == EPERM);
	assert_int_equal(pair_try_recv(&p, CLIENT, 2000, 0), -EAGAIN);
	ok(bpf_prog_detach2(deny.prog, dir, BPF_CGROUP_INET_EGRESS));
	pair_close(&p);
	probe_close(&deny);
	close(dir);
}

/* Attached and detached as fast as it goes, under a two-way stream. */
static void flapping(void **state)
{
	struct traffic_opts o = { .seed = 3, .max_send = 20000, .flags = TRAFFIC_CATCHUP };
	int dir = open_dir(env.app);
	struct traffic *t;
	struct pair p;

	(void)state;
	ok(probe_load(&probe, BPF_PROG_TYPE_CGROUP_SKB));
	ok(pair_open(&p, V6, true, true));
	ok(pair_warm(&p));
	ok(traffic_start(&t, &p, &o));
	for (int i = 0; i < 300; i++) {
		ok(bpf_prog_attach(probe.prog, dir, BPF_CGROUP_INET_EGRESS, BPF_F_ALLOW_MULTI));
		if (i % 10 == 0)
			ok(traffic_more(t, 20000));
		ok(bpf_prog_detach2(probe.prog, dir, BPF_CGROUP_INET_EGRESS));
		if (i % 10 == 5)
			ok(traffic_more(t, 20000));
	}
	ok(traffic_stop(t));
	ok(pair_warm(&p));
	pair_close(&p);
	probe_close(&probe);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legacy_and_link), cmocka_unit_test(replaced),
		cmocka_unit_test(either_end),	   cmocka_unit_test(sibling),
		cmocka_unit_test(dying_cgroup),	   cmocka_unit_test(between_syn_and_accept),
		cmocka_unit_test(address_deny),	   cmocka_unit_test(flapping),
	};

	return run_group(tests, group_up, group_down);
}
