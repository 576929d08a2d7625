# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A redis that keeps nothing.

redis-tools has the server too, as redis-check-rdb: the package redis-server would start a service if it was installed.
"""
import os

NEEDS = {"redis-benchmark": "redis-tools", "redis-check-rdb": "redis-tools"}


def start(t, port):
    os.symlink(t.find("redis-check-rdb"), f"{t.dir}/redis-server")
    t.start(f"{t.dir}/redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--unixsocket", unix(t), port=port)


def unix(t):
    """Its other socket."""
    return f"{t.dir}/redis.sock"
