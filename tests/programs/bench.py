#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`make bench-programs`: real programs without a policy and with one, by turns: A B A B.

Each bench_NAME.py here has
    NEEDS            {command: the Debian package it is in}
    runs(t, seconds) starts the servers; yields what to measure: (row, unit, run), where run() is one run of a client,
                     about so long, and its result a number of that unit; of "us" less is better, of all else more.
                     A fourth, where the program can: the same over its AF_UNIX socket, as a measure of what there is to win.
The servers stay, each run's connections are new. One fastlod is there all the time: only the policy comes and goes.
What counts is the ratio of the two turns of a round: median over the rounds [quartiles].

    bench.py fetch [NAME...]    unpacks the packages that are not installed, into O/programs
    bench.py [NAME...]          runs them; in mount and network namespaces of its own (unshare --mount --net)

O=build  ROUNDS=5  SECONDS=1 (of a run)  ENGAGE=observed (or eager); everything goes into O/bench/programs.json, too,
and what tests/bench/plots.sh draws into programs.tsv
"""
import importlib
import json
import os
import signal
import statistics
import sys
import time

import run
from driver import packages
from driver.world import Failure, World

ROUNDS = int(os.environ.get("ROUNDS") or 5)
SECONDS = float(os.environ.get("SECONDS") or 1)
ENGAGE = os.environ.get("ENGAGE") or "observed"
TIMEOUT = 120 + ROUNDS * SECONDS * 200  # of one program: it is stuck


class Bench:
    """A program as run.run_once() takes it: its run() measures."""

    def __init__(self, world, program):
        self.world, self.program = world, program

    def run(self, t):
        rows, failure = [], None
        try:
            for name, unit, client, *over_unix in self.program.runs(t, SECONDS):
                rows.append(judged(self.row(name, unit, client, *over_unix)))
                show(rows[-1])
        except Failure as what:
            failure = f"{what}\n{t.logs()}"
        return {"rows": rows, "failure": failure}

    def row(self, name, unit, client, over_unix=None):
        client()  # not measured: it warms caches
        row = {"row": name, "unit": unit, "plain": [], "plain_cpus": [], "policy": [], "policy_cpus": [], "unix": []}
        stats = []
        for _ in range(ROUNDS):
            self.sample(client, row, "plain")
            with self.world.policy(ENGAGE):
                before = self.world.ask("stats")
                self.sample(client, row, "policy")
                stats.append(run.since(before, self.world.ask("stats")))
            if over_unix:
                row["unix"].append(over_unix())
        return {**row, **what_happened(stats)}

    def sample(self, client, row, turn):
        """What the client says, and how many CPUs the cgroup, which is server and client, kept busy meanwhile."""
        started, used = time.monotonic(), self.world.cpu_seconds()
        row[turn].append(client())
        row[f"{turn}_cpus"].append((self.world.cpu_seconds() - used) / (time.monotonic() - started))


def what_happened(stats):
    """The share that was spliced, of all rounds, and why the rest was not. Of a pair that is not admitted (yet), bytes
    are counted and messages are not."""
    total = {key: sum(s[key] for s in stats) for key in ("spliced_bytes", "tcp_bytes", "spliced_msgs")}
    reasons = {}
    for name, count in (item for s in stats for item in s["reasons"].items()):
        reasons[name] = reasons.get(name, 0) + count
    seen = total["spliced_msgs"] + sum(reasons.values())
    size = total["spliced_bytes"] + total["tcp_bytes"]
    return {"spliced_bytes": total["spliced_bytes"] / size if size else 0, "reasons": reasons,
            "spliced_messages": total["spliced_msgs"] / seen if seen else 0}


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3


def judged(row):
    """The row with its ratios; cpu: of the CPU time for one answer."""
    less = row["unit"] == "us"
    ratios = [b / a for a, b in zip(row["plain"], row["policy"])]
    cpus = [b / a for a, b in zip(row["plain_cpus"], row["policy_cpus"])]
    row["better"] = "less" if less else "more"
    row["ratio_low"], row["ratio"], row["ratio_high"] = quartiles(ratios)
    row["cpu_low"], row["cpu"], row["cpu_high"] = quartiles([c * r if less else c / r for c, r in zip(cpus, ratios)])
    row["unix_ratio"] = statistics.median(b / a for a, b in zip(row["plain"], row["unix"])) if row["unix"] else None
    return row


# as Markdown, for docs/PERFORMANCE.md
COLUMNS = "| {:35} | {:>9} | {:>9} | {:6} | {:16} | {:16} | {:>7} | {:>5} | {:>8} | {} |"
HEAD = COLUMNS.format("", "plain", "policy", "", "ratio", "CPU per answer", "AF_UNIX", "bytes", "messages", "most of the rest")
RULE = COLUMNS.format(*["---"] * 10)


def span(row, what):
    return f"{row[what]:.2f} [{row[f'{what}_low']:.2f}-{row[f'{what}_high']:.2f}]"


def show(row):
    reason = max(row["reasons"], key=row["reasons"].get, default=None)
    plain, policy = (f"{statistics.median(row[turn]):.4g}" for turn in ("plain", "policy"))
    print(COLUMNS.format(row["row"], plain, policy, row["unit"], span(row, "ratio"), span(row, "cpu"),
                         f"{row['unix_ratio']:.2f}" if row["unix"] else "", f"{100 * row['spliced_bytes']:.0f} %", f"{100 * row['spliced_messages']:.0f} %",
                         f"{reason} {row['reasons'][reason]}" if reason else ""), flush=True)


def measure(world, name, program):
    """Its rows, and whether all went well; says what did not."""
    absent = packages.missing(program.NEEDS, run.FETCHED)
    if absent:
        print(f"SKIP {name}:", ", ".join(f"no {c} (package {p} cannot be had)" for c, p in absent.items()), flush=True)
        return [], True
    try:
        result = run.run_once(world, Bench(world, program), TIMEOUT)["result"]
    except Failure as what:
        result = {"rows": [], "failure": what}
    if result["failure"]:
        print(f"FAIL {name}: {result['failure']}", flush=True)
    return result["rows"], not result["failure"]


def main(names):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    fetching = names[:1] == ["fetch"]
    names = names[fetching:]
    known = sorted(path.stem.removeprefix("bench_") for path in run.SOURCE.glob("bench_*.py"))
    for name in names:
        if name not in known:
            sys.exit(f"bench.py: no program '{name}' (there are: {', '.join(known)})")
    programs = {name: importlib.import_module(f"bench_{name}") for name in names or known}
    os.makedirs(run.FETCHED, exist_ok=True)
    if fetching:
        return run.fetch(programs.values())
    rows, good = [], True
    with World(run.BUILD) as world:
        packages.overlay(world.show(run.FETCHED, "root"))
        world.show(str(run.SOURCE), "src")
        with world.fastlod(None):
            print(HEAD, RULE, sep="\n")
            for name, program in programs.items():
                more, well = measure(world, name, program)
                rows += more
                good = good and well
    os.makedirs(f"{run.BUILD}/bench", exist_ok=True)
    with open(f"{run.BUILD}/bench/programs.json", "w") as out:
        json.dump({"engage": ENGAGE, "rounds": ROUNDS, "seconds": SECONDS, "rows": rows}, out, indent=1)
    with open(f"{run.BUILD}/bench/programs.tsv", "w") as out:
        for row in rows:
            speeds = [row["ratio_low"], row["ratio"], row["ratio_high"]]
            if row["better"] == "less":
                speeds = [1 / speed for speed in reversed(speeds)]
            print(row["row"], *speeds, sep="\t", file=out)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
