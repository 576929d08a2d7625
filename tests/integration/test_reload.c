/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SIGHUP: both words to the service manager, all of the new file or nothing of it, and pairs that follow their
 * policies; and what a stop says of pairs that it had to leave.
 */
#include "check.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define POLICY_ALL "[policy all]\ncgroup = @\nengage = eager\n"

static int notify_fd;

static bool log_has(const char *words)
{
	char text[65536];

	return file_read(env.log, text, sizeof(text)) > 0 && strstr(text, words);
}

/* head: lines of [fastlo]; sections: what follows, "@" becomes env.rel */
static void write_file(const char *run_dir, const char *head, const char *sections)
{
	char text[4096];
	size_t n;

	n = snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s\nrun_dir = %s\ncgroup = %s\n%s", env.pins, run_dir,
		     env.cgroup, head);
	for (; *sections; sections++)
		n += snprintf(text + n, sizeof(text) - n, *sections == '@' ? "%s" : "%.1s",
			      *sections == '@' ? env.rel : sections);
	ok(file_write(env.config, text));
}

static void next_word(char *ret, size_t size)
{
	struct pollfd p = { .fd = notify_fd, .events = POLLIN };
	ssize_t n;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	n = recv(notify_fd, ret, size - 1, 0);
	assert_true(n > 0);
	ret[n] = '\0';
}

static unsigned long long monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

/* Sends SIGHUP, and waits for both words. */
static void reload(void)
{
	unsigned long long before = monotonic_us(), said = 0;
	char word[512], *at;

	while (recv(notify_fd, word, sizeof(word), MSG_DONTWAIT) > 0)
		;
	assert_return_code(kill(env_daemon(), SIGHUP), errno);
	/* what was said before may still be on its way */
	do
		next_word(word, sizeof(word));
	while (!strstr(word, "RELOADING=1"));
	at = strstr(word, "MONOTONIC_USEC=");
	assert_non_null(at);
	said = strtoull(at + strlen("MONOTONIC_USEC="), NULL, 10);
	assert_true(said >= before && said <= monotonic_us());
	next_word(word, sizeof(word));
	assert_string_equal(word, "READY=1");
}

static void policies_now(char *ret, size_t size)
{
	struct json_object *list = NULL;

	assert_int_equal(env_ctl(&list, "policy", "list", NULL), 0);
	snprintf(ret, size, "%s", json_object_to_json_string(list));
	json_object_put(list);
}

static void pairs_follow_their_policies(void **state)
{
	struct pair p;

	(void)state;
	write_file(env.run, "", POLICY_ALL);
	reload();
	ok(pair_open(&p, V4, false, false));
	for (int round = 0; round < 3; round++) {
		ok(pair_warm(&p));
		ok(pair_send(&p, CLIENT, 1000));
		write_file(env.run, "", "");
		reload();
		expect_state(p.fd[CLIENT], FASTLO_STATE_DRAINING);
		ok(pair_drain(&p, CLIENT));
		expect_state(p.fd[CLIENT], FASTLO_STATE_TCP);
		expect_reason(p.fd[CLIENT], FL_R_POLICY_REMOVED);
		write_file(env.run, "", POLICY_ALL);
		reload();
	}
	ok(pair_warm(&p));
	pair_close(&p);
	/* one that was open before any policy came */
	write_file(env.run, "", "");
	reload();
	ok(pair_open(&p, V6, false, false));
	ok(pair_pingpong(&p, 10, 100));
	write_file(env.run, "", POLICY_ALL);
	reload();
	ok(pair_warm(&p));
	pair_close(&p);
}

static void a_bad_file_changes_nothing(void **state)
{
	static const struct {
		const char *head, *sections, *said;
	} bad[] = {
		{ "max_pairs = 9x\n", POLICY_ALL "[policy more]\nport = 7\n", ":5: max_pairs: '9x'" },
		{ "socket_opt_in = no\n", "[policy more]\nport = 7\n[policy worse]\nport = 70000\n", "70000" },
		{ "socket_opt_in = no\n", "[policy more]\nport = 7\n[policy empty]\n", "empty" },
		{ "socket_opt_in = no\n", "[policy more]\nport = 7\n[policy more]\nport = 8\n", "not a new name" },
		{ "socket_opt_in = no\n", "[policy more]\nport = 7\n[policy hand]\nport = 8\n", "'hand'" },
		{ "observe_reads = 9\n", "[policy more]\nport = 7\n[nonsense]\n", "nonsense" },
	};
	char before[4096], after[4096];
	struct pair p, q;

	(void)state;
	write_file(env.run, "", POLICY_ALL);
	reload();
	assert_int_equal(env_ctl(NULL, "policy", "add", "hand", "--port", "9", NULL), 0);
	policies_now(before, sizeof(before));
	ok(pair_open(&p, V4, false, false));
	ok(pair_warm(&p));
	for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		bool vanish = i == sizeof(bad) / sizeof(bad[0]);

		assert_return_code(truncate(env.log, 0), errno);
		if (vanish)
			assert_return_code(unlink(env.config), errno);
		else
			write_file(env.run, bad[i].head, bad[i].sections);
		reload();
		assert_true(log_has(vanish ? "No such file" : bad[i].said));
		assert_true(log_has("nothing was changed"));
		policies_now(after, sizeof(after));
		assert_string_equal(after, before);
		ok(pair_warm(&p));
		ok(pair_open(&q, V4, true, true)); /* socket_opt_in as it was */
		ok(pair_warm(&q));
		pair_close(&q);
	}
	assert_int_equal(env_ctl(NULL, "policy", "remove", "hand", NULL), 0);
	pair_close(&p);
	write_file(env.run, "", POLICY_ALL);
	reload();
}

/* How many programs meet a setsockopt of env.app; what is attached above it by others counts, too. */
static unsigned int hooks(void)
{
	int dir = open(env.app, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__u32 n = 0;

	assert_return_code(dir, errno);
	assert_int_equal(bpf_prog_query(dir, BPF_CGROUP_SETSOCKOPT, BPF_F_QUERY_EFFECTIVE, NULL, NULL, &n), 0);
	close(dir);
	return n;
}

/* Without socket_opt_in nobody's setsockopt pays for a hook. What has opted in stays so. */
static void opt_in_comes_and_goes(void **state)
{
	unsigned int with = hooks();
	struct pair p, q;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	for (int round = 0; round < 4; round++) {
		write_file(env.run, "socket_opt_in = no\n", "");
		if (round % 2)
			ok(env_kill() < 0 ? -1 : env_restart());
		else
			reload();
		assert_int_equal(hooks(), with - 1);
		if (with == 1)
			assert_int_equal(pair_open(&q, V4, true, true), -ENOPROTOOPT);
		ok(pair_warm(&p));
		write_file(env.run, "", "");
		if (round / 2)
			ok(env_kill() < 0 ? -1 : env_restart());
		else
			reload();
		assert_int_equal(hooks(), with);
		ok(pair_open(&q, V4, true, true));
		ok(pair_warm(&q));
		pair_close(&q);
		ok(pair_warm(&p));
	}
	pair_close(&p);
}

/* A running fastlod's files are where they were when it started. */
static void places_stay(void **state)
{
	char other[256], path[300];

	(void)state;
	snprintf(other, sizeof(other), "%s/elsewhere", env.dir);
	write_file(other, "max_pairs = 17\n", POLICY_ALL);
	assert_return_code(truncate(env.log, 0), errno);
	reload();
	assert_true(log_has("change with a restart only"));
	assert_int_equal(env_ctl(NULL, "policy", "add", "hand", "--port", "9", NULL), 0);
	snprintf(path, sizeof(path), "%s/policies.json", env.run);
	assert_return_code(access(path, F_OK), errno);
	assert_int_equal(access(other, F_OK), -1);
	write_file(env.run, "", POLICY_ALL);
	assert_int_equal(ok(env_sigterm_and_wait()), 0);
	snprintf(path, sizeof(path), "%s/fastlod.pid", env.run);
	assert_int_equal(access(path, F_OK), -1);
	ok(env_restart());
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	assert_return_code(getsockname(fd, (struct sockaddr *)&a, &len), errno);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

/* drain_timeout over: named one by one, left at work; finished by the next start, by a drain after it, or by one without. */
static void what_a_stop_leaves_is_named(void **state)
{
	struct pair p[2];
	char words[128];
	int status;

	(void)state;
	write_file(env.run, "drain_timeout = 1\n", "");
	reload();
	for (int round = 0; round < 3; round++) {
		ok(pair_open(&p[0], V4, true, true));
		ok(pair_open(&p[1], V6, true, true));
		for (int i = 0; i < 2; i++) {
			ok(pair_warm(&p[i]));
			ok(pair_send(&p[i], CLIENT, 1000));
		}
		status = ok(env_sigterm_and_wait());
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		assert_true(env_has_pins());
		for (int i = 0; i < 2; i++) {
			snprintf(words, sizeof(words), "pair %llu is left: ", (unsigned long long)info(p[i].fd[0]).pair);
			assert_true(log_has(words));
			snprintf(words, sizeof(words), "%s:%u of pid %d, 0 bytes unread", i ? "[::1]" : "127.0.0.1",
				 port_of(p[i].fd[CLIENT]), getpid());
			assert_true(log_has(words));
			snprintf(words, sizeof(words), "%s:%u of pid %d, 1000 bytes unread", i ? "[::1]" : "127.0.0.1",
				 port_of(p[i].fd[SERVER]), getpid());
			assert_true(log_has(words));
		}
		if (round == 0)
			ok(pair_drain(&p[0], CLIENT));
		if (round == 2) {
			/* nobody runs: it is refused while a byte is unread, and then there is nothing left */
			assert_int_equal(env_ctl(NULL, "drain", "-c", env.config, NULL), 2);
			for (int i = 0; i < 2; i++)
				ok(pair_drain(&p[i], CLIENT));
			assert_int_equal(env_ctl(NULL, "drain", "-c", env.config, NULL), 0);
			assert_false(env_has_pins());
			for (int i = 0; i < 2; i++) {
				ok(pair_pingpong(&p[i], 10, 100));
				pair_close(&p[i]);
			}
			assert_int_equal(env_ctl(NULL, "drain", "-c", env.config, NULL), 3);
			ok(env_restart());
			break;
		}
		ok(env_restart());
		if (round == 1)
			assert_int_equal(env_ctl(NULL, "drain", NULL), 0);
		for (int i = 0; i < 2; i++) {
			ok(pair_drain(&p[i], CLIENT));
			if (round == 0)
				ok(pair_warm(&p[i]));
			else
				expect_state(p[i].fd[CLIENT], FASTLO_STATE_TCP);
		}
		assert_int_equal(ok(env_sigterm_and_wait()), 0);
		assert_false(env_has_pins());
		for (int i = 0; i < 2; i++) {
			ok(pair_pingpong(&p[i], 10, 100));
			pair_close(&p[i]);
		}
		ok(env_restart());
	}
}

static int up(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char name[64];
	int n = snprintf(name, sizeof(name), "@fastlo-test-%d", getpid());

	(void)state;
	memcpy(a.sun_path + 1, name + 1, n - 1);
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(notify_fd, (struct sockaddr *)&a, offsetof(struct sockaddr_un, sun_path) + n) < 0)
		return -errno;
	setenv("NOTIFY_SOCKET", name, 1);
	return env_up(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_follow_their_policies),
		cmocka_unit_test(a_bad_file_changes_nothing),
		cmocka_unit_test(opt_in_comes_and_goes),
		cmocka_unit_test(places_stay),
		cmocka_unit_test(what_a_stop_leaves_is_named),
	};

	return run_group(tests, up, group_down);
}
