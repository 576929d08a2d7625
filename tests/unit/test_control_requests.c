/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Control requests and their replies, over the real server and client.
 */
#include "control_server.h"

static void replies(struct json_object *reply, const char *expected)
{
	assert_string_equal(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(reply);
}

static void a_policy_goes_round(void **state)
{
	(void)state;
	replies(call("{\"verb\":\"policy_add\",\"policy\":{\"name\":\"a\",\"port\":80,\"origin\":\"run\"}}"), "{\"ok\":true}");
	replies(call("{\"verb\":\"policy_list\"}"), "{\"ok\":true,\"policies\":[\"a:80:run\"]}");
}

static void records_come_as_a_descriptor(void **state)
{
	struct json_object *request = json_tokener_parse("{\"verb\":\"records\"}"), *reply = NULL;
	char text[16] = "";
	int fd = -1;

	(void)state;
	assert_int_equal(control_call_fd(run_dir, request, &reply, &fd), 0);
	replies(reply, "{\"ok\":true}");
	assert_int_equal(read(fd, text, sizeof(text)), 7);
	assert_string_equal(text, "records");
	assert_int_equal(read(fd, text, sizeof(text)), 0); /* the server keeps none of it */
	close(fd);
	/* nobody wants it: no descriptor stays behind */
	assert_int_equal(control_call(run_dir, request, &reply), 0);
	replies(reply, "{\"ok\":true}");
	json_object_put(request);
	replies(call("{\"verb\":\"counters\"}"), "{\"ok\":true,\"totals\":7}");
}

static void refusals_carry_a_sentence_and_a_code(void **state)
{
	(void)state;
	replies(call("{\"verb\":\"policy_add\",\"policy\":{\"name\":\"full\",\"port\":80}}"),
		"{\"ok\":false,\"error\":\"cannot add policy 'full': no room\",\"code\":2}");
	replies(call("{\"verb\":\"policy_remove\",\"name\":\"b\"}"),
		"{\"ok\":false,\"error\":\"cannot remove policy 'b': there is none of that name\",\"code\":2}");
	replies(call("{\"verb\":\"resume\"}"), "{\"ok\":false,\"error\":\"Device or resource busy\",\"code\":2}");
	replies(call("{\"verb\":\"fly\"}"), "{\"ok\":false,\"error\":\"'fly' is not a verb\",\"code\":2}");
	replies(call("{\"verb\":\"policy_add\",\"policy\":{\"name\":\"a\",\"port\":0}}"),
		"{\"ok\":false,\"error\":\"port: '0' is not a number from 1 to 65535\",\"code\":2}");
	replies(call("{\"verb\":\"policy_add\",\"policy\":{\"name\":\"a\",\"port\":1,\"origin\":\"config\"}}"),
		"{\"ok\":false,\"error\":\"origin: 'config' is not 'control' or 'run'\",\"code\":2}");
}

static void malformed_requests_are_answered(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "5", "null", "{}", "{\"verb\":5}", "\x80\xff", "{\"verb\":\"status\"",
					     "[[[[[[[[[[[[[[[[[[[[" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int fd;
		struct json_object *reply = control_answer(&ops, NULL, texts[i], true, &fd);

		assert_non_null(reply);
		assert_int_equal(fd, -1);
		assert_false(json_object_get_boolean(json_object_object_get(reply, "ok")));
		assert_true(strlen(json_object_get_string(json_object_object_get(reply, "error"))) > 0);
		json_object_put(reply);
	}
}

static void changes_need_privilege_questions_do_not(void **state)
{
	static const char *const changes[] = { "policy_add", "policy_remove", "drain", "resume" };
	static const char *const words[] = { "policy add", "policy remove", "drain", "resume" };
	char text[64], expected[128];
	struct json_object *reply;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		snprintf(text, sizeof(text), "{\"verb\":\"%s\"}", changes[i]);
		snprintf(expected, sizeof(expected),
			 "{\"ok\":false,\"error\":\"%s: permission denied: needs root\",\"code\":2}", words[i]);
		replies(control_answer(&ops, NULL, text, false, &fd), expected);
	}
	reply = control_answer(&ops, NULL, "{\"verb\":\"status\"}", false, &fd);
	assert_true(json_object_get_boolean(json_object_object_get(reply, "ok")));
	json_object_put(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_goes_round),
		cmocka_unit_test(a_policy_goes_round),
		cmocka_unit_test(records_come_as_a_descriptor),
		cmocka_unit_test(refusals_carry_a_sentence_and_a_code),
		cmocka_unit_test(malformed_requests_are_answered),
		cmocka_unit_test(changes_need_privilege_questions_do_not),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
