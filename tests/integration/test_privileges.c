/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlod as a plain user with three capabilities, in the places that dist/systemd/tmpfiles.conf makes for it: it does
 * all of its work, each capability is needed, and who may look, who may change and who neither.
 * Group fastlo exists in this program's mount namespace only.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/capability.h>

#include "control_call.h"
#include "traffic.h"

#define DAEMON_UID 64081
#define MEMBER_UID 64082
#define GROUP_GID 64083
#define STRANGER_GID 64084
#define BIT(cap) (1ULL << (cap))
#define NEEDED (BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_PERFMON))

static int make_group(void)
{
	char text[65536], path[128];
	int n = file_read("/etc/group", text, sizeof(text) - 64);

	if (n < 0)
		return n;
	snprintf(text + n, sizeof(text) - n, "\nfastlo:x:%d:\n", GROUP_GID);
	snprintf(path, sizeof(path), "%s/group", env.dir);
	n = file_write(path, text);
	if (n == 0 && mount(path, "/etc/group", NULL, MS_BIND, NULL) < 0)
		n = -errno;
	return n;
}

static int as_user_up(void **state)
{
	int r = group_up(state);

	if (r == 0)
		r = env_sigterm_and_wait();
	if (r == 0)
		r = make_group();
	if (r < 0)
		return r;
	if (chown(env.bpffs, 0, GROUP_GID) < 0 || chmod(env.bpffs, 0710) < 0 || mkdir(env.pins, 0700) < 0 ||
	    chown(env.pins, DAEMON_UID, GROUP_GID) < 0 || chown(env.run, DAEMON_UID, GROUP_GID) < 0)
		return -errno;
	env.daemon_as = (struct who){ .uid = DAEMON_UID, .gid = GROUP_GID, .caps = NEEDED };
	return env_restart();
}

static int as_user_down(void **state)
{
	umount2("/etc/group", MNT_DETACH);
	return group_down(state);
}

static void check_refused(const char *config, const char *words)
{
	char said[4096];
	int status = env_try_daemon(config, DAEMON_UID, said, sizeof(said));

	print_message("%s", said);
	assert_true(status >= 0 && WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
	assert_non_null(strstr(said, words));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
}

static void it_has_three_capabilities_and_no_more(void **state)
{
	char path[64], text[4096], line[64];

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/status", env_daemon());
	ok(file_read(path, text, sizeof(text)));
	for (int i = 0; i < 3; i++) {
		static const char *const sets[] = { "CapPrm", "CapEff", "CapAmb" };

		snprintf(line, sizeof(line), "%s:\t%016llx\n", sets[i], NEEDED);
		assert_non_null(strstr(text, line));
	}
	snprintf(line, sizeof(line), "\nUid:\t%d\t%d\t%d\t%d\n", DAEMON_UID, DAEMON_UID, DAEMON_UID, DAEMON_UID);
	assert_non_null(strstr(text, line));
}

static void it_does_all_of_its_work(void **state)
{
	struct traffic *t;
	struct pair p, q;

	(void)state;
	/* opted in by the program */
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	/* by a policy, observed, and open before it came */
	ok(pair_open(&q, V6, false, false));
	ok(pair_pingpong(&q, 10, 100));
	assert_int_equal(env_ctl(NULL, "policy", "add", "late", "--cgroup", env.rel, NULL), 0);
	ok(pair_warm(&q));
	/* a crash and a take-over */
	ok(traffic_start(&t, &p, &(struct traffic_opts){ .seed = 1, .max_send = 30000, .flags = TRAFFIC_CATCHUP }));
	ok(traffic_more(t, 4 << 20));
	ok(env_kill());
	ok(traffic_more(t, 4 << 20));
	ok(env_restart());
	ok(traffic_more(t, 4 << 20));
	ok(traffic_stop(t));
	ok(pair_warm(&p));
	ok(pair_warm(&q));
	/* the end, and a new beginning in the same directory */
	assert_int_equal(env_sigterm_and_wait(), 0);
	assert_false(env_has_pins());
	assert_int_equal(access(env.pins, F_OK), 0);
	ok(pair_pingpong(&p, 10, 100));
	ok(pair_pingpong(&q, 10, 100));
	pair_close(&p);
	pair_close(&q);
	ok(env_restart());
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	pair_close(&p);
}

static void config_text(char *ret, size_t size, const char *pins)
{
	snprintf(ret, size, "[fastlo]\npin_dir = %s\nrun_dir = %s/try\ncgroup = %s\n", pins, env.dir, env.cgroup);
}

static void each_capability_is_needed(void **state)
{
	static const struct {
		int cap;
		const char *words;
	} caps[] = {
		{ CAP_BPF, "CAP_BPF is missing" },
		{ CAP_NET_ADMIN, "CAP_NET_ADMIN is missing" },
		{ CAP_PERFMON, "CAP_PERFMON is missing" },
	};
	char text[1024], pins[256];

	(void)state;
	snprintf(pins, sizeof(pins), "%s/try", env.bpffs);
	config_text(text, sizeof(text), pins);
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		env.daemon_as.caps = NEEDED & ~BIT(caps[i].cap);
		check_refused(text, caps[i].words);
	}
	env.daemon_as.caps = NEEDED;
}

static void a_place_is_missing(void **state)
{
	char text[1024], path[256];

	(void)state;
	/* tmpfiles.d was not asked, or for another directory */
	snprintf(path, sizeof(path), "%s/try", env.dir);
	assert_return_code(mkdir(path, 0700), errno);
	assert_return_code(chown(path, DAEMON_UID, GROUP_GID), errno);
	snprintf(path, sizeof(path), "%s/try", env.bpffs);
	config_text(text, sizeof(text), path);
	check_refused(text, path);
	check_refused(text, "systemd-tmpfiles");
	/* nor a run directory */
	snprintf(text, sizeof(text), "[fastlo]\npin_dir = %s\nrun_dir = %s/none\ncgroup = %s\n", path, env.dir, env.cgroup);
	check_refused(text, "/none'");
}

/* root's fastlod was killed: its pins are none of another user's business, and are not doubled. */
static void pins_of_another_user(void **state)
{
	char text[1024];

	(void)state;
	assert_int_equal(env_sigterm_and_wait(), 0);
	env.daemon_as.uid = 0;
	ok(env_restart());
	ok(env_kill());
	env.daemon_as.uid = DAEMON_UID;
	config_text(text, sizeof(text), env.pins);
	check_refused(text, "cannot open the pin");
	env.daemon_as.uid = 0;
	ok(env_restart());
	assert_int_equal(env_sigterm_and_wait(), 0);
	env.daemon_as.uid = DAEMON_UID;
	ok(env_restart());
}

/* fastloctl as this user fails with status 2 and these words */
static void check_denied(const char *words, const char *verb, const char *a, const char *b, const char *c, const char *d)
{
	struct json_object *said = NULL, *error = NULL;

	assert_int_equal(env_ctl(&said, verb, a, b, c, d, NULL), 2);
	assert_true(json_object_object_get_ex(said, "error", &error));
	assert_non_null(strstr(json_object_get_string(error), words));
	json_object_put(said);
}

/* The kernel's symbols are not in /proc/kallsyms for such a user. */
static void it_knows_the_hooks_of_netfilter(void **state)
{
	struct json_object *status;

	(void)state;
	assert_int_equal(env_ctl(&status, "status", NULL), 0);
	assert_true(json_object_get_int(json_object_object_get(status, "hooks_known")) > 0);
	json_object_put(status);
}

static size_t length_of(const char *verb, const char *arg)
{
	struct json_object *list = NULL;
	size_t n;

	assert_int_equal(env_ctl(&list, verb, arg, NULL), 0);
	assert_true(json_object_is_type(list, json_type_array));
	n = json_object_array_length(list);
	json_object_put(list);
	return n;
}

static void a_member_looks_and_changes_nothing(void **state)
{
	struct pair p;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	env.ctl_as = (struct who){ .uid = MEMBER_UID, .gid = GROUP_GID };
	assert_int_equal(env_ctl(NULL, "status", NULL), 0);
	assert_int_equal(length_of("list", NULL), 1);
	assert_true(env_stat("spliced_bytes") > 0);
	assert_int_equal(env_stat("pairs"), 1);
	assert_int_equal(length_of("policy", "list"), 0);
	check_denied("policy add: permission denied: needs root", "policy", "add", "x", "--port", "1");
	check_denied("policy remove: permission denied: needs root", "policy", "remove", "x", NULL, NULL);
	check_denied("drain: permission denied: needs root", "drain", NULL, NULL, NULL, NULL);
	check_denied("resume: permission denied: needs root", "resume", NULL, NULL, NULL, NULL);
	assert_int_equal(length_of("policy", "list"), 0);
	env.ctl_as.uid = 0;
	expect_state(p.fd[CLIENT], FASTLO_STATE_SPLICED);
	pair_close(&p);
}

static void a_stranger_is_not_heard(void **state)
{
	(void)state;
	env.ctl_as = (struct who){ .uid = MEMBER_UID, .gid = STRANGER_GID };
	check_denied("(needs root or group 'fastlo')", "status", NULL, NULL, NULL, NULL);
	check_denied("(needs root or group 'fastlo')", "list", NULL, NULL, NULL, NULL);
	check_denied("(needs root or group 'fastlo')", "policy", "add", "x", "--port", "1");
	env.ctl_as.uid = 0;
}

static void root_and_the_own_user_change(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		env.ctl_as = (struct who){ .uid = i ? DAEMON_UID : 0, .gid = i ? GROUP_GID : 0 };
		assert_int_equal(env_ctl(NULL, "policy", "add", "x", "--port", "1", NULL), 0);
		assert_int_equal(length_of("policy", "list"), 1);
		assert_int_equal(env_ctl(NULL, "policy", "remove", "x", NULL), 0);
		assert_int_equal(env_ctl(NULL, "drain", NULL), 0);
		assert_int_equal(env_ctl(NULL, "resume", NULL), 0);
	}
	env.ctl_as.uid = 0;
}

static void pins_are_closed_to_the_group(void **state)
{
	const struct who member = { .uid = MEMBER_UID, .gid = GROUP_GID };
	struct stat st;
	pid_t pid;

	(void)state;
	assert_return_code(stat(env.pins, &st), errno);
	assert_int_equal(st.st_mode & 07777, 0700);
	pid = fork();
	if (pid == 0) {
		char path[256];

		snprintf(path, sizeof(path), "%s/fl_slots", env.pins);
		_exit(proc_become(&member) == 0 && open(env.pins, O_RDONLY) < 0 && errno == EACCES &&
		      access(path, F_OK) < 0 && errno == EACCES ? 0 : 1);
	}
	assert_int_equal(proc_wait(pid, PATIENCE_MS), 0);
}

/* What a member gets to read has no kernel addresses, and cannot be written to. */
static void records_give_nothing_away(void **state)
{
	struct json_object *request = json_tokener_parse("{\"verb\":\"records\"}"), *reply = NULL;
	struct fl_record r[2];
	struct pair p;
	int fd = -1;

	(void)state;
	ok(pair_open(&p, V4, true, true));
	ok(pair_warm(&p));
	ok(control_call_fd(env.run, request, &reply, &fd));
	assert_true(fd >= 0);
	fails(write(fd, "x", 1), EBADF);
	assert_int_equal(read(fd, r, sizeof(r)), sizeof(r[0]));
	for (int side = 0; side < 2; side++) {
		assert_true(r[0].data.side[side].sk == 0);
		assert_true(r[0].data.side[side].cookie != 0);
		assert_true(r[0].data.side[side].flags & FL_F_ADMITTED);
		assert_true(r[0].data.side[side].tx.spliced_bytes > 0);
	}
	close(fd);
	json_object_put(request);
	json_object_put(reply);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_three_capabilities_and_no_more),
		cmocka_unit_test(it_knows_the_hooks_of_netfilter),
		cmocka_unit_test(it_does_all_of_its_work),
		cmocka_unit_test(each_capability_is_needed),
		cmocka_unit_test(a_place_is_missing),
		cmocka_unit_test(pins_of_another_user),
		cmocka_unit_test(a_member_looks_and_changes_nothing),
		cmocka_unit_test(a_stranger_is_not_heard),
		cmocka_unit_test(root_and_the_own_user_change),
		cmocka_unit_test(pins_are_closed_to_the_group),
		cmocka_unit_test(records_give_nothing_away),
	};

	return run_group(tests, as_user_up, as_user_down);
}
