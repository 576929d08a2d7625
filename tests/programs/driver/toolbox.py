# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a program's run() gets: a directory, ports, starting a server, running a client, waiting.

Programs run as nobody, since some servers refuse root, and in the programs' cgroup, as run() itself does.
"""
import os
import re
import shutil
import signal
import subprocess

from .world import Failure, until

NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": []}


class Toolbox:
    def __init__(self, directory, source, port):
        self.dir = directory
        self.source = source  # tests/programs, for files that belong to a program
        self.notes = []
        self._servers = []
        self._port = port

    def port(self):
        self._port += 1
        return self._port

    def say(self, note):
        """For the reader; not compared."""
        self.notes.append(note)

    def file(self, name, content):
        path = f"{self.dir}/{name}"
        with open(path, "wb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
        return path

    def start(self, *argv, port=None, stop=signal.SIGTERM):
        """A server, ended by the signal `stop` after run(). With a port: returns once somebody listens there."""
        argv = [str(arg) for arg in argv]
        log = f"{self.dir}/{os.path.basename(argv[0])}.{len(self._servers)}.log"
        with open(log, "wb") as out:
            server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.dir, **NOBODY)
        self._servers.append((server, log, stop))

        def listens():
            if server.poll() is not None:
                raise Failure(f"{argv[0]} ended with status {server.returncode}: {_tail(log)}")
            return port in _listening()

        if port:
            until(listens, f"{argv[0]} listening on port {port}")
        return server

    def run(self, *argv, status=0):
        """A client, to its end: what it wrote to stdout. Any other exit status fails."""
        argv = [str(arg) for arg in argv]
        client = subprocess.run(argv, text=True, stdin=subprocess.DEVNULL, capture_output=True, cwd=self.dir, **NOBODY)
        if client.returncode != status:
            raise Failure(f"{' '.join(argv)}: exit status {client.returncode} instead of {status}: "
                          f"{client.stdout[-1000:]}{client.stderr[-1000:]}")
        return client.stdout

    def number(self, pattern, text):
        """What a client said about itself: the group of the pattern."""
        found = re.search(pattern, text)
        if not found:
            raise Failure(f"no '{pattern}' in: {text[-1000:]}")
        return float(found.group(1))

    def popen(self, *argv, **kwargs):
        """A client to talk to."""
        return subprocess.Popen([str(arg) for arg in argv], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, cwd=self.dir, **NOBODY, **kwargs)

    def until(self, true, what):
        until(true, what)

    def find(self, *names):
        """The first of several names that a program goes by."""
        return next(path for path in map(shutil.which, names) if path)

    def stop_servers(self):
        """Ends what start() started, the last one first; their exit statuses are part of the result."""
        statuses = []
        for server, _, stop in reversed(self._servers):
            server.send_signal(stop)
            statuses.append(server.wait(20))
        self._servers = []
        return statuses

    def logs(self):
        return "".join(f"--- {os.path.basename(log)}: {_tail(log)}\n" for _, log, _ in self._servers)


def _tail(path):
    with open(path, errors="replace") as log:
        return log.read()[-1500:]


def _listening():
    ports = set()
    for table in "/proc/net/tcp", "/proc/net/tcp6":
        with open(table) as lines:
            next(lines)
            ports |= {int(f[1].rpartition(":")[2], 16) for f in map(str.split, lines) if f[3] == "0A"}
    return ports
