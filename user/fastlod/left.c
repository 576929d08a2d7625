/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Said in the words of `fastloctl list`, whose iterator this reads.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "iterate.h"
#include "left.h"
#include "log.h"
#include "programs.h"

#define END_MAX (ADDRESS_TEXT_MAX + 64)

static void end_text(const struct fl_record *rec, int i, char ret_text[END_MAX])
{
	const struct fl_side *side = &rec->data.side[i];
	__u32 pid = side->rx.tgid ? side->rx.tgid : side->tx.tgid;
	char address[ADDRESS_TEXT_MAX], owner[32] = "";
	const char *open = "", *close = "";

	address_text(rec->data.addr[i], address);
	if (strchr(address, ':')) {
		open = "[";
		close = "]";
	}
	if (pid)
		snprintf(owner, sizeof(owner), " of pid %u", pid);
	snprintf(ret_text, END_MAX, "%s%s%s:%u%s, %u bytes unread", open, address, close, rec->data.port[i], owner,
		 rec->live[i].queued);
}

static void on_record(const void *data, void *arg)
{
	const struct fl_record *rec = data;
	char end[2][END_MAX];

	(void)arg;
	if (rec->data.state != FL_RELEASING)
		return;
	for (int i = 0; i < 2; i++)
		end_text(rec, i, end[i]);
	log_warn("pair %llu is left: %s; %s", (unsigned long long)rec->data.id, end[0], end[1]);
}

void left_log(struct programs *p)
{
	int fd = programs_list_fd(p);
	int r = fd < 0 ? fd : iterate_read(fd, sizeof(struct fl_record), on_record, NULL);

	if (r < 0)
		log_warn("cannot list what is left: %s, ignoring", strerror(-r));
}
