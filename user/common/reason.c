/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The user side of reason.def. A number may come from a newer kernel side: never index unchecked.
 */
#include "fastlo/abi.h"
#include "reason.h"

static const char *const names[] = {
#define FL_REASON(sym, name, text) [FL_R_##sym] = name,
#include "fastlo/reason.def"
#undef FL_REASON
};

static const char *const texts[] = {
#define FL_REASON(sym, name, text) [FL_R_##sym] = text,
#include "fastlo/reason.def"
#undef FL_REASON
};

const char *reason_name(uint32_t reason)
{
	return reason < FL_R_MAX ? names[reason] : "unknown";
}

const char *reason_text(uint32_t reason)
{
	return reason < FL_R_MAX ? texts[reason] : "unknown";
}
