/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fastlo.conf: what is taken, and the exact text for everything that isn't. Every failure leaves the
 * caller's struct alone. Files are made in a directory of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

static char dir[] = "/tmp/fastlo-config-XXXXXX";
static char file[64];
static char err[1024];

static int set_up(void **state)
{
	(void)state;
	unsetenv("FASTLO_RUN_DIR");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/f", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir);
}

static int load_bytes(const void *bytes, size_t len, struct config *ret)
{
	FILE *f = fopen(file, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
	return config_load(file, ret, err, sizeof(err));
}

static int load(const char *text, struct config *ret)
{
	return load_bytes(text, strlen(text), ret);
}

/* after: what follows "FILE:" */
static void refused_bytes(const void *bytes, size_t len, const char *after)
{
	struct config c, before;
	char expected[1200];

	memset(&c, 0x5a, sizeof(c));
	before = c;
	assert_int_equal(load_bytes(bytes, len, &c), -EINVAL);
	snprintf(expected, sizeof(expected), "%s:%s", file, after);
	assert_string_equal(err, expected);
	assert_memory_equal(&c, &before, sizeof(c));
}

static void refused(const char *text, const char *after)
{
	refused_bytes(text, strlen(text), after);
}

static void check_defaults(const struct config *c)
{
	assert_string_equal(c->pin_dir, FL_PIN_DIR);
	assert_string_equal(c->run_dir, "/run/fastlo");
	assert_null(c->cgroup);
	assert_int_equal(c->max_pairs, 65536);
	assert_int_equal(c->max_pairs_per_uid, 16384);
	assert_true(c->socket_opt_in);
	assert_true(c->bulk_leaves);
	assert_int_equal(c->observe_reads, 16);
	assert_int_equal(c->drain_timeout, 10);
	assert_int_equal(c->observer, CONFIG_OBSERVER_AUTO);
	assert_int_equal(c->n_policies, 0);
}

static void the_embedded_default_is_the_defaults(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(config_load(NULL, &c, err, sizeof(err)), 0);
	check_defaults(&c);
	config_free(&c);
}

static void an_empty_file_is_the_defaults(void **state)
{
	static const char *const texts[] = { "", "\n", "\n# x\n  ; y\n\t\n", "[fastlo]", "\xef\xbb\xbf[fastlo]\n" };
	struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(load(texts[i], &c), 0);
		check_defaults(&c);
		config_free(&c);
	}
}

static void every_key_is_taken(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load("# comment\n"
			      "[fastlo]\n"
			      "pin_dir = /sys/fs/bpf/other\n"
			      "run_dir=/run/other\n"
			      "  cgroup = /sys/fs/cgroup/a ; comment\n"
			      "max_pairs = 1048576\n"
			      "max_pairs_per_uid = 5\n"
			      "socket_opt_in = no\n"
			      "bulk_leaves = no\n"
			      "observe_reads: 1\n"
			      "drain_timeout = 0\n"
			      "observer = tracepoint\n"
			      "[policy web]\n"
			      "cgroup = /system.slice/*.service\n"
			      "port = 80\n"
			      "engage = eager\n"
			      "[policy me]\n"
			      "uid = root\n"
			      "blocking = allow",
			      &c),
			 0);
	assert_string_equal(c.pin_dir, "/sys/fs/bpf/other");
	assert_string_equal(c.run_dir, "/run/other");
	assert_string_equal(c.cgroup, "/sys/fs/cgroup/a");
	assert_int_equal(c.max_pairs, 1048576);
	assert_int_equal(c.max_pairs_per_uid, 5);
	assert_false(c.socket_opt_in);
	assert_false(c.bulk_leaves);
	assert_int_equal(c.observe_reads, 1);
	assert_int_equal(c.drain_timeout, 0);
	assert_int_equal(c.observer, CONFIG_OBSERVER_TRACEPOINT);
	assert_int_equal(c.n_policies, 2);
	assert_string_equal(c.policies[0].name, "web");
	assert_string_equal(c.policies[0].cgroup, "/system.slice/*.service");
	assert_int_equal(c.policies[0].port, 80);
	assert_true(c.policies[0].eager);
	assert_false(c.policies[0].has_uid);
	assert_string_equal(c.policies[1].name, "me");
	assert_true(c.policies[1].has_uid && c.policies[1].blocking);
	assert_int_equal(c.policies[1].origin, POLICY_CONFIG);
	config_free(&c);
}

static void crlf_is_a_line_end(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load("[fastlo]\r\nmax_pairs = 7\r\n[policy a]\r\ncgroup = /x\r\n", &c), 0);
	assert_int_equal(c.max_pairs, 7);
	assert_int_equal(c.max_pairs_per_uid, 2); /* a quarter, never 0 */
	assert_string_equal(c.policies[0].cgroup, "/x");
	config_free(&c);
}

static void the_environment_moves_the_run_directory(void **state)
{
	struct config c;

	(void)state;
	setenv("FASTLO_RUN_DIR", "/run/elsewhere", 1);
	assert_int_equal(load("", &c), 0);
	assert_string_equal(c.run_dir, "/run/elsewhere");
	config_free(&c);
	assert_int_equal(load("[fastlo]\nrun_dir = /run/here\n", &c), 0);
	assert_string_equal(c.run_dir, "/run/here");
	config_free(&c);
	unsetenv("FASTLO_RUN_DIR");
}

static void a_wrong_value_is_quoted_with_what_was_expected(void **state)
{
	(void)state;
	refused("[fastlo]\nmax_pairs = 9x\n", "2: max_pairs: '9x' is not a number from 1 to 1048576");
	refused("[fastlo]\nmax_pairs = 0\n", "2: max_pairs: '0' is not a number from 1 to 1048576");
	refused("[fastlo]\nmax_pairs = 1048577\n", "2: max_pairs: '1048577' is not a number from 1 to 1048576");
	refused("[fastlo]\nmax_pairs =\n", "2: max_pairs: '' is not a number from 1 to 1048576");
	refused("[fastlo]\nobserve_reads = 1000001\n", "2: observe_reads: '1000001' is not a number from 1 to 1000000");
	refused("[fastlo]\ndrain_timeout = 3601\n", "2: drain_timeout: '3601' is not a number from 0 to 3600");
	refused("[fastlo]\nsocket_opt_in = maybe\n", "2: socket_opt_in: 'maybe' is not 'yes' or 'no'");
	refused("[fastlo]\nobserver = kprobe\n",
		"2: observer: 'kprobe' is not 'auto', 'trampoline', 'tracepoint' or 'none'");
	refused("[fastlo]\npin_dir = x\n", "2: pin_dir: 'x' is not an absolute path without '..'");
	refused("[fastlo]\nrun_dir = /a/../b\n", "2: run_dir: '/a/../b' is not an absolute path without '..'");
	refused("\n\n[policy a]\n\nport = 9x\n", "5: port: '9x' is not a number from 1 to 65535");
	refused("[policy a]\ncgroup = x\n",
		"2: cgroup: 'x' is not a path or glob that starts with '/' and has no '..'");
}

static void unknown_sections_and_keys_are_errors(void **state)
{
	(void)state;
	refused("[fastlo]\nmax_pear = 1\n", "2: 'max_pear' is not a key of [fastlo]");
	refused("[policy a]\nport = 1\nprot = 1\n",
		"3: 'prot' is not a key of a policy (cgroup, port, uid, engage, blocking, yield)");
	refused("[fastlod]\n", "1: '[fastlod]' is not a section ([fastlo], [yield] or [policy NAME])");
	refused("[]\n", "1: '[]' is not a section ([fastlo], [yield] or [policy NAME])");
	refused("max_pairs = 1\n", "1: 'max_pairs' is not in a section ([fastlo], [yield] or [policy NAME])");
	refused("[policy]\n", "1: policy: '' is not a name of 1 to 63 letters, digits and _.:-");
	refused("[policy a b]\n", "1: policy: 'a b' is not a name of 1 to 63 letters, digits and _.:-");
}

static void malformed_lines_are_errors(void **state)
{
	(void)state;
	refused("[fastlo]\nhello\n", "2: 'hello' is not 'key = value', a [section] or a comment");
	refused("[fastlo]\nmax_pairs = 1\nhello", "3: 'hello' is not 'key = value', a [section] or a comment");
	refused("[fastlo]\n= 1\n", "2: '= 1' is not 'key = value', a [section] or a comment");
	refused("[fastlo\nmax_pairs = 1\n", "1: '[fastlo' is not a section: ']' is missing");
	refused("[fastlo] x\n", "1: '[fastlo] x' is not a section: nothing may follow ']'");
	refused_bytes("[fastlo]\nmax_pairs = 1\0\n", 24, "2: 'max_pairs = 1' is not text: a NUL byte follows");
}

static void duplicates_name_the_first_line(void **state)
{
	(void)state;
	refused("[fastlo]\nmax_pairs = 1\nmax_pairs = 2\n", "3: max_pairs: '2' is not the first value (see line 2)");
	refused("[fastlo]\nmax_pairs = 1\n[fastlo]\nmax_pairs = 2\n",
		"4: max_pairs: '2' is not the first value (see line 2)");
	refused("[policy a]\nport = 1\nport = 1\n", "3: port: '1' is not the first value (see line 2)");
	refused("[policy a]\nport = 1\n[policy b]\nport = 1\n[policy a]\n",
		"5: policy: 'a' is not a new name (see line 1)");
}

static void the_same_key_in_two_policies_is_fine(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load("[policy a]\nport = 1\n[policy b]\nport = 2\n", &c), 0);
	assert_int_equal(c.policies[1].port, 2);
	config_free(&c);
}

static void a_policy_without_a_selector_is_at_fault_where_it_starts(void **state)
{
	(void)state;
	refused("\n[policy a]\nengage = eager\n\n[fastlo]\n",
		"2: policy: 'a' is not complete: it needs a cgroup, a port or a uid");
	refused("[policy a]", "1: policy: 'a' is not complete: it needs a cgroup, a port or a uid");
}

static void the_first_error_wins(void **state)
{
	(void)state;
	refused("[fastlo]\nmax_pairs = x\nhello\n", "2: max_pairs: 'x' is not a number from 1 to 1048576");
	refused("[fastlo]\nhello\nmax_pairs = x\n", "2: 'hello' is not 'key = value', a [section] or a comment");
	refused("[policy a]\nengage = eager\nport = x\n", "3: port: 'x' is not a number from 1 to 65535");
}

static void a_leading_blank_does_not_continue_a_value(void **state)
{
	(void)state;
	refused("[fastlo]\nmax_pairs = 1\n  2\n", "3: '  2' is not 'key = value', a [section] or a comment");
}

static void long_lines_are_refused_not_split(void **state)
{
	char text[5000], expected[128];
	struct config c;
	int n, at_most = 0;

	(void)state;
	/* the longest that fits is taken whole, one more is refused */
	for (n = 1; n < 4000 && !at_most; n++) {
		int head = snprintf(text, sizeof(text), "[policy a]\ncgroup = /");

		memset(text + head, 'x', (size_t)n);
		memcpy(text + head + n, "\n", 2);
		if (load(text, &c) == 0) {
			assert_int_equal(strlen(c.policies[0].cgroup), n + 1);
			config_free(&c);
		} else {
			at_most = n - 1 + (int)strlen("cgroup = /");
		}
	}
	assert_true(at_most >= 300); /* a container's cgroup fits */
	snprintf(expected, sizeof(expected), "%s:2: 'cgroup = /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'", file);
	assert_memory_equal(err, expected, strlen(expected));
	snprintf(expected, sizeof(expected), " is not a line of at most %d characters", at_most);
	assert_non_null(strstr(err, expected));
}

static void a_name_longer_than_inih_takes_is_whole(void **state)
{
	const char *name = "a23456789.123456789.123456789.123456789.123456789.123456789.123";
	struct config c;
	char text[128];

	(void)state;
	snprintf(text, sizeof(text), "[policy %s]\nport = 1\n", name);
	assert_int_equal(load(text, &c), 0);
	assert_string_equal(c.policies[0].name, name);
	config_free(&c);
}

static void a_file_that_cannot_be_read_says_so(void **state)
{
	struct config c;
	char expected[128];

	(void)state;
	assert_int_equal(config_load("/nonexistent/x", &c, err, sizeof(err)), -ENOENT);
	assert_string_equal(err, "cannot read '/nonexistent/x': No such file or directory");
	assert_int_equal(config_load(dir, &c, err, sizeof(err)), -EISDIR);
	snprintf(expected, sizeof(expected), "cannot read '%s': Is a directory", dir);
	assert_string_equal(err, expected);
}

static void a_short_error_buffer_is_enough(void **state)
{
	struct config c;
	char tiny[8];

	(void)state;
	assert_int_equal(load("[fastlo]\nx\n", &c), -EINVAL);
	assert_int_equal(config_load(file, &c, tiny, sizeof(tiny)), -EINVAL);
	assert_true(strlen(tiny) < sizeof(tiny));
}

static uint32_t rnd(void)
{
	static unsigned int seed = 12345;

	return rand_r(&seed);
}

static void random_bytes_never_crash(void **state)
{
	static const char *const bits[] = { "[fastlo]\n", "[policy ", "]", "=", "\n", " ", "max_pairs", "port = 1\n",
					    "cgroup = /", ";", "#", "\r\n", "[", ":", "engage = eager\n", "a" };
	unsigned char bytes[2000];
	struct config c;
	int i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		size_t len = 0, want = rnd() % 1500;

		while (len < want) {
			const char *bit = bits[rnd() % (sizeof(bits) / sizeof(bits[0]))];

			if (i % 3 == 0 || rnd() % 16 == 0) {
				bytes[len++] = (unsigned char)rnd();
			} else {
				memcpy(bytes + len, bit, strlen(bit));
				len += strlen(bit);
			}
		}
		if (load_bytes(bytes, len, &c) == 0)
			config_free(&c);
		else
			assert_true(strlen(err) > 0 && !strchr(err, '\n'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_embedded_default_is_the_defaults),
		cmocka_unit_test(an_empty_file_is_the_defaults),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(crlf_is_a_line_end),
		cmocka_unit_test(the_environment_moves_the_run_directory),
		cmocka_unit_test(a_wrong_value_is_quoted_with_what_was_expected),
		cmocka_unit_test(unknown_sections_and_keys_are_errors),
		cmocka_unit_test(malformed_lines_are_errors),
		cmocka_unit_test(duplicates_name_the_first_line),
		cmocka_unit_test(the_same_key_in_two_policies_is_fine),
		cmocka_unit_test(a_policy_without_a_selector_is_at_fault_where_it_starts),
		cmocka_unit_test(the_first_error_wins),
		cmocka_unit_test(a_leading_blank_does_not_continue_a_value),
		cmocka_unit_test(long_lines_are_refused_not_split),
		cmocka_unit_test(a_name_longer_than_inih_takes_is_whole),
		cmocka_unit_test(a_file_that_cannot_be_read_says_so),
		cmocka_unit_test(a_short_error_buffer_is_enough),
		cmocka_unit_test(random_bytes_never_crash),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
