/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * No brackets: who prints a port behind it adds them where the text holds a colon.
 */
#include <arpa/inet.h>
#include <string.h>

#include "address.h"

void address_text(const __u8 addr[16], char ret_text[ADDRESS_TEXT_MAX])
{
	static const __u8 mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(addr, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, addr + sizeof(mapped), ret_text, ADDRESS_TEXT_MAX);
	else
		inet_ntop(AF_INET6, addr, ret_text, ADDRESS_TEXT_MAX);
}
