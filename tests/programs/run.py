#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`make programs`: real programs over fastlo, compared with the same run without it.

Each test_NAME.py here has
    NEEDS   {command: the Debian package it is in}
    EXPECT  {"observed" or "eager": "spliced", or the reason for which nothing may be}
    run(t)  starts servers, runs clients, verifies what they read; its result must be the same in every run
            (t: driver/toolbox.py). It raises if something is wrong.
It runs plain, then once under fastlod for each entry of EXPECT. What fails plain too is skipped: it is not fastlo's.

    run.py fetch [NAME...]    unpacks the packages that are not installed, into O/programs
    run.py [NAME...]          runs them; in mount and network namespaces of its own (unshare --mount --net)

O=build  STRICT=1 (a skip fails)  TIMEOUT=120 (seconds per run)
"""
import importlib
import json
import os
import pathlib
import shutil
import signal
import sys
import time
import traceback

from driver import packages
from driver.toolbox import Toolbox
from driver.world import Failure, World

SOURCE = pathlib.Path(__file__).resolve().parent
BUILD = os.environ.get("O", "build")
TIMEOUT = int(os.environ.get("TIMEOUT", "120"))
FETCHED = f"{BUILD}/programs"  # what packages.py unpacks


def child(world, program, directory, out):
    """In a process of its own, in the cgroup: run() and what came of it, as JSON."""
    answer = {}
    tools = Toolbox(directory, f"{world.dir}/src", world.port)
    try:
        os.chmod(directory, 0o777)
        os.umask(0)  # what run() writes as root is for programs that run as nobody
        os.chdir(directory)
        world.join()
        os.environ.update(packages.environment(f"{world.dir}/root"), HOME=directory, LC_ALL="C.UTF-8")
        answer["result"] = program.run(tools)
        answer["ends"] = tools.stop_servers()
    except Failure as failure:
        answer = {"failure": f"{failure}\n{tools.logs()}"}
    except Exception:
        answer = {"failure": f"{traceback.format_exc()}\n{tools.logs()}"}
    answer["notes"] = tools.notes
    out.write(json.dumps(answer))


def stalls():
    """Retransmission timeouts and window probes in this network namespace, which is ours: each cost 200 ms or more."""
    with open("/proc/net/netstat") as table:
        names, values = (line.split() for line in table if line.startswith("TcpExt:"))
    return sum(int(n) for name, n in zip(names, values) if name in ("TCPTimeouts", "TCPWinProbe"))


def run_once(world, program, timeout=TIMEOUT):
    """The answer of child(); Failure if it has none, or leaves processes behind."""
    directory = f"{world.dir}/run-of-it"
    os.mkdir(directory)
    path = f"{world.dir}/answer"
    before = stalls()
    world.port += 10  # the last run's may be in TIME_WAIT
    try:
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                with open(path, "w") as out:
                    child(world, program, directory, out)
            finally:
                os._exit(0)
        deadline = time.monotonic() + timeout
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                stuck = [world.ctl("list")[1] if world.daemon else "", *world.kill_programs()]
                os.waitpid(pid, 0)
                raise Failure("\n".join([f"still running after {timeout} s", *stuck]))
            time.sleep(0.02)
        left = world.kill_programs()
        with open(path) as text:
            answer = json.loads(text.read() or '{"failure": "it died"}')
        if "failure" in answer:
            raise Failure(answer["failure"])
        if left:
            raise Failure("\n".join(["left after the end:", *left]))
        answer["notes"].append(f"TCP timeouts and window probes: {stalls() - before}")
        return answer
    finally:
        shutil.rmtree(directory)


def human(count):
    for unit in "B", "kB", "MB", "GB", "TB":
        if count < 1000 or unit == "TB":
            return f"{count:.3g} {unit}"
        count /= 1000


def since(before, now):
    """What `fastloctl stats` counted in between: fastlod's own test of the kernel counts, too."""
    reasons = {name: count - before["reasons"].get(name, 0) for name, count in now["reasons"].items()}
    counts = {key: now[key] - before[key] for key in ("spliced_bytes", "spliced_msgs", "tcp_bytes", "admitted")}
    return {**counts, "reasons": {name: count for name, count in reasons.items() if count}}


def describe(stats):
    total = stats["spliced_bytes"] + stats["tcp_bytes"]
    share = 100 * stats["spliced_bytes"] / total if total else 0
    reasons = ", ".join(f"{name} {count}" for name, count in stats["reasons"].items())
    return f"{share:.1f} % of {human(total)} spliced, {stats['admitted']} ends admitted; reasons: {reasons or 'none'}"


def judge(expected, stats):
    """Did the bytes go the way that they should?"""
    if expected == "spliced":
        if not stats["spliced_bytes"]:
            raise Failure("nothing at all was spliced")
    elif stats["spliced_bytes"]:
        raise Failure(f"{stats['spliced_bytes']} bytes were spliced, expected none ({expected})")
    elif not stats["reasons"].get(expected):
        raise Failure(f"nothing was spliced, but not for the reason {expected}")


class Score:
    def __init__(self):
        self.passed, self.failed, self.skipped = [], [], []

    def note(self, where, name, text):
        where.append(name)
        print("\n    ".join(text.strip().splitlines()), flush=True)

    def end(self):
        for name in self.failed:
            print("failed:", name)
        print(f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped")
        strict = os.environ.get("STRICT") == "1"
        return 1 if self.failed or (strict and self.skipped) else 0


def try_mode(world, program, mode, plain):
    with world.fastlod(mode):
        if mode == "observed" and world.ask("status")["observer"] == "none":
            return "skipped", "no way to observe reads on this kernel"
        before = world.ask("stats")
        try:
            answer = run_once(world, program)
        except Failure as failure:
            raise Failure(f"{failure}\n{describe(since(before, world.ask('stats')))}") from failure
        stats = since(before, world.ask("stats"))
    for key in "result", "ends":
        if answer[key] != plain[key]:
            raise Failure(f"{key}: {answer[key]}, without fastlo {plain[key]}\n{describe(stats)}")
    judge(program.EXPECT[mode], stats)
    text = describe(stats)
    if not stats["spliced_bytes"]:
        text = f"NOTHING SPLICED, as expected: {program.EXPECT[mode]}; {text}"
    return "passed", "\n".join([text, *answer["notes"]])


def test(world, name, program, score):
    absent = packages.missing(program.NEEDS, FETCHED)
    if absent:
        reason = ", ".join(f"no {c} (package {p} cannot be had)" for c, p in absent.items())
        for mode in program.EXPECT:
            score.note(score.skipped, name, f"SKIP {name} {mode}: {reason}")
        return
    try:
        plain = run_once(world, program)
        print("\n    ".join([f"     {name} plain", *plain["notes"]]), flush=True)
    except Failure as failure:
        for mode in program.EXPECT:
            score.note(score.skipped, name, f"SKIP {name} {mode}: fails without fastlo too: {failure}")
        return
    for mode in program.EXPECT:
        label = f"{name} {mode}"
        try:
            how, text = try_mode(world, program, mode, plain)
            word = "ok  " if how == "passed" else "SKIP"
            score.note(getattr(score, how), label, f"{word} {label}: {text}")
        except Failure as failure:
            score.note(score.failed, label, f"FAIL {label}: {failure}\n{world.said()}")


def fetch(programs):
    needs = {command: package for program in programs for command, package in program.NEEDS.items()}
    absent = packages.missing(needs, FETCHED)
    if absent:
        packages.fetch(sorted(set(absent.values())), FETCHED)


def main(names):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    fetching = names[:1] == ["fetch"]
    names = names[fetching:]
    known = sorted(path.stem.removeprefix("test_") for path in SOURCE.glob("test_*.py"))
    for name in names:
        if name not in known:
            sys.exit(f"run.py: no program '{name}' (there are: {', '.join(known)})")
    programs = {name: importlib.import_module(f"test_{name}") for name in names or known}
    os.makedirs(FETCHED, exist_ok=True)
    if fetching:
        return fetch(programs.values())
    score = Score()
    with World(BUILD) as world:
        world.show(str(SOURCE), "src")
        packages.overlay(world.show(FETCHED, "root"))
        for name, program in programs.items():
            test(world, name, program, score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
