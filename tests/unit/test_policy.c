/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One policy: values with their exact error texts, validation, the kernel's key, JSON both ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include <cmocka.h>

#include "policy.h"

static char err[POLICY_ERROR_MAX];

static void refused(const char *key, const char *value, const char *text)
{
	struct policy p = { .port = 7 }, before = p;

	assert_int_equal(policy_set(&p, key, value, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, text);
	assert_memory_equal(&p, &before, sizeof(p));
}

static void taken(struct policy *p, const char *key, const char *value)
{
	assert_int_equal(policy_set(p, key, value, err, sizeof(err)), 0);
}

static void a_port_is_1_to_65535(void **state)
{
	struct policy p = { 0 };

	(void)state;
	taken(&p, "port", "1");
	taken(&p, "port", "65535");
	assert_true(p.has_port);
	assert_int_equal(p.port, 65535);
	refused("port", "0", "port: '0' is not a number from 1 to 65535");
	refused("port", "65536", "port: '65536' is not a number from 1 to 65535");
	refused("port", "9x", "port: '9x' is not a number from 1 to 65535");
	refused("port", "", "port: '' is not a number from 1 to 65535");
	refused("port", "-1", "port: '-1' is not a number from 1 to 65535");
	refused("port", " 1", "port: ' 1' is not a number from 1 to 65535");
	refused("port", "18446744073709551617", "port: '18446744073709551617' is not a number from 1 to 65535");
}

static void a_uid_is_a_number_or_a_user(void **state)
{
	struct policy p = { 0 };

	(void)state;
	taken(&p, "uid", "root");
	assert_true(p.has_uid);
	assert_int_equal(p.uid, 0);
	taken(&p, "uid", "4294967294");
	assert_int_equal(p.uid, 4294967294U);
	refused("uid", "4294967295", "uid: '4294967295' is not a user or a number from 0 to 4294967294");
	refused("uid", "no such", "uid: 'no such' is not a user or a number from 0 to 4294967294");
	refused("uid", "", "uid: '' is not a user or a number from 0 to 4294967294");
}

static void a_cgroup_starts_at_the_root_and_stays_below(void **state)
{
	struct policy p = { 0 };

	(void)state;
	taken(&p, "cgroup", "/");
	taken(&p, "cgroup", "/a/..b/*.service");
	assert_string_equal(p.cgroup, "/a/..b/*.service");
	refused("cgroup", "a", "cgroup: 'a' is not a path or glob that starts with '/' and has no '..'");
	refused("cgroup", "", "cgroup: '' is not a path or glob that starts with '/' and has no '..'");
	refused("cgroup", "/a/../b", "cgroup: '/a/../b' is not a path or glob that starts with '/' and has no '..'");
	refused("cgroup", "/a/..", "cgroup: '/a/..' is not a path or glob that starts with '/' and has no '..'");
	refused("cgroup", "/a\tb", "cgroup: '/a?b' is not a path or glob that starts with '/' and has no '..'");
	policy_free(&p);
}

static void choices_are_exact_words(void **state)
{
	struct policy p = { 0 };

	(void)state;
	taken(&p, "engage", "eager");
	taken(&p, "blocking", "allow");
	assert_true(p.eager && p.blocking);
	taken(&p, "engage", "observed");
	taken(&p, "blocking", "refuse");
	assert_false(p.eager || p.blocking);
	refused("engage", "Eager", "engage: 'Eager' is not 'eager' or 'observed'");
	refused("blocking", "yes", "blocking: 'yes' is not 'allow' or 'refuse'");
}

static void an_unknown_key_is_quoted_with_the_known_ones(void **state)
{
	(void)state;
	refused("prot", "1", "'prot' is not a key of a policy (cgroup, port, uid, engage, blocking, yield)");
	refused("", "1", "'' is not a key of a policy (cgroup, port, uid, engage, blocking, yield)");
}

static void a_name_is_short_and_plain(void **state)
{
	char name[65];
	struct policy p = { 0 };

	(void)state;
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_int_equal(policy_set_name(&p, name, err, sizeof(err)), 0);
	name[63] = 'a';
	name[64] = '\0';
	assert_int_equal(policy_set_name(&p, name, err, sizeof(err)), -EINVAL);
	assert_int_equal(policy_set_name(&p, "", err, sizeof(err)), -EINVAL);
	assert_int_equal(policy_set_name(&p, "a b", err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "policy: 'a b' is not a name of 1 to 63 letters, digits and _.:-");
	assert_int_equal(policy_set_name(&p, "A-z_0.9:x", err, sizeof(err)), 0);
}

static void a_policy_needs_a_selector(void **state)
{
	struct policy p = { .name = "web", .eager = true };

	(void)state;
	assert_int_equal(policy_validate(&p, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "policy: 'web' is not complete: it needs a cgroup, a port or a uid");
	p.has_uid = true;
	assert_int_equal(policy_validate(&p, err, sizeof(err)), 0);
}

static void every_shape_fills_its_own_fields_only(void **state)
{
	struct fl_policy_key key;
	struct fl_policy value;
	unsigned int shape;

	(void)state;
	for (shape = 1; shape < FL_SHAPES; shape++) {
		struct policy p = {
			.cgroup = shape & FL_SHAPE_CGROUP ? (char *)"/x" : NULL,
			.has_port = shape & FL_SHAPE_PORT,
			.port = 80,
			.has_uid = shape & FL_SHAPE_UID,
			.uid = 1000,
		};

		memset(&key, 0xff, sizeof(key));
		policy_key(&p, 42, &key, &value);
		assert_int_equal(key.shape, shape);
		assert_int_equal(key.cgroup, shape & FL_SHAPE_CGROUP ? 42 : 0);
		assert_int_equal(key.port, shape & FL_SHAPE_PORT ? 80 : 0);
		assert_int_equal(key.uid, shape & FL_SHAPE_UID ? 1000 : 0);
		assert_int_equal(value.flags, 0);
	}
}

static void terms_become_flags(void **state)
{
	struct policy p = { .has_port = true, .port = 1, .eager = true };
	struct fl_policy_key key;
	struct fl_policy value;

	(void)state;
	policy_key(&p, 0, &key, &value);
	assert_int_equal(value.flags, FL_F_EAGER);
	p.blocking = true;
	policy_key(&p, 0, &key, &value);
	assert_int_equal(value.flags, FL_F_EAGER | FL_F_BLOCKING);
}

static int from_text(const char *text, struct policy *ret)
{
	struct json_object *json = json_tokener_parse(text);
	int r = policy_from_json(json, ret, err, sizeof(err));

	json_object_put(json);
	return r;
}

static void json_survives_the_round_trip(void **state)
{
	const char *text = "{\"name\":\"a\",\"cgroup\":\"\\/b\\/*\",\"port\":80,\"uid\":4294967294,"
			   "\"engage\":\"eager\",\"blocking\":\"allow\",\"origin\":\"run\"}";
	struct json_object *json;
	struct policy p;

	(void)state;
	assert_int_equal(from_text(text, &p), 0);
	json = policy_to_json(&p);
	assert_string_equal(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN), text);
	json_object_put(json);
	policy_free(&p);
}

static void json_leaves_out_what_is_not_selected(void **state)
{
	struct policy p = { .name = "a", .has_port = true, .port = 5 };
	struct json_object *json = policy_to_json(&p);

	(void)state;
	assert_false(json_object_object_get_ex(json, "cgroup", NULL));
	assert_false(json_object_object_get_ex(json, "uid", NULL));
	json_object_put(json);
}

static void wrong_json_is_refused_and_nothing_touched(void **state)
{
	static const struct {
		const char *text, *err;
	} cases[] = {
		{ "[]", "policy: '[ ]' is not an object" },
		{ "null", "policy: 'null' is not an object" },
		{ "{\"name\":\"a\",\"port\":80,\"x\":1}",
		  "'x' is not a key of a policy (cgroup, port, uid, engage, blocking, yield)" },
		{ "{\"name\":\"a\",\"port\":80.5}", "port: '80.5' is not a string or a number" },
		{ "{\"name\":\"a\",\"port\":null}", "port: 'null' is not a string or a number" },
		{ "{\"name\":\"a\",\"port\":-80}", "port: '-80' is not a number from 1 to 65535" },
		{ "{\"name\":\"a\",\"cgroup\":\"/a\\u0000b\"}", "cgroup: '/a' is not free of NUL bytes" },
		{ "{\"name\":\"a\",\"port\":80,\"origin\":\"moon\"}",
		  "origin: 'moon' is not 'config', 'control' or 'run'" },
		{ "{\"port\":80}", "policy: '' is not a name of 1 to 63 letters, digits and _.:-" },
		{ "{\"name\":\"a\"}", "policy: 'a' is not complete: it needs a cgroup, a port or a uid" },
	};
	struct policy p, before;
	size_t i;

	(void)state;
	memset(&p, 0x5a, sizeof(p));
	before = p;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(from_text(cases[i].text, &p), -EINVAL);
		assert_string_equal(err, cases[i].err);
		assert_memory_equal(&p, &before, sizeof(p));
	}
}

static void freeing_nothing_is_fine(void **state)
{
	(void)state;
	policy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_is_1_to_65535),
		cmocka_unit_test(a_uid_is_a_number_or_a_user),
		cmocka_unit_test(a_cgroup_starts_at_the_root_and_stays_below),
		cmocka_unit_test(choices_are_exact_words),
		cmocka_unit_test(an_unknown_key_is_quoted_with_the_known_ones),
		cmocka_unit_test(a_name_is_short_and_plain),
		cmocka_unit_test(a_policy_needs_a_selector),
		cmocka_unit_test(every_shape_fills_its_own_fields_only),
		cmocka_unit_test(terms_become_flags),
		cmocka_unit_test(json_survives_the_round_trip),
		cmocka_unit_test(json_leaves_out_what_is_not_selected),
		cmocka_unit_test(wrong_json_is_refused_and_nothing_touched),
		cmocka_unit_test(freeing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
