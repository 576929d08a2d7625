# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Node.js, HTTP server and client: kept-alive connections, GET and POST, every body compared."""
NEEDS = {"node": "nodejs"}
EXPECT = {"observed": "spliced", "eager": "spliced"}


def run(t):
    port = t.port()
    t.start("node", f"{t.source}/node_http.js", "server", port, port=port)
    return t.run("node", f"{t.source}/node_http.js", "client", port)
