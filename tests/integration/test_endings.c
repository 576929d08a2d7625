/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How connections end. After a shutdown, connect(AF_UNSPEC), a reset, a close or SIGKILL a spliced pair
 * answers as the plain TCP pair beside it does, and what was sent before the end arrives.
 */
#include "check.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* What the application saw, as text: compared as a whole. */
struct notes {
	bool eager;
	size_t len;
	char text[1024];
};

/* text: what was received, or NULL */
static void note(struct notes *n, const char *what, long r, const char *text)
{
	n->len += snprintf(n->text + n->len, sizeof(n->text) - n->len, r < 0 ? "%s=%s " : "%s=%s%ld ", what,
			   r < 0 ? strerrorname_np(errno) : text ? text : "", r);
	assert_true(n->len < sizeof(n->text));
}

static void do_send(struct notes *n, int fd, const char *text)
{
	note(n, text, send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL), NULL);
}

static void do_recv(struct notes *n, int fd)
{
	char mem[64] = "";

	note(n, "recv", recv(fd, mem, sizeof(mem) - 1, MSG_DONTWAIT), mem);
}

/* Also ends at an error or a hang-up. */
static void await(struct notes *n, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (poll(&p, 1, PATIENCE_MS) != 1)
		note(n, "waited in vain", 0, NULL);
}

/* Until what went over TCP is in the other end's queue; spliced bytes are there at once. */
static void settle(int fd)
{
	int64_t until = now_ms() + PATIENCE_MS;

	for (int queued = 0; ioctl(fd, SIOCOUTQ, &queued) < 0 || queued;)
		assert_true(tick(until));
}

static void check_spliced(struct pair *p)
{
	for (int side = 0; side < 2 && !env.plain; side++) {
		assert_int_equal(info(p->fd[side]).state, FASTLO_STATE_SPLICED);
		assert_true(spliced(p->fd[side]) > 0);
	}
}

static void open_pair(struct pair *p, enum kind k, bool eager)
{
	ok(pair_open(p, k, eager, eager));
	ok(eager ? pair_warm(p) : pair_pingpong(p, 8, 64));
	if (eager)
		check_spliced(p);
}

typedef void (*steps_fn)(struct notes *n, struct pair *p, int a, int variant);

/* The steps on a plain pair and on a spliced one, by either end. */
static void like_plain(steps_fn steps, int variants)
{
	for (int i = 0; i < 2 * variants; i++) {
		struct notes n[2] = { { .eager = false }, { .eager = true } };
		int a = i & 1;

		for (int eager = 0; eager < 2; eager++) {
			struct pair p;

			open_pair(&p, a == CLIENT ? V4 : V6, eager);
			steps(&n[eager], &p, a, i / 2);
			pair_close(&p);
		}
		assert_string_equal(n[1].text, n[0].text);
	}
}

static void own_shutdown(struct notes *n, struct pair *p, int a, int read_first)
{
	int from = p->fd[a], to = p->fd[!a];

	note(n, "shutdown", shutdown(from, SHUT_WR), NULL);
	if (read_first) {
		await(n, to, POLLIN);
		do_recv(n, to);
	}
	do_send(n, from, "late");
	await(n, to, POLLIN);
	do_recv(n, to);
	do_send(n, from, "later");
	do_recv(n, to);
	do_send(n, to, "back");
	settle(to);
	do_recv(n, from);
}

static void send_after_own_shutdown(void **state)
{
	(void)state;
	like_plain(own_shutdown, 2);
}

static void peer_shutdown(struct notes *n, struct pair *p, int a, int read_only)
{
	int from = p->fd[a], to = p->fd[!a];

	note(n, "shutdown", shutdown(to, read_only ? SHUT_RD : SHUT_RDWR), NULL);
	await(n, from, read_only ? POLLOUT : POLLRDHUP);
	do_send(n, from, "x1");
	if (!read_only)
		await(n, from, 0); /* the reset */
	else
		settle(from);
	do_recv(n, to);
	do_recv(n, from);
	do_send(n, from, "x2");
	if (read_only)
		settle(from);
	do_recv(n, from);
	do_recv(n, to);
	do_send(n, to, "y");
}

static void send_after_peer_shutdown(void **state)
{
	(void)state;
	like_plain(peer_shutdown, 2);
}

static void half_open_steps(struct notes *n, struct pair *p, int a, int variant)
{
	int from = p->fd[a], to = p->fd[!a];
	uint64_t before = spliced(from);

	(void)variant;
	note(n, "shutdown", shutdown(to, SHUT_WR), NULL);
	await(n, from, POLLIN);
	do_recv(n, from);
	ok(pair_pump(p, a, 1 << 20, 3000));
	/* nothing is wrong with this direction: it stays fast */
	if (n->eager && !env.plain)
		assert_true(spliced(from) - before > 900000);
	note(n, "shutdown", shutdown(from, SHUT_WR), NULL);
	await(n, to, POLLIN);
	do_recv(n, to);
	do_send(n, from, "no");
}

static void half_open(void **state)
{
	(void)state;
	like_plain(half_open_steps, 1);
}

/* The client's socket, connected a second time, to a listener of its own. */
static void reconnect(struct pair *p, struct pair *again, enum kind k, bool eager)
{
	struct dial d = { .kind = k, .opt = { eager, eager } };
	struct pollfd wait = { .fd = p->fd[CLIENT], .events = POLLOUT };
	struct sockaddr_storage addr;
	socklen_t len;
	uint16_t port;

	*again = (struct pair){ .fd = { p->fd[CLIENT], -1 }, .listener = -1, .seed = 4711 };
	p->fd[CLIENT] = -1;
	ok(pair_listen(&d, &again->listener, &port));
	kind_addr(k, CLIENT, port, &addr, &len);
	if (connect(again->fd[CLIENT], (void *)&addr, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
	ok(pair_accept(again));
}

/* stale: bytes are unread when the client leaves. The server never gets hold of the client's next connection. */
static void unspec_steps(struct notes *n, struct pair *p, int stale, int told)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct pair again;

	if (stale)
		do_send(n, p->fd[SERVER], "stale");
	settle(p->fd[SERVER]);
	note(n, "unspec", connect(p->fd[CLIENT], &none, sizeof(none)), NULL);
	await(n, p->fd[SERVER], POLLIN);
	if (told)
		do_recv(n, p->fd[SERVER]);
	do_send(n, p->fd[SERVER], "ghost");
	reconnect(p, &again, stale ? V6 : V4, n->eager);
	do_recv(n, again.fd[CLIENT]);
	if (told)
		do_send(n, p->fd[SERVER], "late ghost");
	do_send(n, again.fd[SERVER], "fresh");
	await(n, again.fd[CLIENT], POLLIN);
	do_recv(n, again.fd[CLIENT]);
	for (int side = 0; side < 2; side++)
		ok(pair_pump(&again, side, 1 << 20, 3000));
	ok(n->eager ? pair_warm(&again) : pair_pingpong(&again, 8, 64));
	if (n->eager)
		check_spliced(&again);
	pair_close(&again);
}

static void peer_connects_elsewhere(void **state)
{
	(void)state;
	like_plain(unspec_steps, 2);
}

static void reset(struct pair *p, int a)
{
	struct linger now = { 1, 0 };

	assert_return_code(setsockopt(p->fd[a], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), errno);
	close(p->fd[a]);
	p->fd[a] = -1;
}

static void reset_steps(struct notes *n, struct pair *p, int a, int variant)
{
	uint64_t before = spliced(p->fd[a]);
	int to = p->fd[!a];

	(void)variant;
	for (int i = 0; i < 3; i++)
		ok(pair_send(p, a, 1000));
	settle(p->fd[a]);
	if (n->eager && !env.plain)
		assert_int_equal(spliced(p->fd[a]) - before, 3000);
	reset(p, a);
	await(n, to, POLLHUP);
	note(n, "unread", ok(pair_drain(p, a)), NULL);
	do_recv(n, to);
	do_send(n, to, "x");
}

static void reset_with_unread_bytes(void **state)
{
	(void)state;
	like_plain(reset_steps, 1);
}

/* docs/DEVIATIONS.md, "A pending error stays for send": plain TCP says ECONNRESET once, then EPIPE. */
static void reset_error_stays_for_send(void **state)
{
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	reset(&p, CLIENT);
	assert_int_equal(poll(&(struct pollfd){ .fd = p.fd[SERVER], .events = 0 }, 1, PATIENCE_MS), 1);
	for (int i = 0; i < 2; i++)
		fails(send(p.fd[SERVER], "x", 1, MSG_NOSIGNAL), ECONNRESET);
	pair_close(&p);
}

/* -ECONNRESET, which is what the harness calls EOF, too */
static ssize_t read_to_the_end(struct pair *p, int from)
{
	struct pollfd wait = { .fd = p->fd[!from], .events = POLLIN };
	ssize_t r;

	do
		r = pair_try_recv(p, from, 1 << 20, 0);
	while (r > 0 || (r == -EAGAIN && poll(&wait, 1, PATIENCE_MS) == 1));
	return r;
}

static void write_then_close(void **state)
{
	struct dial d = { .kind = V4, .opt = { true, true } };
	int listener, last_spliced = 0;
	uint64_t random = 5;
	uint16_t port;

	(void)state;
	ok(pair_listen(&d, &listener, &port));
	for (int i = 0; i < 2000; i++) {
		struct pair p = { .fd = { -1, -1 }, .listener = listener, .seed = 2 * i };
		int from = i & 1, late = i % 3 == 0;

		ok(pair_connect(&d, port, &p.fd[CLIENT]));
		if (from == SERVER || !late)
			ok(pair_accept(&p));
		if (i % 5 == 0 && p.fd[SERVER] >= 0)
			ok(pair_pingpong(&p, 1, 64));
		for (int msgs = 1 + i % 4; msgs; msgs--)
			ok(pair_send(&p, from, rnd_size(&random, 8000)));
		last_spliced += info(p.fd[from]).state == FASTLO_STATE_SPLICED;
		if (i % 7 == 0)
			assert_return_code(shutdown(p.fd[from], SHUT_WR), errno);
		close(p.fd[from]);
		p.fd[from] = -1;
		if (p.fd[SERVER] < 0 && from == CLIENT)
			ok(pair_accept(&p));
		assert_int_equal(read_to_the_end(&p, from), -ECONNRESET);
		assert_int_equal(p.got[from], p.sent[from]);
		p.listener = -1;
		pair_close(&p);
	}
	close(listener);
	assert_true(env.plain || last_spliced > 1000);
}

static bool listed(uint64_t id)
{
	struct json_object *all = NULL, *at;
	bool found = false;

	assert_int_equal(env_ctl(&all, "list", NULL), 0);
	for (size_t i = 0; i < json_object_array_length(all); i++)
		if (json_object_object_get_ex(json_object_array_get_idx(all, i), "id", &at))
			found |= (uint64_t)json_object_get_int64(at) == id;
	json_object_put(all);
	return found;
}

static pid_t start_sender(struct pair *p, volatile uint64_t *done)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(p->fd[SERVER]);
	for (uint64_t random = 3; pair_send(p, CLIENT, rnd_size(&random, 20000)) == 0;)
		*done = p->sent[CLIENT];
	_exit(1);
}

static void killed_in_mid_stream(void **state)
{
	volatile uint64_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(done, MAP_FAILED);
	for (int round = 0; round < 20; round++) {
		struct pair p;
		uint64_t id, before;
		pid_t pid;

		open_pair(&p, round & 1 ? V6 : V4, true);
		id = info(p.fd[SERVER]).pair;
		before = info(p.fd[SERVER]).rx_spliced_bytes;
		*done = p.sent[CLIENT];
		pid = start_sender(&p, done);
		close(p.fd[CLIENT]);
		p.fd[CLIENT] = -1;
		ok(pair_recv(&p, CLIENT, 200000 + round * 3001));
		assert_true(env.plain || (info(p.fd[SERVER]).rx_spliced_bytes > before && listed(id)));
		assert_return_code(kill(pid, SIGKILL), errno);
		assert_true(WIFSIGNALED(ok(proc_wait(pid, PATIENCE_MS))));
		assert_int_equal(read_to_the_end(&p, CLIENT), -ECONNRESET);
		assert_true(p.got[CLIENT] >= *done);
		pair_close(&p);
		for (int64_t until = now_ms() + PATIENCE_MS; !env.plain && listed(id);)
			assert_true(tick(until));
	}
	munmap((void *)done, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(send_after_own_shutdown),
		cmocka_unit_test(send_after_peer_shutdown),
		cmocka_unit_test(half_open),
		cmocka_unit_test(peer_connects_elsewhere),
		cmocka_unit_test(reset_with_unread_bytes),
		cmocka_unit_test(reset_error_stays_for_send),
		cmocka_unit_test(write_then_close),
		cmocka_unit_test(killed_in_mid_stream),
	};

	return run_group(tests, group_up, group_down);
}
