#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""This library's tls:// through stunnel to libzmq's tcp://, both ways round.

  terminator.py --library ../build/lib

Scenarios of c-tests/interop, with certificates on both sides, in TLS 1.2 and 1.3. Needs stunnel4,
libzmq5 and openssl; without one of them everything is skipped. The last line is
`N passed, N failed, N skipped`.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from checks import nothing_without, reserved_ports

ROOT = Path(__file__).resolve().parent.parent
INTEROP = ROOT / "c-tests/build/interop"
CERTIFICATES = ROOT / "c-tests/build/certificates"
STUNNEL = shutil.which("stunnel4") or shutil.which("stunnel")
VERSIONS = ["TLSv1.2", "TLSv1.3"]
SECONDS = 60


def environment(library, secure):
    """For a process over this library, or over libzmq for None; `secure`: it speaks TLS itself."""
    result = dict(os.environ)
    for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "INTEROP_CERTIFICATES"):
        result.pop(name, None)
    if library:
        result["LD_LIBRARY_PATH"] = str(library)
    if secure:
        result["INTEROP_CERTIFICATES"] = str(CERTIFICATES)
    return result


def start(arguments, env=None):
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def configuration(is_client, version, routes):
    name = "client" if is_client else "server"
    lines = [
        "foreground = yes",
        "pid =",
        "debug = 5",
        f"sslVersion = {version}",
        f"cert = {CERTIFICATES}/{name}.pem",
        f"key = {CERTIFICATES}/{name}.key",
        f"CAfile = {CERTIFICATES}/ca.pem",
        "verifyChain = yes",
    ]
    for number, (accept, connect) in enumerate(routes):
        lines += [
            f"[route{number}]",
            f"client = {'yes' if is_client else 'no'}",
            f"accept = 127.0.0.1:{accept}",
            f"connect = 127.0.0.1:{connect}",
        ]
        if is_client:
            lines.append("checkIP = 127.0.0.1")
    return "\n".join(lines) + "\n"


def run(library, scenario, version, ours_binds):
    """One scenario; what was said by whom if it failed."""
    binder = start(
        [INTEROP, "bind", scenario], environment(library if ours_binds else None, ours_binds)
    )
    endpoints = binder.stdout.readline().strip()
    targets = re.findall(r":(\d+)", endpoints)
    with tempfile.TemporaryDirectory() as directory, reserved_ports(len(targets)) as ports:
        path = Path(directory) / "stunnel.conf"
        path.write_text(configuration(ours_binds, version, zip(ports, targets)))
        stunnel = start([STUNNEL, path])
        scheme = "tcp" if ours_binds else "tls"
        connecter = start(
            [INTEROP, "connect", scenario, ",".join(f"{scheme}://127.0.0.1:{p}" for p in ports)],
            environment(None if ours_binds else library, not ours_binds),
        )
        outputs = [endpoints]
        for name, process in (("connecter", connecter), ("binder", binder)):
            ended = ""
            try:
                said, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
                ended = "has not ended: "
            outputs.append(f"{name} ({process.returncode}) {ended}{said}")
        stunnel.terminate()
        outputs.append(f"stunnel: {stunnel.communicate()[0][-3000:]}")
    good = connecter.returncode == 0 and binder.returncode == 0
    return None if good else "\n".join(outputs)


def scenarios(library):
    """Those over tcp that a library can take part in; None when it cannot be loaded."""
    done = subprocess.run(
        [INTEROP, "list"], env=environment(library, False), capture_output=True, text=True
    )
    names = [name for name in done.stdout.split() if re.search("/tcp(-plain|-curve)?$", name)]
    return names if done.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path, required=True, help="its directory")
    parser.add_argument("--filter", default="", help="only scenarios whose name contains this")
    parser.add_argument("--jobs", type=int, default=4)
    arguments = parser.parse_args()
    library = arguments.library.resolve()
    of_libzmq = scenarios(None)
    missing = [
        what
        for what, there in (
            ("stunnel4", STUNNEL),
            ("openssl", (CERTIFICATES / "server.pem").exists()),
            ("libzmq5", of_libzmq),
        )
        if not there
    ]
    if missing:
        return nothing_without(missing, "tls with a TLS terminator")
    names = [name for name in scenarios(library) if name in of_libzmq and arguments.filter in name]
    cases = [
        (name, VERSIONS[number % 2], ours_binds)
        for ours_binds in (True, False)
        for number, name in enumerate(names)
    ]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for case, outcome in zip(cases, pool.map(lambda case: run(library, *case), cases)):
            if outcome is None:
                passed += 1
                continue
            failed += 1
            name, version, ours_binds = case
            side = "libzmq -> stunnel -> tls" if ours_binds else "tls -> stunnel -> libzmq"
            print(f"FAILED {side}, {version}: {name}\n{outcome.strip()}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
