# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""iperf3, one stream and several, both directions, small messages."""
import json

from driver.world import Failure

NEEDS = {"iperf3": "iperf3"}
EXPECT = {"observed": "blocking_read"}  # it reads without O_NONBLOCK
BYTES = 400_000_000


def run(t):
    port = t.port()
    t.start("iperf3", "-s", "-B", "127.0.0.1", "-p", port, port=port)
    for options in (), ("-R",), ("-P", 4), ("-l", 1000, "-n", BYTES // 20):
        report = json.loads(t.run("iperf3", "-c", "127.0.0.1", "-p", port, "-J", "-n", BYTES, *options))
        sent, received = report["end"]["sum_sent"], report["end"]["sum_received"]
        wanted = BYTES // 20 if "-n" in options else BYTES
        # what is under way when the sender has sent enough does not count as received
        if "error" in report or sent["bytes"] < wanted or not wanted / 2 < received["bytes"] <= sent["bytes"]:
            raise Failure(f"iperf3 {options}: sent {sent['bytes']}, received {received['bytes']} of {wanted}")
        t.say(f"iperf3 {' '.join(map(str, options))}: {received['bits_per_second'] / 1e9:.1f} Gbit/s")
