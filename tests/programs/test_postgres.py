# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""PostgreSQL over TCP: pgbench in each query mode, the books checked afterwards; a psql session with COPY both ways,
a big result, LISTEN/NOTIFY, and a query cancelled by Ctrl-C."""
import hashlib
import re
import signal

from driver import postgres
from driver.world import Failure

NEEDS = {**postgres.NEEDS, "psql": "postgresql-client"}
EXPECT = {"observed": "spliced", "eager": "spliced"}
ROWS = 200_000


def books(psql):
    """What pgbench's transactions must leave behind: the same sum everywhere."""
    sums = psql("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), "
                "(SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history)").split("|")
    if len(set(map(int, sums))) != 1:
        raise Failure(f"the books do not agree: {sums}")


def copy(t, psql):
    rows = "".join(f"{n}\t{hashlib.md5(str(n).encode()).hexdigest()}\n" for n in range(ROWS))
    psql("CREATE TABLE rows (n int, text text)")
    path = t.file("rows", rows)
    psql(f"\\copy rows FROM '{path}'")
    psql(f"\\copy (SELECT * FROM rows ORDER BY n) TO '{t.dir}/back'")
    with open(f"{t.dir}/back") as back:
        if back.read() != rows:
            raise Failure("COPY: not what went in")


def notify(t, connect):
    listener = t.popen(*connect, "-c", "LISTEN news", "-c", "SELECT pg_sleep(0.1)", "-f", "-")
    listener.stdin.write("SELECT 'listening';\n")
    listener.stdin.flush()
    while "listening" not in (line := listener.stdout.readline()):
        if not line:
            raise Failure("psql ended while it was to listen")
    t.run(*connect, "-c", "".join(f"NOTIFY news, '{n}';" for n in range(100)))
    out, _ = listener.communicate("SELECT 1;\n")
    heard = [int(n) for n in re.findall(r'"news" with payload "(\d+)"', out)]
    if heard != list(range(100)):
        raise Failure(f"LISTEN heard {heard}\n{out}")


def cancel(t, psql, connect):
    victim = t.popen(*connect, "-c", "SELECT 'victim', pg_sleep(60)")
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%victim%' AND wait_event = 'PgSleep'"
    t.until(lambda: psql(running).strip() == "1", "the query that is to be cancelled")
    victim.send_signal(signal.SIGINT)
    out, _ = victim.communicate(timeout=20)
    if "canceling statement due to user request" not in out:
        raise Failure(f"Ctrl-C in psql: status {victim.returncode}, {out}")
    return victim.returncode


def run(t):
    port = t.port()
    where = postgres.start(t, port)
    connect = ("psql", "-X", "-q", "-A", "-t", *where, "-d", "postgres", "-v", "ON_ERROR_STOP=1")

    def psql(command):
        return t.run(*connect, "-c", command)

    for mode in "simple", "extended", "prepared":
        out = t.run("pgbench", "-n", "-c", 8, "-j", 2, "-t", 200, "-M", mode, *where, "postgres")
        if "number of failed transactions: 0 " not in out or "1600/1600" not in out:
            raise Failure(f"pgbench -M {mode}: {out}")
        t.say(f"pgbench -M {mode}: " + re.search(r"tps = (\S+)", out).group(1) + " tps")
    books(psql)
    copy(t, psql)
    big = psql("SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 50000) n")
    notify(t, connect)
    return [hashlib.sha256(big.encode()).hexdigest(), cancel(t, psql, connect)]
