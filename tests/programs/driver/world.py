# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Where the programs run: a cgroup of their own, and beside it a fastlod that serves only that cgroup.

The caller has private mount and network namespaces (see the Makefile), so neither pins nor ports meet anybody else's;
everything else is below one temporary directory.
"""
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

PATIENCE = 20  # seconds that anything which must happen may take


class Failure(Exception):
    """What a program or fastlo did wrong, in a sentence."""


def until(true, what, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not true():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {patience} s")
        time.sleep(0.01)


def cgroup2_mount():
    with open("/proc/mounts") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[2] == "cgroup2":
                return fields[1]
    raise Failure("no cgroup2 is mounted")


class World:
    def __init__(self, bin_dir):
        self.bin = os.path.abspath(bin_dir)
        self.cgroup = f"{cgroup2_mount()}/fastlo-programs-{os.getpid()}"
        self.app = f"{self.cgroup}/app"
        self.dir = tempfile.mkdtemp(prefix="fastlo-programs-")
        os.chmod(self.dir, 0o755)
        self.bpffs, self.pins, self.log = (f"{self.dir}/{name}" for name in ("bpf", "bpf/fastlo", "fastlod.log"))
        self.daemon = None
        self.port = 10000  # below what connect() takes; the network namespace is ours alone

    def __enter__(self):
        os.mkdir(self.cgroup)
        os.mkdir(self.app)
        os.mkdir(self.bpffs)
        subprocess.run(["mount", "-t", "bpf", "bpf", self.bpffs], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, *_):
        self.kill_programs()
        os.rmdir(self.app)
        os.rmdir(self.cgroup)
        subprocess.run(["umount", "-l", self.bpffs])
        for name in ("src", "root"):  # what show() bound
            subprocess.run(["umount", "-l", f"{self.dir}/{name}"], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir)

    def show(self, directory, name):
        """The directory under a path that everybody may walk: the programs do not run as root."""
        os.mkdir(f"{self.dir}/{name}")
        subprocess.run(["mount", "--bind", directory, f"{self.dir}/{name}"], check=True)
        return f"{self.dir}/{name}"

    def join(self):
        with open(f"{self.app}/cgroup.procs", "w") as procs:
            procs.write("0")

    def processes(self):
        """The command lines of what runs in the cgroup."""
        lines = []
        with open(f"{self.app}/cgroup.procs") as procs:
            for pid in procs.read().split():
                with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as words:
                    lines.append(f"{pid}: {words.read().replace(chr(0), ' ')}")
        return lines

    def cpu_seconds(self):
        """What the programs have used so far."""
        with open(f"{self.app}/cpu.stat") as stat:
            return int(next(line for line in stat if line.startswith("usage_usec")).split()[1]) / 1e6

    def kill_programs(self):
        """Whatever is left in the cgroup; what that was."""
        left = self.processes()
        if left:
            with open(f"{self.app}/cgroup.kill", "w") as kill:
                kill.write("1")
            until(lambda: not self.processes(), "killing what is left of the programs")
        return left

    def ctl(self, *args):
        run = subprocess.run([f"{self.bin}/fastloctl", *args], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env={**os.environ, "FASTLO_RUN_DIR": f"{self.dir}/run"})
        return run.returncode, run.stdout

    def ask(self, verb):
        code, text = self.ctl("-j", verb)
        if code:
            raise Failure(f"fastloctl {verb}: exit status {code}: {text.strip()}")
        return json.loads(text)

    def _app_as_policies_name_it(self):
        return self.app[len(os.path.dirname(self.cgroup)):]

    @contextlib.contextmanager
    def policy(self, engage):
        """For the programs' cgroup, while the body runs."""
        selector = ("--cgroup", self._app_as_policies_name_it())
        code, text = self.ctl("policy", "add", "by-turns", *selector, "--engage", engage)
        if code:
            raise Failure(f"fastloctl policy add: exit status {code}: {text.strip()}")
        try:
            yield
        finally:
            self.ctl("policy", "remove", "by-turns")

    @contextlib.contextmanager
    def fastlod(self, engage):
        """Runs one, with a policy for the programs' cgroup unless engage is None. Its own end is part of the test."""
        policy = f"[policy programs]\ncgroup = {self._app_as_policies_name_it()}\nengage = {engage}\n" if engage else ""
        with open(f"{self.dir}/fastlo.conf", "w") as config:
            config.write(f"[fastlo]\npin_dir = {self.pins}\nrun_dir = {self.dir}/run\ncgroup = {self.cgroup}\n"
                         f"{policy}")
        with open(self.log, "w") as log:
            self.daemon = subprocess.Popen([f"{self.bin}/fastlod", "-c", config.name], stdout=log, stderr=log)
        try:
            until(self._ready, "fastlod's start")
            yield
        finally:
            complaint = self._end()
        if complaint:
            raise Failure(complaint)

    def _end(self):
        """No fastlod and no pins, however it went; what was wrong with it, or None."""
        self.daemon.terminate()
        try:
            status = self.daemon.wait(PATIENCE)
            complaint = f"fastlod ended with status {status}" if status else None
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            complaint = f"fastlod did not end within {PATIENCE} s"
        self.daemon = None
        if os.path.exists(self.pins):
            complaint = complaint or "fastlod left pins behind"
            shutil.rmtree(self.pins)
        return complaint

    def said(self):
        """What the last fastlod logged."""
        with open(self.log) as log:
            return log.read()

    def _ready(self):
        if self.daemon.poll() is not None:
            raise Failure(f"fastlod did not start, status {self.daemon.returncode}")
        return self.ctl("-j", "status")[0] == 0
