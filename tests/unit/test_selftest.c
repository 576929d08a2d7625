/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the self-test's findings switch off, and their way through JSON from fastlod to fastloctl.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <json-c/json.h>
#include <string.h>

#include "selftest.h"

static struct findings all_good(void)
{
	static const char *const names[] = { "splice", "order", "rmem", "fionread_tcp", "release", "ktls" };
	struct findings f = { .n = 0 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		findings_say(&f, names[i], FINDING_GOOD, "fine");
	return f;
}

static struct selftest_result with(const char *name, enum verdict verdict)
{
	struct findings f = all_good();

	for (size_t i = 0; i < f.n; i++)
		if (strcmp(f.list[i].name, name) == 0)
			f.list[i].verdict = verdict;
	return selftest_judge(&f);
}

static void a_good_kernel_keeps_everything(void **state)
{
	struct findings f = all_good();

	(void)state;
	assert_false(selftest_judge(&f).unfit);
	assert_false(selftest_judge(&f).rmem_blind);
	/* what applications have to live with is no reason to stop */
	assert_false(with("fionread_tcp", FINDING_DIFFERS).unfit);
	assert_false(with("ktls", FINDING_DIFFERS).unfit);
}

static void lost_or_reordered_bytes_end_it(void **state)
{
	(void)state;
	assert_true(with("splice", FINDING_BAD).unfit);
	assert_true(with("order", FINDING_BAD).unfit);
	assert_true(with("release", FINDING_BAD).unfit);
	assert_false(with("splice", FINDING_UNTRIED).unfit);
	assert_false(with("release", FINDING_UNTRIED).unfit);
}

static void memory_that_is_not_counted_is_counted_by_the_books(void **state)
{
	struct findings none = { .n = 0 };

	(void)state;
	assert_true(with("rmem", FINDING_DIFFERS).rmem_blind);
	assert_true(with("rmem", FINDING_UNTRIED).rmem_blind);
	assert_true(selftest_judge(&none).rmem_blind);
	assert_false(selftest_judge(&none).unfit);
}

static void findings_go_round(void **state)
{
	struct findings f = { .n = 0 }, back = { .n = 0 };
	struct json_object *array, *odd = json_tokener_parse("[1, {\"name\": \"x\"}, {\"name\": \"y\", \"verdict\": \"odd\", \"text\": \"\"}]");

	(void)state;
	findings_say(&f, "rmem", FINDING_DIFFERS, "%d of %d", 3, 4);
	findings_say(&f, "a name that is longer than a name may be", FINDING_UNTRIED, "%0300d", 1);
	array = findings_to_json(&f);
	findings_from_json(&back, array);
	assert_memory_equal(&back, &f, sizeof(f));
	assert_string_equal(findings_get(&back, "rmem")->text, "3 of 4");
	assert_null(findings_get(&back, "nothing"));
	findings_from_json(&back, odd);
	findings_from_json(&back, NULL);
	assert_int_equal(back.n, 2);
	for (int i = 0; i < FINDINGS_MAX * 2; i++)
		findings_say(&back, "more", FINDING_GOOD, "x");
	assert_int_equal(back.n, FINDINGS_MAX);
	json_object_put(array);
	json_object_put(odd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_kernel_keeps_everything),
		cmocka_unit_test(lost_or_reordered_bytes_end_it),
		cmocka_unit_test(memory_that_is_not_counted_is_counted_by_the_books),
		cmocka_unit_test(findings_go_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
