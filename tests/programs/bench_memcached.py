# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""memcached and memaslap (Debian calls it memcaslap): nine gets to a set, values of 1 KB, 1 and 50 connections."""

NEEDS = {"memcached": "memcached", "memcaslap": "libmemcached-tools"}
# sizes from and to and their share, then set and get and theirs
LOAD = "key\n64 64 1\nvalue\n1024 1024 1\ncmd\n0 0.1\n1 0.9\n"


def runs(t, seconds):
    port = t.port()
    t.start("memcached", "-l", "127.0.0.1", "-p", port, "-U", 0, "-m", 512, port=port)
    load = t.file("memaslap.cnf", LOAD)
    for clients in 1, 50:

        def client():
            out = t.run("memcaslap", "-s", f"127.0.0.1:{port}", "-T", 1, "-c", clients, "-F", load,
                        "-t", f"{max(1, round(seconds))}s")
            return t.number(r"TPS: (\d+)", out)

        yield f"memcached, {clients} connection{'s' * (clients > 1)}", "1/s", client
