# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""pgbench, select-only, simple and prepared, 1 and 8 clients."""
from driver import postgres

NEEDS = postgres.NEEDS


def runs(t, seconds):
    where = postgres.start(t, t.port())
    for mode in "simple", "prepared":
        for clients in 1, 8:

            def client(at=where):
                out = t.run("pgbench", "-n", "-S", "-M", mode, "-c", clients, "-j", min(clients, 2),
                            "-T", max(1, round(seconds)), *at, "postgres")
                return t.number(r"tps = ([0-9.]+)", out)

            def over_unix():
                return client(postgres.unix(t, where))

            yield f"pgbench -S, {mode}, {clients} client{'s' * (clients > 1)}", "1/s", client, over_unix
