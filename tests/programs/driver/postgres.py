# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A new PostgreSQL with pgbench's tables in it. Its unix socket is in the directory of its data: who names no such host gets TCP."""
import signal
import subprocess

NEEDS = {"postgres": "postgresql", "initdb": "postgresql", "pgbench": "postgresql"}


def start(t, port):
    """What tells a client where it is."""
    t.run("initdb", "-D", f"{t.dir}/data", "-U", "test", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8")
    t.start("postgres", "-D", f"{t.dir}/data", "-p", port, "-k", f"{t.dir}/data", "-c", "listen_addresses=127.0.0.1", "-F",
            port=port, stop=signal.SIGINT)
    where = ("-h", "127.0.0.1", "-p", port, "-U", "test")
    t.until(lambda: subprocess.call(list(map(str, ("pg_isready", "-q", *where, "-d", "postgres")))) == 0, "postgres")
    t.run("pgbench", "-i", "-s", 2, "-q", *where, "postgres")
    return where


def unix(t, where):
    """The same over its unix socket."""
    return ("-h", f"{t.dir}/data", *where[2:])
