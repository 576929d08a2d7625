# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""redis-benchmark: GET and SET, small ones, pipelined ones and of 64 KB, from 1 and from 50 clients."""
from driver import pace, redis

NEEDS = redis.NEEDS
WORKLOADS = {"": (), ", 16 pipelined": ("-P", 16), ", 64 KB": ("-d", 65536)}


def runs(t, seconds):
    port = t.port()
    redis.start(t, port)
    for clients in 1, 50:
        for what, options in WORKLOADS.items():
            for test in "SET", "GET":

                def client(n, *where):
                    argv = ("redis-benchmark", *(where or ("-p", port)), "-q", "-t", test.lower(), "-c", clients, *options)
                    return t.number(rf"{test}: ([0-9.]+)", t.run(*argv, "-n", n))

                def over_unix(n):
                    return client(n, "-s", redis.unix(t))

                name = f"redis {test}{what}, {clients} client{'s' * (clients > 1)}"
                yield name, "1/s", pace.for_seconds(seconds, client), pace.for_seconds(seconds, over_unix)
