# SPDX-License-Identifier: MPL-2.0
"""A virtual environment in build/python with pyzmq, built from its source against this library.

Both of pyzmq's backends are built: programs get the one in Cython, unless PYZMQ_BACKEND is cffi. The
library is installed to a directory beside it, with the draft API visible to pyzmq. Made anew when what
goes into it changes; the library is installed anew each time.
"""

import hashlib
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from checks import ROOT, make, run

PYZMQ = "27.3.0"
WORK = ROOT / "build/python"
PREFIX = WORK / "prefix"
PYTHON = WORK / "venv/bin/python"
SOURCE = WORK / f"pyzmq-{PYZMQ}"
REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
# What pip says when there is no way to the packages.
UNREACHABLE = re.compile(
    r"Could not find a version|No matching distribution|Max retries exceeded|NewConnectionError|"
    r"ConnectTimeout|Name or service not known|Temporary failure in name resolution"
)


class Unavailable(Exception):
    """What is needed cannot be had here; says what."""


def step(command, **keywords):
    good, said = run(command, seconds=600, **keywords)
    if not good and UNREACHABLE.search(said):
        raise Unavailable(f"pip does not reach the packages: {said.strip().splitlines()[-1]}")
    if not good and "ensurepip" in said:
        raise Unavailable("python3-venv is not installed")
    if not good:
        raise RuntimeError(f"{command}\n{said}")


def prepare():
    """Raises Unavailable, or RuntimeError with the output of what went wrong."""
    good, said = make("install", f"PREFIX={PREFIX}")
    if not good:
        raise RuntimeError(said)
    key = hashlib.sha256()
    for file in [Path(__file__), REQUIREMENTS, PREFIX / "include/zmq.h"]:
        key.update(file.read_bytes())
    key.update(f"{sys.executable} {sys.version} {WORK}".encode())
    stamp = WORK / "made-of"
    if stamp.exists() and stamp.read_text() == key.hexdigest():
        return
    stamp.unlink(missing_ok=True)
    for directory in (PYTHON.parent.parent, SOURCE):
        shutil.rmtree(directory, ignore_errors=True)
    step([sys.executable, "-m", "venv", PYTHON.parent.parent])
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    step([*pip, "install", "-q", "-r", REQUIREMENTS])
    source = ["--no-deps", "--no-build-isolation", "--no-binary", "pyzmq"]
    step([*pip, "download", "-q", *source, "-d", WORK, f"pyzmq=={PYZMQ}"])
    archive = WORK / f"pyzmq-{PYZMQ}.tar.gz"
    # Not from the cache of an earlier build, which was against another library.
    build = [*pip, "install", "-q", *source, "--no-cache-dir", archive]
    environment = {
        "ZMQ_PREFIX": PREFIX,
        "ZMQ_DRAFT_API": "1",
        "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
    }
    # Not the one that came with the rest, which has a libzmq of its own.
    step([*build, "--force-reinstall"], environment=environment | {"PYZMQ_BACKEND": "cython"})
    # Of the one with the other backend just that.
    other = WORK / "cffi"
    shutil.rmtree(other, ignore_errors=True)
    step([*build, "--target", other], environment=environment | {"PYZMQ_BACKEND": "cffi"})
    (built,) = other.glob("zmq/backend/cffi/_cffi.*")
    (installed,) = PYTHON.parent.parent.glob("lib/python*/site-packages/zmq/backend/cffi")
    shutil.copy(built, installed)
    # Not its package beside the tests: it would be taken for the one that was built.
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.name.split("/")[1] in ("tests", "pytest.ini"):
                tar.extract(member, WORK)
    stamp.write_text(key.hexdigest())
