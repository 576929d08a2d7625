# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""redis-benchmark: GET and SET, small ones, pipelined ones and of 64 KB, from 1 and from 50 clients."""
import re

from driver import pace, redis

NEEDS = redis.NEEDS
WORKLOADS = {"": (), ", 16 pipelined": ("-P", 16), ", 64 KB": ("-d", 65536)}


def runs(t, seconds):
    port = t.port()
    redis.start(t, port)
    for clients in 1, 50:
        for what, options in WORKLOADS.items():
            for test in "SET", "GET":
                def client(n):
                    out = t.run("redis-benchmark", "-p", port, "-t", test.lower(), "-c", clients, "-q", "-n", n, *options)
                    return float(re.search(rf"{test}: ([0-9.]+)", out).group(1))

                yield f"redis {test}{what}, {clients} client{'s' * (clients > 1)}", "1/s", pace.for_seconds(seconds, client)
