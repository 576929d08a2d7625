# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""nginx + wrk: keep-alive connections, every body compared byte for byte in wrk."""
import random
import re

from driver import nginx
from driver.world import Failure

NEEDS = {"nginx": "nginx", "wrk": "wrk"}
EXPECT = {"observed": "edge_triggered"}

VERIFY = """
local file = io.open("%s", "rb")
local body = file:read("*a")
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() good, bad = 0, 0 end
function response(status, headers, got)
    if status == 200 and got == body then good = good + 1 else bad = bad + 1 end
end
function done(summary)
    local good, bad = 0, 0
    for _, thread in ipairs(threads) do
        good = good + thread:get("good")
        bad = bad + thread:get("bad")
    end
    local e = summary.errors
    print(string.format("good %%d bad %%d errors %%d", good, bad, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def run(t):
    port = t.port()
    nginx.start(t, port, f"server {{ listen 127.0.0.1:{port}; root {t.dir}; }}")
    for size in 200, 10_000, 200_000:
        body = t.file(str(size), random.Random(size).randbytes(size))
        script = t.file(f"{size}.lua", VERIFY % body)
        out = t.run("wrk", "-t", 2, "-c", 50, "-d", "2s", "-s", script, f"http://127.0.0.1:{port}/{size}")
        good, bad, errors = map(int, re.search(r"good (\d+) bad (\d+) errors (\d+)", out).groups())
        if not good or bad or errors:
            raise Failure(f"wrk, bodies of {size} bytes: {good} right, {bad} wrong, {errors} errors\n{out}")
        t.say(f"wrk, bodies of {size} bytes: {good} right, {re.search('Requests/sec: *(.*)', out).group(1)}/s")
