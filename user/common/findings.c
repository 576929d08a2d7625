/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "findings.h"

static const char *const names[FINDING_VERDICTS] = { "good", "differs", "bad", "untried" };

const char *finding_verdict_name(enum verdict verdict)
{
	return names[verdict];
}

void findings_say(struct findings *f, const char *name, enum verdict verdict, const char *fmt, ...)
{
	struct finding *x = &f->list[f->n];
	va_list ap;

	if (f->n == FINDINGS_MAX)
		return;
	f->n++;
	snprintf(x->name, sizeof(x->name), "%s", name);
	x->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(x->text, sizeof(x->text), fmt, ap);
	va_end(ap);
}

const struct finding *findings_get(const struct findings *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->list[i].name, name) == 0)
			return &f->list[i];
	return NULL;
}

struct json_object *findings_to_json(const struct findings *f)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->list[i];
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "name", json_object_new_string(x->name));
		json_object_object_add(o, "verdict", json_object_new_string(names[x->verdict]));
		json_object_object_add(o, "text", json_object_new_string(x->text));
		json_object_array_add(array, o);
	}
	return array;
}

void findings_from_json(struct findings *f, struct json_object *array)
{
	size_t n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(array, i), *name, *verdict, *text;
		int v = 0;

		if (!json_object_object_get_ex(o, "name", &name) || !json_object_object_get_ex(o, "verdict", &verdict) ||
		    !json_object_object_get_ex(o, "text", &text))
			continue;
		while (v < FINDING_VERDICTS && strcmp(names[v], json_object_get_string(verdict)) != 0)
			v++;
		if (v < FINDING_VERDICTS)
			findings_say(f, json_object_get_string(name), v, "%s", json_object_get_string(text));
	}
}
