/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The set is treated like one of another ABI: nothing is loaded, its own sweep releases its pairs.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "drain.h"
#include "lock.h"
#include "log.h"
#include "pins.h"
#include "predecessor.h"

enum { DONE, REFUSED = 2, NOTHING };

/* for predecessor_drain(), which waits for them */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int drain(const struct config *cfg)
{
	bool drained = false;
	struct pins *pins;
	struct stat st;
	int r;

	if (stat(cfg->pin_dir, &st) < 0) {
		log_err("nothing is left in '%s': %s", cfg->pin_dir, strerror(errno));
		return errno == ENOENT ? NOTHING : REFUSED;
	}
	r = lock_pin_dir(cfg->pin_dir);
	if (r < 0)
		return REFUSED;
	r = pins_open(cfg->pin_dir, &pins);
	if (r < 0) {
		log_err("cannot open '%s': %s", cfg->pin_dir, strerror(-r));
		return REFUSED;
	}
	block_signals();
	r = predecessor_drain(cfg->pin_dir, "was left by a fastlod that no longer runs", cfg->drain_timeout, &drained);
	if (drained)
		pins_remove(pins);
	pins_free(pins);
	if (r == 0)
		log_info(drained ? "drained, nothing left behind" : "nothing is left in '%s'", cfg->pin_dir);
	return r < 0 ? REFUSED : drained ? DONE : NOTHING;
}

int drain_left(struct config *cfg)
{
	int code = drain(cfg);

	config_free(cfg);
	return code;
}
