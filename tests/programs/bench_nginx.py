# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""nginx and wrk: files of 1 KB and of 1 MB, keep-alive, 1 and 50 connections."""
from driver import nginx

NEEDS = {"nginx": "nginx", "wrk": "wrk"}


def runs(t, seconds):
    port = t.port()
    nginx.start(t, port, f"server {{ listen 127.0.0.1:{port}; root {t.dir}; keepalive_requests 1000000000; }}")
    for size, bytes_ in ("1 KB", 1 << 10), ("1 MB", 1 << 20):
        t.file(f"{bytes_}", bytes(bytes_))
        for clients in 1, 50:

            def client():
                out = t.run("wrk", "-t", 1, "-c", clients, "-d", f"{max(1, round(seconds))}s",
                            f"http://127.0.0.1:{port}/{bytes_}")
                return t.number(r"Requests/sec: *([0-9.]+)", out)

            yield f"nginx {size}, {clients} connection{'s' * (clients > 1)}", "1/s", client
