# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""sockperf over TCP, non-blocking and poll(2) at both ends: ping-pong of several sizes, with its own check of the data."""
import re

from driver.world import Failure

NEEDS = {"sockperf": "sockperf"}
EXPECT = {"observed": "spliced", "eager": "spliced"}
PERFECT = "dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0"


def run(t):
    port = t.port()
    # alone, --nonblocked spins: two spinners on one CPU make no progress for milliseconds
    where = ("-f", t.file("feed", f"T:127.0.0.1:{port}\n"), "-F", "poll", "--nonblocked")
    t.start("sockperf", "server", *where, port=port)
    for size in 14, 1000, 60000:
        out = t.run("sockperf", "ping-pong", *where, "-m", size, "-t", 1, "--data-integrity")
        sent, received = map(int, re.search(r"Valid Duration.*SentMessages=(\d+); ReceivedMessages=(\d+)", out).groups())
        if not received or sent != received or PERFECT not in out:
            raise Failure(f"sockperf, {size} bytes: {out}")
        t.say(f"{size} bytes: median {re.search(r'percentile 50.000 = *([0-9.]+)', out).group(1)} us each way")
