# SPDX-License-Identifier: MPL-2.0
"""A Debian system in a directory, with libzmq and programs that use it.

mmdebstrap makes it from where apt gets its packages here, once; it is kept as an archive in
build/debian, and unpacked for each test run. Programs run in it under chroot, which takes root.
"""

import hashlib
import os
import shutil
from pathlib import Path

from checks import ROOT, output, run

WORK = ROOT / "build/debian"
ARCHIVE = WORK / "system.tar"
# Who needs libzmq5 and libzmq3-dev.
PROGRAMS = ["condure", "python3-zmq", "cppzmq-dev"]
LIBZMQ = ["libzmq5", "libzmq3-dev"]
# apt inside finds libzmq's packages again here.
DOWNLOADS = "/var/cache/libzmq"
OPTIONS = ["--variant=apt", f"--include={','.join([*PROGRAMS, *LIBZMQ])}"]
OPTIONS += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale")]
OPTIONS += [
    f"--customize-hook=chroot $1 sh -c 'mkdir {DOWNLOADS} && cd {DOWNLOADS} && "
    f"apt-get download {' '.join(LIBZMQ)}'"
]
# What a program may expect to be there; seen by its own processes only, and gone with them.
NAMESPACE = ["unshare", "--mount", "sh", "-c"]
CHROOT = 'mount --bind /proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$0" "$@"'


class Unavailable(Exception):
    """What is needed cannot be had here; says what."""


def sources():
    """(code name, lines of a sources.list) of the Debian that apt knows here."""
    fields = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]
    lines, names = [], []
    for line in output(command).splitlines():
        origin, name, place, release, component = line.split("|")
        if origin == "Debian":
            names.append(name)
            lines.append(f"deb {place} {release} {component}")
    if not lines:
        raise Unavailable("apt has no package lists of Debian (apt-get update)")
    # bookworm, not bookworm-updates
    return min(names, key=len), lines


def prepare():
    """The archive; raises Unavailable, or RuntimeError with the output of what went wrong."""
    if os.geteuid() != 0:
        raise Unavailable("takes root")
    if not shutil.which("mmdebstrap"):
        raise Unavailable("mmdebstrap is not installed")
    good, said = run([*NAMESPACE, "mount --bind / /"])
    if not good:
        raise Unavailable(f"no mount of its own: {said.strip()}")
    name, lines = sources()
    key = hashlib.sha256("\n".join([name, *lines, *OPTIONS]).encode()).hexdigest()
    stamp = WORK / "made-of"
    if stamp.exists() and stamp.read_text() == key:
        return
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    (WORK / "sources.list").write_text("\n".join(lines) + "\n")
    command = ["mmdebstrap", *OPTIONS, name, ARCHIVE, WORK / "sources.list"]
    good, said = run(command, seconds=600)
    unreachable = [line for line in said.splitlines() if "Failed to fetch" in line]
    if not good and unreachable:
        raise Unavailable(f"no way to Debian's packages: {unreachable[0]}")
    if not good:
        raise RuntimeError(said)
    stamp.write_text(key)


class System:
    def __init__(self, root):
        self.root = root
        root.mkdir(parents=True)
        output(["tar", "--numeric-owner", "-xpf", ARCHIVE, "-C", root])

    def inside(self, command):
        """The command that runs another one inside, as a process of the same number."""
        return [*NAMESPACE, CHROOT, self.root, *command]

    def run(self, *command):
        """(whether it ended well, its output and errors)"""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        environment |= {"LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": None, "LD_PRELOAD": None}
        return run(self.inside(command), environment=environment)

    def copy(self, file, to):
        """Puts a file there, which is a path inside."""
        shutil.copy(file, self.root / to.lstrip("/"))

    def packages(self):
        """The names of all that is installed."""
        # Of the status the second letter: the first one is what is wanted.
        _, said = self.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n")
        return {line.split()[1] for line in said.splitlines() if line[1:2] == "i"}
