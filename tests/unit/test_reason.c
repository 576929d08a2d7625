/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * reason.def as user space sees it: complete, unique, and safe to index with anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fastlo/abi.h"
#include "reason.h"

static void every_reason_has_a_name_and_a_text(void **state)
{
	uint32_t r;

	(void)state;
	for (r = 0; r < FL_R_MAX; r++) {
		assert_non_null(reason_name(r));
		assert_non_null(reason_text(r));
		assert_true(strlen(reason_name(r)) > 0);
		assert_true(strlen(reason_text(r)) > 0);
	}
}

static void names_are_snake_case_and_unique(void **state)
{
	uint32_t a, b;

	(void)state;
	for (a = 0; a < FL_R_MAX; a++) {
		assert_int_equal(strspn(reason_name(a), "abcdefghijklmnopqrstuvwxyz0123456789_"),
				 strlen(reason_name(a)));
		for (b = 0; b < a; b++)
			assert_string_not_equal(reason_name(a), reason_name(b));
	}
}

static void numbers_out_of_range_are_unknown(void **state)
{
	(void)state;
	assert_string_equal(reason_name(FL_R_MAX), "unknown");
	assert_string_equal(reason_text(UINT32_MAX), "unknown");
}

static void zero_is_none(void **state)
{
	(void)state;
	assert_string_equal(reason_name(0), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_name_and_a_text),
		cmocka_unit_test(names_are_snake_case_and_unique),
		cmocka_unit_test(numbers_out_of_range_are_unknown),
		cmocka_unit_test(zero_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
