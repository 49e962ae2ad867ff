# SPDX-License-Identifier: MPL-2.0
"""zeromq.js, the binding of Node.js, in build/node, over the libzmq of the system.

The package brings binaries with a libzmq of their own inside. Its build for a shared one loads more
from elsewhere; the sources are compiled here as that would do it. Made anew when what goes into it
changes.
"""

import concurrent.futures
import hashlib
import json
import re
import shutil
from pathlib import Path

from checks import ROOT, run

PACKAGES = ["zeromq@6.8.0", "node-addon-api@8.9.2"]
WORK = ROOT / "build/node"
MODULES = WORK / "node_modules"
# Node's own, and libuv's in it or beside it.
HEADERS = Path("/usr/include/node")
FLAGS = ["-std=c++20", "-O0", "-fPIC", "-DNAPI_VERSION=8", "-DNAPI_CPP_EXCEPTIONS"]
# What npm says when there is no way to the packages.
UNREACHABLE = re.compile(r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ECONNRESET|ENETUNREACH")


class Unavailable(Exception):
    """What is needed cannot be had here; says what."""


def step(command, **keywords):
    good, said = run(command, seconds=600, **keywords)
    if not good and UNREACHABLE.search(said):
        raise Unavailable(f"npm does not reach the packages: {UNREACHABLE.search(said)[0]}")
    if not good:
        raise RuntimeError(f"{command}\n{said}")
    return said


def prepare(library):
    """Links with the library in a directory; whichever is found at run time is used."""
    missing = [tool for tool in ("node", "npm", "g++") if not shutil.which(tool)]
    if missing or not (HEADERS / "node_api.h").exists():
        raise Unavailable(f"not installed: {', '.join(missing) or HEADERS}")
    key = hashlib.sha256()
    for file in (Path(__file__), ROOT / "include/zmq.h"):
        key.update(file.read_bytes())
    key.update(step(["node", "--version"]).encode())
    stamp = WORK / "made-of"
    if stamp.exists() and stamp.read_text() == key.hexdigest():
        return
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    step(["npm", "install", *quiet, "--prefix", WORK, *PACKAGES])
    package = MODULES / "zeromq"
    include = [f"-I{path}" for path in (ROOT / "include", HEADERS, MODULES / "node-addon-api")]

    def compiled(source):
        object_file = WORK / f"{source.stem}.o"
        step(["g++", *FLAGS, *include, "-c", source, "-o", object_file])
        return object_file

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sorted((package / "src").glob("*.cc"))))
    addon = package / "build/addon.node"
    step(["g++", "-shared", *objects, "-o", addon, f"-L{library}", "-lzmq"])
    # Where the package looks up which of its binaries is for this machine.
    platform = step(["node", "-p", "JSON.stringify({os: process.platform, arch: process.arch})"])
    kind = json.dumps(json.loads(platform) | {"libc": "glibc", "abi": 0})
    (package / "build/manifest.json").write_text(json.dumps({kind: addon.name}))
    stamp.write_text(key.hexdigest())
