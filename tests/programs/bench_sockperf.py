# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""sockperf, ping-pong, non-blocking and poll(2) at both ends: the median of the time each way."""

NEEDS = {"sockperf": "sockperf"}


def runs(t, seconds):
    port = t.port()
    # alone, --nonblocked spins: two spinners on one CPU make no progress for milliseconds
    where = ("-f", t.file("feed", f"T:127.0.0.1:{port}\n"), "-F", "poll", "--nonblocked")
    t.start("sockperf", "server", *where, port=port)
    for size in 64, 4096, 60000:

        def client():
            out = t.run("sockperf", "ping-pong", *where, "-m", size, "-t", max(1, round(seconds)))
            return t.number(r"percentile 50.000 = *([0-9.]+)", out)

        yield f"sockperf {size} B", "us", client
