#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The manual pages: complete, in agreement with the header, and well formed.

  man.py

Every function has a page, whose prototype is that of zmq.h; every constant is in some page; mandoc
and man have nothing to say against any. The last line is `N passed, N failed, N skipped`.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from checks import ROOT, Checks, run

PAGES = sorted(ROOT.glob("man/*.[37]"))
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "RETURN VALUES", "ERRORS"]
# What the header defines about itself and no program names.
UNMENTIONED = {"ZMQ_EXPORT", "ZMQ_DEFINED_STDINT", "ZMQ_VERSION"}


def plain(text):
    return re.sub(r"\s*([*,()])\s*", r"\1", " ".join(text.split()))


def header_functions():
    """name: "type name(arguments)", as written but for blanks."""
    text = (ROOT / "include/zmq.h").read_text()
    found = re.findall(r"^ZMQ_EXPORT ([^;]*?)(zmq_\w+)\(([^;]*)\);", text, re.M)
    return {name: plain(f"{kind}{name}({arguments})") for kind, name, arguments in found}


def page_functions(text):
    found = re.findall(r'^\.Ft (.*)\n\.Fn (zmq_\w+)(.*)', text, re.M)
    result = {}
    for kind, name, arguments in found:
        listed = ",".join(re.findall(r'"([^"]*)"', arguments))
        result[name] = plain(f"{kind.strip(chr(34))} {name}({listed})")
    return result


def test_content(checks):
    texts = {page.name: page.read_text() for page in PAGES}
    described = {}
    for name, text in texts.items():
        described.update(page_functions(text))
    for name, prototype in header_functions().items():
        said = described.get(name)
        checks.check(f"{name}: prototype", said == prototype, f"zmq.h {prototype}\npage  {said}")
    for name in sorted(described.keys() - header_functions().keys()):
        checks.check(f"{name} is a function", False)
    together = "\n".join(texts.values())
    header = (ROOT / "include/zmq.h").read_text()
    defined = set(re.findall(r"^#define (ZMQ_\w+|E[A-Z]+) ", header, re.M)) - UNMENTIONED
    named = {name for name in defined if not re.search(rf"^#ifndef {name}$", header, re.M)}
    for name in sorted(named):
        checks.check(f"{name} is in a page", re.search(rf"\b{name}\b", together))
    for name, text in texts.items():
        sections = re.findall(r"^\.Sh (.*)", text, re.M)
        if name.endswith(".3"):
            missing = [section for section in SECTIONS if section not in sections]
            checks.check(f"{name}: sections", not missing, missing)
        for other, section in re.findall(r"^\.Xr (zmq\w*) (\d)", text, re.M):
            known = f"{other}.{section}" in texts or other in described
            checks.check(f"{name}: refers to {other}({section})", known)


def test_installed(checks, directory):
    for section in ("man3", "man7"):
        (directory / section).mkdir()
    script = ROOT / "packaging/man-pages.sh"
    checks.runs("man-pages.sh install", ["sh", script, "install", directory, *PAGES])
    for name in header_functions():
        page = directory / f"man3/{name}.3"
        text = page.read_text() if page.exists() else ""
        while text.startswith(".so "):
            text = (directory / text.split()[1]).read_text()
        checks.check(f"{name}(3) is about it", re.search(rf"^\.Nm {name}\b", text, re.M))
    checks.runs("man-pages.sh uninstall", ["sh", script, "uninstall", directory, *PAGES])
    left = [str(path) for path in directory.rglob("*") if path.is_file()]
    checks.check("man-pages.sh uninstall leaves nothing", not left, left)


def test_form(checks):
    for page in PAGES:
        if shutil.which("mandoc"):
            # Whether other pages are installed here says nothing about this one.
            _, said = run(["mandoc", "-Tlint", "-W", "style", page])
            lines = [line for line in said.splitlines() if re.search(r":\d+:\d+: [A-Z]+:", line)]
            lines = [line for line in lines if "referenced manual not found" not in line]
            checks.check(f"mandoc -Tlint {page.name}", not lines, "\n".join(lines))
        if shutil.which("man"):
            environment = {"MANWIDTH": 80, "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
            good, said = run(
                ["sh", "-c", 'man --warnings -l "$0" 2>&1 >/dev/null', page], environment=environment
            )
            checks.check(f"man --warnings {page.name}", good and not said, said)
    # .ci/install-packages installs the first only.
    for tool, reason in ("mandoc", "not installed"), ("man", "not here"):
        if not shutil.which(tool):
            checks.skip(f"what {tool} says to {len(PAGES)} pages", reason)


def main():
    checks = Checks()
    test_content(checks)
    with tempfile.TemporaryDirectory() as directory:
        test_installed(checks, Path(directory))
    test_form(checks)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
