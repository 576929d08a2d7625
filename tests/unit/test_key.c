/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The key by which two ends find each other (bpf/key.h): the same bytes from both ends, whatever families
 * they report, and different bytes for everything else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include "key.h"

static struct fl_addr v4(const char *text, uint16_t port)
{
	struct fl_addr a;
	uint32_t be;

	assert_int_equal(inet_pton(AF_INET, text, &be), 1);
	memset(&a, 0, sizeof(a));
	fl_addr_v4(&a, be, port);
	return a;
}

static struct fl_addr v6(const char *text, uint16_t port)
{
	struct fl_addr a;

	memset(&a, 0, sizeof(a));
	assert_int_equal(inet_pton(AF_INET6, text, a.word), 1);
	a.port = port;
	return a;
}

static int make(struct fl_key *key, uint64_t netns, struct fl_addr local, struct fl_addr remote)
{
	memset(key, 0xaa, sizeof(*key)); /* no byte may be left over */
	return fl_key_make(key, netns, &local, &remote);
}

static void both_ends_make_the_same_key_and_opposite_sides(void **state)
{
	struct fl_key a, b;
	int sa, sb;

	(void)state;
	sa = make(&a, 7, v4("127.0.0.1", 40000), v4("127.0.0.1", 80));
	sb = make(&b, 7, v4("127.0.0.1", 80), v4("127.0.0.1", 40000));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(sa + sb, 1);
	sa = make(&a, 7, v6("::1", 1), v6("fe80::2", 1));
	sb = make(&b, 7, v6("fe80::2", 1), v6("::1", 1));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(sa + sb, 1);
}

static void a_v4_client_and_its_mapped_server_make_the_same_key(void **state)
{
	struct fl_key a, b;
	int sa, sb;

	(void)state;
	sa = make(&a, 7, v4("10.1.2.3", 40000), v4("127.0.0.9", 80));
	sb = make(&b, 7, v6("::ffff:127.0.0.9", 80), v6("::ffff:10.1.2.3", 40000));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(sa + sb, 1);
}

static void mapped_and_compatible_addresses_differ(void **state)
{
	struct fl_key a, b;

	(void)state;
	make(&a, 7, v4("127.0.0.1", 1), v4("127.0.0.1", 2));
	make(&b, 7, v6("::127.0.0.1", 1), v6("::127.0.0.1", 2));
	assert_memory_not_equal(&a, &b, sizeof(a));
}

static void another_port_address_or_namespace_makes_another_key(void **state)
{
	struct fl_key a, b;

	(void)state;
	make(&a, 7, v4("127.0.0.1", 1), v4("127.0.0.1", 2));
	make(&b, 7, v4("127.0.0.1", 1), v4("127.0.0.1", 3));
	assert_memory_not_equal(&a, &b, sizeof(a));
	make(&b, 7, v4("127.0.0.1", 1), v4("127.0.0.2", 2));
	assert_memory_not_equal(&a, &b, sizeof(a));
	make(&b, 8, v4("127.0.0.1", 1), v4("127.0.0.1", 2));
	assert_memory_not_equal(&a, &b, sizeof(a));
	/* the ports belong to their addresses */
	make(&a, 7, v4("127.0.0.1", 1), v4("127.0.0.2", 2));
	make(&b, 7, v4("127.0.0.1", 2), v4("127.0.0.2", 1));
	assert_memory_not_equal(&a, &b, sizeof(a));
}

static void a_socket_connected_to_itself_has_no_side(void **state)
{
	struct fl_key a;

	(void)state;
	assert_int_equal(make(&a, 7, v4("127.0.0.1", 5), v4("127.0.0.1", 5)), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_make_the_same_key_and_opposite_sides),
		cmocka_unit_test(a_v4_client_and_its_mapped_server_make_the_same_key),
		cmocka_unit_test(mapped_and_compatible_addresses_differ),
		cmocka_unit_test(another_port_address_or_namespace_makes_another_key),
		cmocka_unit_test(a_socket_connected_to_itself_has_no_side),
	};

	return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
