/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The engage rule, the receive-buffer rule and the backlog bound (bpf/rules.h), as the sk_msg program has
 * them compiled in. The same rules on the live kernel: tests/integration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/types.h>
#include "rules.h"

static void drained_only_when_every_tcp_byte_was_copied(void **state)
{
	(void)state;
	assert_true(fl_drained(1000, 1000));
	assert_false(fl_drained(1001, 1000));
	assert_false(fl_drained(999, 1000));
	assert_true(fl_drained(0, 0));
	assert_false(fl_drained(0, 0xffffffff));
}

static void handed_over_sums_tcp_and_spliced_bytes(void **state)
{
	(void)state;
	assert_true(fl_handed_over(1000, 1000, 0, 0));	   /* nothing sent */
	assert_true(fl_handed_over(1500, 1000, 0, 500));   /* all over TCP, all returned */
	assert_true(fl_handed_over(1500, 1000, 300, 800)); /* both ways, all returned */
	assert_false(fl_handed_over(1500, 1000, 0, 499));  /* a reader holds one byte */
	assert_false(fl_handed_over(1500, 1000, 300, 500));
	assert_false(fl_handed_over(1500, 1000, 0, 501)); /* more returned than sent: somebody miscounted */
}

static void handed_over_survives_every_wrap(void **state)
{
	(void)state;
	/* write_seq wraps between base and now */
	assert_true(fl_handed_over(0x00000010, 0xfffffff0, 0, 0x20));
	/* spliced bytes wrapped */
	assert_true(fl_handed_over(100, 100, 5, 5));
	assert_true(fl_handed_over(200, 100, 0xffffffff, 99));
	/* returned wrapped, the sum too */
	assert_true(fl_handed_over(0x7fffffff, 0xffffffff, 0x90000000, 0x10000000));
	assert_false(fl_handed_over(0x7fffffff, 0xffffffff, 0x90000000, 0x0fffffff));
	/* five gigabytes over TCP, then everything returned */
	assert_true(fl_handed_over((uint32_t)(7 + 5000000000ULL), 7, 0, (uint32_t)5000000000ULL));
}

static void a_message_fits_in_half_of_the_buffer_only(void **state)
{
	(void)state;
	assert_true(fl_fits(65536, 131072, 131072, 0, 0));
	assert_true(fl_fits(131072, 131072, 131072, 0, 0)); /* alone, all of it */
	assert_false(fl_fits(131073, 131072, 131072, 0, 0));
	assert_true(fl_fits(65535, 131072, 131072, 0, 1));
	assert_false(fl_fits(65536, 131072, 131072, 0, 1));
	assert_true(fl_fits(1, 131072, 131072, 0, 65535));
	assert_false(fl_fits(2, 131072, 131072, 0, 65535));
	assert_false(fl_fits(1, 131072, 131072, 0, 65536));
	assert_false(fl_fits(1, 131072, 131072, 0, 200000)); /* more than half unread already: no underflow */
	assert_true(fl_fits(0, 0, 0, 0, 0));
	assert_false(fl_fits(1, 0, 0, 0, 0));
	assert_false(fl_fits(0xffffffff, 0x7fffffff, 0x7fffffff, 0, 1));
}

static void nor_may_it_take_what_the_window_promises(void **state)
{
	(void)state;
	assert_true(fl_fits(65536, 131072, 131072, 65536, 0));
	assert_false(fl_fits(65536, 131072, 131072, 65537, 0));
	assert_true(fl_fits(31072, 131072, 131072, 100000, 0));
	assert_false(fl_fits(31072, 131072, 131072, 100000, 1));
	assert_false(fl_fits(1, 131072, 131072, 131072, 0));
	assert_true(fl_fits(65536, 131072, 6291456, 131072, 0)); /* it can grow */
	assert_false(fl_fits(65536, 131072, 6291456, 6291456, 0));
	assert_false(fl_fits(1, 131072, 131072, 200000, 0)); /* more than there is: no underflow */
	assert_int_equal(fl_window(1000, 500, 1200), 300);
	assert_int_equal(fl_window(1000, 500, 1500), 0);
	assert_int_equal(fl_window(1000, 500, 1600), 0); /* beyond it, as a window probe is */
	assert_int_equal(fl_window(0xffffff00, 0x200, 0x80), 0x80);
}

static void backlog_limit_follows_the_buffer_and_has_a_floor(void **state)
{
	(void)state;
	assert_int_equal(fl_backlog_limit(131072), 512);
	assert_int_equal(fl_backlog_limit(2304), 9);
	assert_int_equal(fl_backlog_limit(0), 8);
}

/* Sends one-byte messages; the reader is `lag` messages behind. Returns how many were let through. */
static uint32_t stream(struct fl_backlog *b, uint32_t start, uint32_t n, uint32_t lag, uint32_t limit)
{
	uint32_t sent = start;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t returned = sent - start > lag ? sent - lag : start;

		if (fl_backlog_look(sent, b->freed_msgs, limit) &&
		    !fl_backlog_ok(b, sent, sent, returned, limit))
			break;
		sent++;
	}
	return sent - start;
}

static void a_stopped_reader_gets_no_more_than_the_limit(void **state)
{
	struct fl_backlog b = { 0 };

	(void)state;
	assert_int_equal(stream(&b, 0, 100000, 100000, 512), 512);
}

static void a_reader_that_keeps_up_is_never_held_back(void **state)
{
	struct fl_backlog b = { 0 };

	(void)state;
	assert_int_equal(stream(&b, 0, 100000, 0, 512), 100000);
	b = (struct fl_backlog){ 0 };
	assert_int_equal(stream(&b, 0, 100000, 100, 512), 100000);
}

static void the_backlog_survives_the_wrap_of_its_counters(void **state)
{
	struct fl_backlog b = { 0xfffffff0, 0xfffffff0, 0xfffffff0 };

	(void)state;
	assert_int_equal(stream(&b, 0xfffffff0, 100000, 3, 64), 100000);
	b = (struct fl_backlog){ 0xfffffff0, 0xfffffff0, 0xfffffff0 };
	assert_int_equal(stream(&b, 0xfffffff0, 100000, 100000, 64), 64);
}

/* n messages of which one in `spilled` did not fit, until the debt is too much; the number of those sent before that. */
static int owe(__u32 size, int spilled, int n)
{
	__u32 debt = 0;

	for (int i = 0; i < n; i++) {
		debt = i % spilled ? fl_debt_pay(debt, size) : fl_debt_add(debt, size);
		if (debt >= FL_DEBT_MAX)
			return i;
	}
	return n;
}

static void a_direction_that_mostly_splices_owes_nothing(void **state)
{
	(void)state;
	assert_int_equal(owe(64, FL_DEBT_SHARE + 1, 1000000), 1000000);
	assert_int_equal(owe(65536, FL_DEBT_SHARE + 1, 1000000), 1000000);
}

static void one_that_spills_owes_by_message_and_by_page(void **state)
{
	__u32 debt = FL_DEBT_FILTERED;

	(void)state;
	assert_int_equal(owe(64, 1, 100000), 4095);
	assert_int_equal(owe(65536, 1, 100000), 4096 / 17);
	assert_in_range(owe(64, 4, 100000), 16384, 40000);
	/* it cannot wrap */
	assert_int_equal(fl_debt_add(debt, 0xffffffff), debt);
	assert_true(fl_debt_add(debt - 1, 0xffffffff) > debt);
	assert_int_equal(fl_debt_pay(0, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drained_only_when_every_tcp_byte_was_copied),
		cmocka_unit_test(handed_over_sums_tcp_and_spliced_bytes),
		cmocka_unit_test(handed_over_survives_every_wrap),
		cmocka_unit_test(a_message_fits_in_half_of_the_buffer_only),
		cmocka_unit_test(nor_may_it_take_what_the_window_promises),
		cmocka_unit_test(backlog_limit_follows_the_buffer_and_has_a_floor),
		cmocka_unit_test(a_stopped_reader_gets_no_more_than_the_limit),
		cmocka_unit_test(a_reader_that_keeps_up_is_never_held_back),
		cmocka_unit_test(the_backlog_survives_the_wrap_of_its_counters),
		cmocka_unit_test(a_direction_that_mostly_splices_owes_nothing),
		cmocka_unit_test(one_that_spills_owes_by_message_and_by_page),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
