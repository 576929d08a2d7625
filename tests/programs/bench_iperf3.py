# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""iperf3, one stream."""
import json

NEEDS = {"iperf3": "iperf3"}


def runs(t, seconds):
    port = t.port()
    t.start("iperf3", "-s", "-B", "127.0.0.1", "-p", port, port=port)

    def client():
        report = json.loads(t.run("iperf3", "-c", "127.0.0.1", "-p", port, "-J", "-t", max(1, round(seconds))))
        return report["end"]["sum_received"]["bits_per_second"] / 1e9

    yield "iperf3, 1 stream", "Gbit/s", client
