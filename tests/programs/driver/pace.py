# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients that end after so many requests, made to run for so many seconds."""
import time


def for_seconds(seconds, client):
    """client(n), with the n that took about so long when this was called."""
    n, took = 500, 0
    while took < seconds / 4:
        n *= 2
        started = time.monotonic()
        client(n)
        took = time.monotonic() - started
    n = int(n * seconds / took)
    return lambda: client(n)
