# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs that are not installed here: Debian's packages, unpacked into a directory of the build.

Nothing is installed: no service starts, no user is made, and `make clean` takes it all away.
"""
import glob
import os
import shutil
import subprocess

APT = ("-q", "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1")


def environment(root):
    """What finds the programs unpacked there, and servers that distributions keep out of PATH."""
    path = glob.glob(f"{root}/usr/lib/postgresql/*/bin") + [f"{root}/usr/bin", f"{root}/usr/sbin"]
    path += glob.glob("/usr/lib/postgresql/*/bin") + [os.environ["PATH"], "/usr/sbin", "/sbin"]
    libraries = glob.glob(f"{root}/usr/lib/*-linux-gnu*") + glob.glob(f"{root}/lib/*-linux-gnu*")
    return {"PATH": ":".join(path), "LD_LIBRARY_PATH": ":".join(libraries)}


def overlay(root):
    """For programs that look for their files below /usr (Debian's Node.js). In the caller's own mount namespace."""
    if os.path.isdir(f"{root}/usr"):
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={root}/usr:/usr", "/usr"])


def missing(needs, root):
    """Of {command: package} what is not here."""
    path = environment(root)["PATH"]
    return {command: package for command, package in needs.items() if not shutil.which(command, path=path)}


def _apt(*args):
    return subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _known(packages):
    return [p for p in packages if "Candidate: (none)" not in (text := _apt("apt-cache", "policy", p).stdout) and text]


def fetch(packages, root):
    """Unpacks them, with whatever they need and this host lacks, into root."""
    if not shutil.which("apt-get"):
        print("no apt-get here: install by hand what is missing:", *packages)
        return
    if len(_known(packages)) < len(packages):
        _apt("apt-get", "update", *APT)
    packages = _known(packages)
    if not packages:
        return
    print("fetching", *packages, flush=True)
    debs = os.path.abspath(f"{root}/.deb")
    os.makedirs(f"{debs}/partial", exist_ok=True)
    got = _apt("apt-get", "install", *APT, "-y", "--download-only", "--no-install-recommends", "--no-upgrade",
               "-o", f"Dir::Cache::archives={debs}", *packages)
    if got.returncode:
        print(f"cannot fetch them: {got.stdout[-1000:]}")
    for deb in glob.glob(f"{debs}/*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
        os.remove(deb)
