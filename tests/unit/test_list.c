/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `list` and `stats` make of records: hand-made ones, so every state is covered without a kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"
#include "../../user/fastloctl/pairs.h"

static const char *comm(void *arg, uint32_t pid)
{
	(void)arg;
	return pid == 77 ? "server" : NULL;
}

static const char *cgroup(void *arg, uint64_t id)
{
	(void)arg;
	return id == 5 ? "/a.slice" : NULL;
}

static const struct pairs_names names = { comm, cgroup, NULL };

/* An admitted pair, 127.0.0.1:1000 <-> 127.0.0.1:80, whose side 1 is the server. */
static struct fl_record pair(void)
{
	struct fl_record r = { 0 };
	int i;

	r.data.state = FL_ADMITTED;
	r.data.id = 12;
	r.data.netns = 3;
	r.data.born = 1000000000;
	r.data.server = 1;
	for (i = 0; i < 2; i++) {
		inet_pton(AF_INET6, "::ffff:127.0.0.1", r.data.addr[i]);
		r.data.side[i].flags = FL_F_PRESENT | FL_F_ADMITTED;
		r.live[i].alive = 1;
	}
	r.data.port[0] = 1000;
	r.data.port[1] = 80;
	return r;
}

static struct json_object *list_of(const struct fl_record *r)
{
	return pairs_to_json(r, 1, &names, 3500000000ULL);
}

static struct json_object *endpoint(struct json_object *list, int side)
{
	struct json_object *pair_json = json_object_array_get_idx(list, 0);

	return json_object_array_get_idx(json_object_object_get(pair_json, "endpoints"), (size_t)side);
}

static const char *text(struct json_object *json, const char *key)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(json, key, &value)); /* null counts, missing doesn't */
	return value ? json_object_get_string(value) : NULL;
}

static void the_keys_are_those_of_the_design_in_order(void **state)
{
	static const char expected[] =
		"[{\"id\":12,\"netns\":3,\"state\":\"spliced\",\"age_ms\":2500,\"endpoints\":["
		"{\"address\":\"127.0.0.1\",\"port\":1000,\"pid\":null,\"comm\":null,\"cgroup\":null,"
		"\"origin\":\"socket\",\"tx_spliced_bytes\":10,\"tx_spliced_msgs\":2,\"tx_tcp_bytes\":30,"
		"\"rx_queued_bytes\":4,\"reason\":\"none\"},"
		"{\"address\":\"127.0.0.1\",\"port\":80,\"pid\":77,\"comm\":\"server\",\"cgroup\":\"/a.slice\","
		"\"origin\":\"policy\",\"tx_spliced_bytes\":0,\"tx_spliced_msgs\":0,\"tx_tcp_bytes\":0,"
		"\"rx_queued_bytes\":0,\"reason\":\"rcvbuf\"}]}]";
	struct fl_record r = pair();
	struct json_object *list;

	(void)state;
	r.data.side[0].flags |= FL_F_SOCKET;
	r.data.side[0].tx.spliced_bytes = 10;
	r.data.side[0].tx.spliced_msgs = 2;
	r.data.side[0].tx.engaged = 1;
	r.data.side[0].tx.reason = FL_R_NOT_DRAINED; /* of an older message */
	r.live[0].tcp_bytes = 30;
	r.live[0].queued = 4;
	r.data.side[1].flags |= FL_F_POLICY;
	r.data.side[1].rx.tgid = 77;
	r.data.side[1].cgroup = 5;
	r.data.side[1].tx.reason = FL_R_RCVBUF;
	list = list_of(&r);
	assert_string_equal(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(list);
}

static void every_state_has_its_word(void **state)
{
	static const struct {
		uint32_t state;
		const char *word;
	} cases[] = {
		{ FL_HALF, "tcp" },	   { FL_OBSERVE, "observing" }, { FL_READY, "observing" },
		{ FL_ADMITTED, "yielding" }, { FL_RELEASING, "draining" },  { FL_PLAIN, "tcp" },
		{ 99, "tcp" },
	};
	struct fl_record r = pair();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r.data.state = cases[i].state;
		assert_string_equal(pairs_state(&r), cases[i].word);
	}
}

static void one_engaged_direction_makes_it_spliced(void **state)
{
	struct fl_record r = pair();

	(void)state;
	r.data.side[1].tx.engaged = 1;
	assert_string_equal(pairs_state(&r), "spliced");
	r.data.state = FL_RELEASING;
	assert_string_equal(pairs_state(&r), "draining");
}

static void reasons_follow_the_state(void **state)
{
	struct fl_record r = pair();

	(void)state;
	r.data.side[0].tx.reason = FL_R_RCVBUF;
	assert_int_equal(pairs_reason(&r, 0), FL_R_RCVBUF);
	r.data.side[0].tx.engaged = 1;
	assert_int_equal(pairs_reason(&r, 0), FL_R_NONE);
	r.data.state = FL_OBSERVE;
	assert_int_equal(pairs_reason(&r, 0), FL_R_OBSERVING);
	r.data.state = FL_READY;
	assert_int_equal(pairs_reason(&r, 1), FL_R_OBSERVING);
	r.data.state = FL_HALF;
	assert_int_equal(pairs_reason(&r, 0), FL_R_PEER_NOT_OPTED_IN);
}

static void a_stopped_pair_gives_that_reason_in_any_state(void **state)
{
	struct fl_record r = pair();
	uint32_t s;

	(void)state;
	r.data.stop = FL_R_WITHDRAWN;
	r.data.side[0].tx.engaged = 1;
	for (s = FL_HALF; s <= FL_PLAIN; s++) {
		r.data.state = s;
		assert_int_equal(pairs_reason(&r, 0), FL_R_WITHDRAWN);
		assert_int_equal(pairs_reason(&r, 1), FL_R_WITHDRAWN);
	}
}

static void a_half_pair_has_one_end_and_one_address(void **state)
{
	struct fl_record r = pair();
	struct json_object *list;

	(void)state;
	r.data.state = FL_HALF;
	r.data.side[0].flags = 0;
	r.data.side[0].tx.spliced_bytes = 99; /* of the slot's earlier use */
	r.data.side[0].tx.tgid = 77;
	r.data.side[0].cgroup = 5;
	r.live[0].tcp_bytes = 99;
	r.data.side[1].flags = FL_F_PRESENT | FL_F_SOCKET;
	r.data.side[1].tx.tgid = 77;
	list = list_of(&r);
	assert_null(text(endpoint(list, 0), "pid"));
	assert_null(text(endpoint(list, 0), "comm"));
	assert_null(text(endpoint(list, 0), "cgroup"));
	assert_null(text(endpoint(list, 0), "origin"));
	assert_string_equal(text(endpoint(list, 0), "tx_spliced_bytes"), "0");
	assert_string_equal(text(endpoint(list, 0), "tx_tcp_bytes"), "0");
	assert_string_equal(text(endpoint(list, 0), "port"), "1000");
	assert_string_equal(text(endpoint(list, 0), "reason"), "peer_not_opted_in");
	assert_string_equal(text(endpoint(list, 1), "comm"), "server");
	assert_string_equal(text(endpoint(list, 1), "origin"), "socket");
	json_object_put(list);
}

static void the_reader_names_the_process_before_the_sender(void **state)
{
	struct fl_record r = pair();

	(void)state;
	assert_int_equal(pairs_pid(&r, 0), 0);
	r.data.side[0].tx.tgid = 4;
	assert_int_equal(pairs_pid(&r, 0), 4);
	r.data.side[0].rx.tgid = 5;
	assert_int_equal(pairs_pid(&r, 0), 5);
}

static void only_mapped_addresses_print_as_ipv4(void **state)
{
	static const char *const cases[][2] = {
		{ "::ffff:10.1.2.3", "10.1.2.3" },
		{ "::1", "::1" },
		{ "::", "::" },
		{ "fe80::1", "fe80::1" },
		{ "::fffe:1.2.3.4", "::fffe:102:304" },
	};
	char buf[ADDRESS_TEXT_MAX];
	__u8 addr[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(inet_pton(AF_INET6, cases[i][0], addr), 1);
		address_text(addr, buf);
		assert_string_equal(buf, cases[i][1]);
	}
}

static void free_slots_are_not_listed(void **state)
{
	struct fl_record r[2] = { pair(), pair() };
	struct json_object *list;

	(void)state;
	r[0].data.state = FL_FREE;
	list = pairs_to_json(r, 2, &names, 0); /* a clock behind `born` is no negative age */
	assert_int_equal(json_object_array_length(list), 1);
	assert_string_equal(text(json_object_array_get_idx(list, 0), "age_ms"), "0");
	json_object_put(list);
}

static void no_pairs_are_an_empty_array(void **state)
{
	struct json_object *list = pairs_to_json(NULL, 0, &names, 0);

	(void)state;
	assert_int_equal(json_object_array_length(list), 0);
	json_object_put(list);
}

static void numbers_are_not_cut_to_signed(void **state)
{
	struct fl_record r = pair();
	struct json_object *list;

	(void)state;
	r.data.netns = UINT64_MAX;
	list = list_of(&r);
	assert_string_equal(text(json_object_array_get_idx(list, 0), "netns"), "18446744073709551615");
	json_object_put(list);
}

static void stats_add_the_dead_and_the_living(void **state)
{
	struct fl_record r[3] = { pair(), pair(), pair() };
	uint64_t totals[FL_T_MAX] = { 0 }, reasons[FL_R_MAX] = { 0 };
	struct json_object *json;

	(void)state;
	totals[FL_T_SPLICED_BYTES] = 100;
	totals[FL_T_SPLICED_MSGS] = 10;
	totals[FL_T_TCP_BYTES] = 1000;
	totals[FL_T_ADMITTED] = 7;
	totals[FL_T_RELEASED] = 6;
	reasons[FL_R_RCVBUF] = 3;
	r[0].data.side[0].tx.spliced_bytes = 1;
	r[0].data.side[1].tx.spliced_bytes = 2;
	r[0].data.side[1].tx.spliced_msgs = 4;
	r[0].live[0].tcp_bytes = 5;
	r[1].data.state = FL_HALF;
	r[1].data.side[1].flags = 0;
	r[1].live[0].tcp_bytes = 6;
	r[1].live[1].tcp_bytes = 1000000; /* nobody's */
	r[2].data.state = FL_FREE;
	r[2].live[0].tcp_bytes = 1000000;
	json = pairs_stats_to_json(r, 3, totals, reasons);
	assert_string_equal(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN),
			    "{\"spliced_bytes\":103,\"spliced_msgs\":14,\"tcp_bytes\":1011,\"pairs\":1,"
			    "\"endpoints\":3,\"admitted\":7,\"released\":6,\"reasons\":{\"rcvbuf\":3}}");
	json_object_put(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_keys_are_those_of_the_design_in_order),
		cmocka_unit_test(every_state_has_its_word),
		cmocka_unit_test(one_engaged_direction_makes_it_spliced),
		cmocka_unit_test(reasons_follow_the_state),
		cmocka_unit_test(a_stopped_pair_gives_that_reason_in_any_state),
		cmocka_unit_test(a_half_pair_has_one_end_and_one_address),
		cmocka_unit_test(the_reader_names_the_process_before_the_sender),
		cmocka_unit_test(only_mapped_addresses_print_as_ipv4),
		cmocka_unit_test(free_slots_are_not_listed),
		cmocka_unit_test(no_pairs_are_an_empty_array),
		cmocka_unit_test(numbers_are_not_cut_to_signed),
		cmocka_unit_test(stats_add_the_dead_and_the_living),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
