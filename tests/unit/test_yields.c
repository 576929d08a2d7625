/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kinds of filters to yield to: section [yield], a policy's key yield, what either becomes for the kernel.
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
#include <json-c/json.h>

#include "config.h"

static char err[POLICY_ERROR_MAX];

static uint32_t bits_of(const char *text)
{
	struct yields y = { 0 };

	assert_int_equal(yields_parse(&y, text, err, sizeof(err)), 0);
	return y.bits;
}

static void each_value_has_its_bits(void **state)
{
	(void)state;
	assert_int_equal(bits_of("packet=always"), FL_Y_PACKET);
	assert_int_equal(bits_of("netfilter=rules"), FL_Y_RULES);
	assert_int_equal(bits_of("netfilter=hooks"), FL_Y_RULES | FL_Y_HOOKS);
	assert_int_equal(bits_of("tc=always xdp=always"), FL_Y_TC | FL_Y_XDP);
	assert_int_equal(bits_of("xfrm=always,lsm=always"), FL_Y_XFRM | FL_Y_LSM);
	assert_int_equal(bits_of("packet=never netfilter=never tc=never xdp=never xfrm=never lsm=never"), 0);
	/* the last word counts */
	assert_int_equal(bits_of("netfilter=hooks netfilter=rules"), FL_Y_RULES);
}

static void refused(const char *text, const char *what)
{
	struct yields y = { FL_Y_TC, 0 };

	assert_int_equal(yields_parse(&y, text, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, what);
	assert_int_equal(y.set, FL_Y_TC);
	assert_int_equal(y.bits, 0);
}

static void wrong_words_are_quoted(void **state)
{
	(void)state;
	refused("netfilter=yes", "netfilter: 'yes' is not 'hooks', 'rules' or 'never'");
	refused("xdp=rules", "xdp: 'rules' is not 'always' or 'never'");
	refused("tc=always dust=never", "yield: 'dust=never' is not KIND=VALUE (packet, netfilter, tc, xdp, xfrm or lsm)");
	refused("tc", "yield: 'tc' is not KIND=VALUE (packet, netfilter, tc, xdp, xfrm or lsm)");
	refused(" , ", "yield: ' , ' is not KIND=VALUE, or several with blanks between");
	refused("", "yield: '' is not KIND=VALUE, or several with blanks between");
}

static void what_is_printed_parses_again(void **state)
{
	char text[YIELDS_TEXT_MAX], all[] = "packet=never netfilter=hooks tc=always xdp=never xfrm=always lsm=never";
	struct yields y = { 0 };

	(void)state;
	yields_print(&y, text);
	assert_string_equal(text, "");
	assert_int_equal(yields_parse(&y, all, err, sizeof(err)), 0);
	yields_print(&y, text);
	assert_string_equal(text, all);
	assert_int_equal(y.set, FL_Y_ALL);
}

/* What the kernel side computes: bpf/host.h, fl_yield_kinds() */
static uint32_t kinds(uint32_t flags, uint32_t defaults)
{
	return (flags >> FL_F_YIELD_SHIFT & FL_Y_ALL) | (defaults & ~(flags >> FL_F_YIELD_SET_SHIFT));
}

static void flags_override_what_they_decide(void **state)
{
	struct yields y = { 0 };

	(void)state;
	assert_int_equal(yields_flags(&y), 0);
	assert_int_equal(kinds(0, YIELDS_DEFAULT), YIELDS_DEFAULT);
	assert_int_equal(yields_parse(&y, "netfilter=never packet=always", err, sizeof(err)), 0);
	assert_int_equal(kinds(yields_flags(&y), FL_Y_RULES | FL_Y_TC), FL_Y_PACKET | FL_Y_TC);
	assert_int_equal(yields_flags(&y) & ~FL_F_YIELDS, 0);
	assert_int_equal(FL_F_YIELDS & (FL_F_ADMITTED | FL_F_UNBASED | FL_F_BLOCKING), 0);
}

static void a_policy_keeps_its_yields(void **state)
{
	const char *text = "{\"name\":\"a\",\"port\":80,\"engage\":\"observed\",\"blocking\":\"refuse\","
			   "\"yield\":\"packet=never netfilter=rules\",\"origin\":\"control\"}";
	struct json_object *json = json_tokener_parse(text), *again;
	struct fl_policy_key key;
	struct fl_policy value;
	struct policy p;

	(void)state;
	assert_int_equal(policy_from_json(json, &p, err, sizeof(err)), 0);
	again = policy_to_json(&p);
	assert_string_equal(json_object_to_json_string_ext(again, JSON_C_TO_STRING_PLAIN), text);
	policy_key(&p, 0, &key, &value);
	assert_int_equal(value.flags, yields_flags(&p.yields));
	assert_int_not_equal(value.flags, 0);
	json_object_put(json);
	json_object_put(again);
	policy_free(&p);
}

static int load(const char *text, struct config *ret, char *why, size_t size)
{
	char path[] = "/tmp/fastlo-yields-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	r = config_load(path, ret, why, size);
	unlink(path);
	return r;
}

static void the_section_is_read(void **state)
{
	static const char *const wrong[][2] = {
		{ "[yield]\nnetfilter = sometimes\n", ":2: netfilter: 'sometimes' is not 'hooks', 'rules' or 'never'" },
		{ "[yield]\n\ndust = never\n", ":3: 'dust' is not a key of [yield]" },
		{ "[yield]\ntc = never\n[fastlo]\n[yield]\ntc = never\n", ":5: tc: 'never' is not the first value" },
		{ "[policy a]\nport = 1\nyield = tc\n", ":3: yield: 'tc' is not KIND=VALUE" },
		{ "[policy a]\nport = 1\nyield = tc=never\nyield = xdp=never\n", ":4: yield: 'xdp=never' is not the first" },
	};
	char why[1024];
	struct config c;

	(void)state;
	assert_int_equal(config_load(NULL, &c, why, sizeof(why)), 0);
	assert_int_equal(c.yields.bits, YIELDS_DEFAULT);
	config_free(&c);
	assert_int_equal(load("[yield]\nnetfilter = hooks\nlsm = never\n[policy a]\nport = 1\n"
			      "yield = packet=never tc=never\n", &c, why, sizeof(why)), 0);
	assert_int_equal(c.yields.set, FL_Y_ALL);
	assert_int_equal(c.yields.bits, FL_Y_ALL & ~FL_Y_LSM);
	assert_int_equal(c.policies[0].yields.set, FL_Y_PACKET | FL_Y_TC);
	config_free(&c);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(load(wrong[i][0], &c, why, sizeof(why)), -EINVAL);
		if (!strstr(why, wrong[i][1]))
			fail_msg("'%s' is not in '%s'", wrong[i][1], why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_has_its_bits),
		cmocka_unit_test(wrong_words_are_quoted),
		cmocka_unit_test(what_is_printed_parses_again),
		cmocka_unit_test(flags_override_what_they_decide),
		cmocka_unit_test(a_policy_keeps_its_yields),
		cmocka_unit_test(the_section_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
