#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Which test shows what: every function and constant of zmq.h, every transport, every capability, and
the behaviours of behaviour.py.

  matrix.py           checks that MATRIX.md is up to date and that every row has a test
  matrix.py --write   writes it

A test shows a row if the row's name stands in the test, or in what it uses of its file and of the
harness: functions, tables, macros. The sources are read as text, nothing is compiled. Of the tests
of a row, those are named that say it themselves, have a name like the row's, and are about little
else; one of these must have passed, if they have run since the library was built (results.py). The
last line is `N passed, N failed, N skipped`, of which every row is one.
"""

import ast
import re
import sys
from collections import Counter, namedtuple
from pathlib import Path

import results
from behaviour import BEHAVIOUR
from checks import ROOT, Checks

MATRIX = ROOT / "MATRIX.md"
HEADER = ROOT / "include/zmq.h"
C_TESTS = ROOT / "c-tests"
SHOWN = 3

TRANSPORTS = ["inproc", "ipc", "tcp", "tls", "ws", "wss", "udp", "tipc", "vsock"]

# The comment above some constants in zmq.h, and their table here; None for those without a row.
SECTIONS = {
    "stdint.h, or what stands in for it, is included": None,
    "zmq_has is there": None,
    "A number unlikely to collide with an errno of the operating system": None,
    "ZeroMQ's own errors": "Errors",
    "POSIX errors that some systems lack": None,
    "Context options; ZMQ_IPV6 and ZMQ_BLOCKY are context options as well": "Context options",
    "Draft context option": "Context options",
    "Defaults of a new context": "Context options",
    "Message properties": "Message properties",
    "Deprecated message property": "Message properties",
    "Names of message properties": "Message properties",
    "Send and receive flags": "Send and receive flags",
    "Deprecated alias": "Send and receive flags",
    "Socket types": "Socket types",
    "Deprecated aliases": "Socket types",
    "Draft socket types": "Socket types",
    "Socket options": "Socket options",
    "Deprecated options and aliases": "Socket options",
    "Draft socket options": "Draft socket options",
    "Values of ZMQ_NORM_MODE": "Values of options",
    "Bits of ZMQ_RECONNECT_STOP": "Values of options",
    "Bits of ZMQ_ROUTER_NOTIFY": "Values of options",
    "GSSAPI principal name types": "Values of options",
    "Longest RADIO and DISH group, in bytes": "Values of options",
    "Security mechanisms": "Mechanisms",
    "Socket monitor events": "Monitor events",
    "The event's value is an errno": "Monitor events",
    "The handshake, authentication included, is complete": "Monitor events",
    "The event's value is one of ZMQ_PROTOCOL_ERROR_*": "Monitor events",
    "The event's value is the ZAP status code: 300, 400 or 500": "Monitor events",
    "Draft monitor event and the versions of the event format": "Monitor events",
    "Protocol errors between ZMTP peers": "Protocol errors",
    "Protocol errors that a wrong configuration of a peer can cause": "Protocol errors",
    "Protocol errors between server and ZAP handler": "Protocol errors",
    "Protocol errors between WebSocket peers": "Protocol errors",
    "Events of zmq_poll and zmq_poller": "Poll events",
    "Items for which a caller may want to keep space at hand": "Poll events",
    "Deprecated device types": "Device types",
}
TABLES = ["Functions", "Draft functions", "Socket types", "Transports", "Mechanisms"]
TABLES += list(dict.fromkeys(table for table in SECTIONS.values() if table not in TABLES + [None]))
TABLES += ["Capabilities"]

# Notes: why the tests of a row show no more than they do.
NO_TRANSPORT = "the transport is not built in: EINVAL"
NO_KERNEL = "there and back only where the kernel has it"
NOTES = {
    r"ZMQ_VMCI_\w+|ZMQ_NORM_\w+": NO_TRANSPORT,
    "ZMQ_MULTICAST_MAXTPDU|ZMQ_RATE|ZMQ_RECOVERY_IVL": "of pgm: stored and read back, nothing else",
    "ZMQ_LOOPBACK_FASTPATH": "for Windows: stored and read back, nothing else",
    "tipc|vsock": NO_KERNEL,
    "pgm|norm|vmci": "answers 0",
    r"gssapi|ZMQ_GSSAPI\w*": "with the cargo feature `gssapi`",
    "ZMQ_ZERO_COPY_RECV": "stored and read back, nothing else",
}

Row = namedtuple("Row", "table name value")
# A piece of source, and whether it is a macro without arguments.
Definition = namedtuple("Definition", "text macro")
# words and strings map to how far away they are: 0 in the test itself.
Test = namedtuple("Test", "program name words strings")


# ---- rows ---------------------------------------------------------------------------------------


def constants(text):
    """(title, name, value) of every #define, titled by the comment above it."""
    title = ""
    for line in text.splitlines():
        comment = re.match(r"/\* (.*?) *\*/$", line)
        define = re.match(r"\s*#define (ZMQ_\w+|E[A-Z]+) +(.+)", line)
        if comment:
            title = comment[1]
        elif define:
            yield title, define[1], define[2]


def rows():
    text = HEADER.read_text()
    result = []
    stable, draft = text.split("#ifdef ZMQ_BUILD_DRAFT_API", 1)
    for table, part in ("Functions", stable), ("Draft functions", draft):
        for name in re.findall(r"^ZMQ_EXPORT [\w *]*?\b(zmq_\w+)\(", part, re.M):
            result.append(Row(table, name, ""))
    if len(result) != text.count("\nZMQ_EXPORT "):
        sys.exit("zmq.h has functions that are not read")
    for title, name, value in constants(text):
        if name in ("ZMQ_EXPORT", "ZMQ_VERSION") or name.startswith("ZMQ_VERSION_"):
            continue
        if title not in SECTIONS:
            sys.exit(f"{name}: no table for what is headed '{title}' in zmq.h")
        if SECTIONS[title]:
            result.append(Row(SECTIONS[title], name, value))
    result += [Row("Context options", name, "") for name in ("ZMQ_IPV6", "ZMQ_BLOCKY")]
    result += [Row("Transports", name, "") for name in TRANSPORTS]
    result += [Row("Capabilities", name, "") for name in capabilities()]
    return result


def capabilities():
    source = (ROOT / "src/ffi/general.rs").read_text()
    return re.findall(r'^    \(c"(\w+)", \w+\),$', source, re.M)


def built_transports():
    source = (ROOT / "src/endpoint/mod.rs").read_text()
    return re.findall(r'Transport::\w+ => "(\w+)",', source)


# ---- tests in C ---------------------------------------------------------------------------------

STRING = r'"(?:\\.|[^"\\\n])*"'
TEST = re.compile(r"\s*(?:[A-Z]+_)?TEST(?:_[A-Z_]+)?\((\w+)")


def without_comments(text):
    pattern = rf"({STRING}|'(?:\\.|[^'\\])')|//[^\n]*|/\*.*?\*/"
    return re.sub(pattern, lambda found: found[1] or " ", text, flags=re.S)


def macros(text):
    """Takes the preprocessor's lines out: the other text, and the macros."""
    found = {}

    def take(match):
        define = re.match(r"\s*#\s*define (\w+)(\([^)]*\))?(.*)", match[0], re.S)
        if define:
            found[define[1]] = (define[2], define[3])
        return "\n"

    return re.sub(r"^[ \t]*#(?:[^\\\n]|\\.|\\\n)*", take, text, flags=re.M), found


def top_level(text):
    """The functions, tests and declarations of a file, each as one string."""
    start = depth = 0
    for token in re.finditer(rf"{STRING}|'(?:\\.|[^'\\])'|[{{}};]", text):
        if token[0] == "{":
            if depth == 0:
                is_body = text[start : token.start()].rstrip().endswith(")")
            depth += 1
        elif token[0] == "}":
            depth -= 1
        if depth == 0 and (token[0] == ";" or token[0] == "}" and is_body):
            yield text[start : token.end()].strip()
            start = token.end()


def defined(chunk):
    """(name, text) of what a piece of the top level defines."""
    enum = re.match(r"(?:static |const )*enum(?: \w+)? \{(.*)\}", chunk, re.S)
    if enum:
        for part in enum[1].split(","):
            if part.strip():
                yield re.match(r"\s*(\w+)", part)[1], part
        return
    # What a variable is called stands before what it holds, and behind the members of its type.
    outside, inside = re.sub(STRING, "", chunk), None
    while inside != outside:
        inside, outside = outside, re.sub(r"\{[^{}]*\}", "", outside)
    variable = re.search(r"(\w+)(?:\[[^\]]*\])* =", outside)
    function = re.match(r"[^{}=;]*?\b(\w+)\(", chunk)
    if function and chunk.endswith("}"):
        yield function[1], chunk
    elif variable:
        yield variable[1], chunk


def pasted(text, macros_here):
    """The names that macros put together with ## out of their arguments."""
    for name, (parameters, body) in macros_here.items():
        for prefix, parameter in re.findall(r"(\w+)##(\w+)", body):
            names = [part.strip() for part in (parameters or "()")[1:-1].split(",")]
            if parameter in names:
                pattern = rf"\b{name}\(((?:{STRING}|[^()\"]|\([^()]*\))*)\)"
                for call in re.findall(pattern, text):
                    arguments = re.findall(rf"(?:{STRING}|[^,\"])+", call)
                    if len(arguments) == len(names):
                        yield prefix + arguments[names.index(parameter)].strip()


class CFile:
    def __init__(self, path):
        text, found = macros(without_comments(path.read_text()))
        self.definitions = {}
        self.tests = {}
        for name, (parameters, body) in found.items():
            self.definitions[name] = Definition(body, parameters is None)
        for chunk in top_level(text):
            chunk += "".join(f" {name}" for name in pasted(chunk, found))
            test = TEST.match(chunk)
            if test:
                self.tests[test[1]] = chunk
                continue
            for name, part in defined(chunk):
                self.definitions[name] = Definition(part, False)


def words_in(text):
    return set(re.findall(r"[A-Za-z_]\w*", re.sub(STRING, " ", text)))


def strings_in(text):
    return {string[1:-1] for string in re.findall(STRING, text)}


# It names every event in the message of a failure.
MESSAGES = {"event_name", "fail"}


def reach(text, own, shared):
    """Words and strings of a test and what it uses; the harness' own strings are not the test's."""
    words, strings = {}, {}
    seen, level, depth = set(MESSAGES), [(text, True)], 0
    while level:
        following = []
        for part, in_test in level:
            if in_test:
                for string in strings_in(part):
                    strings.setdefault(string, depth)
            for word in words_in(part):
                words.setdefault(word, depth)
                definition = own.get(word) or shared.get(word)
                if definition and word not in seen:
                    seen.add(word)
                    following.append((definition.text, word in own or definition.macro))
        level, depth = following, depth + 1
    return words, strings


def c_tests(numbers):
    shared = {}
    for path in sorted([*C_TESTS.glob("harness*.c"), *C_TESTS.glob("*.h")]):
        shared.update(CFile(path).definitions)
    for path in sorted(C_TESTS.glob("test_*.c")):
        file = CFile(path)
        for name, text in file.tests.items():
            words, strings = reach(text, file.definitions, shared)
            # Numbers that zmq.h hides without the draft API have names of the tests' own.
            for word in list(words):
                definition = file.definitions.get(word) or shared.get(word)
                number = definition and re.fullmatch(r"\s*\w+ = (\d+)\s*", definition.text)
                if number and numbers.get(f"ZMQ_{word}") == number[1]:
                    words.setdefault(f"ZMQ_{word}", words[word])
            yield Test(path.stem, name, words, strings)


# ---- tests in Python ----------------------------------------------------------------------------


# What a function that is a test has as its first parameter.
SUBJECTS = {"library", "side", "checks"}
HELPERS = {"run_side"}


def python_words(node, names):
    """Names of zmq.h in Python: zmq.REP, lib.zmq_bind, and what a file calls as zmq.h does."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            yield part.attr
            yield f"ZMQ_{part.attr}"
        elif isinstance(part, ast.Name):
            yield part.id
            yield f"ZMQ_{part.id}"
        elif isinstance(part, ast.keyword) and part.arg:
            yield f"ZMQ_{part.arg.upper()}"
        elif isinstance(part, ast.Constant) and f"ZMQ_{part.value}".upper() in names:
            yield f"ZMQ_{part.value}".upper()


def python_tests(names):
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name in ("matrix.py", "behaviour.py", "checks.py", "results.py", "all.py"):
            continue
        definitions, scenarios = {}, []
        for node in ast.parse(path.read_text()).body:
            words = set(python_words(node, names))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                definitions[node.name] = words
                arguments = [] if isinstance(node, ast.ClassDef) else node.args.args
                if arguments and arguments[0].arg in SUBJECTS and node.name not in HELPERS:
                    scenarios.append(node.name)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                definitions[node.targets[0].id] = words
        for name in scenarios:
            words, level, depth = {}, definitions[name], 0
            while level:
                words.update(dict.fromkeys(level, depth))
                level = set().union(*(definitions.get(word, ()) for word in level)) - words.keys()
                depth += 1
            yield Test(path.name, name, words, {})


# ---- who shows what -----------------------------------------------------------------------------


def distance(row, test):
    """How far a test is from the row, or None if it does not show it."""
    if row.table == "Transports":
        found = [
            depth
            for string, depth in test.strings.items()
            if string == row.name or string.startswith(f"{row.name}://")
        ]
        return min(found, default=None)
    if row.table == "Capabilities":
        return test.strings.get(row.name) if "zmq_has" in test.words else None
    found = [test.words.get(row.name)]
    if row.table == "Context options":
        if not {"zmq_ctx_set", "zmq_ctx_get", "zmq_ctx_set_ext"} & test.words.keys():
            return None
        if row.name in ("ZMQ_IPV6", "ZMQ_BLOCKY") and test.program != "test_context":
            return None
    if row.table == "Mechanisms":
        found.append(test.strings.get(row.name.removeprefix("ZMQ_")))
    if row.value.startswith('"'):
        found.append(test.strings.get(row.value.strip('"')))
    return min((depth for depth in found if depth is not None), default=None)


def likeness(row, test):
    """0 if the test is named after the row, 2 if it is not."""
    prefixes = r"(ZMQ_|zmq_)(EVENT_|PROTOCOL_ERROR_(ZMTP_|ZAP_|WS_)?|MSG_PROPERTY_)?"
    words = re.sub(prefixes, "", row.name).lower().replace("-", "_")
    if row.table == "Capabilities" and re.search("capabilit|(is|are)_there|has_it", test.name):
        return 0
    named = f"{test.program.removeprefix('test_')}_{test.name}".lower()
    if re.search(rf"(^|_){words}(_|$)", named):
        return 0
    return 1 if any(len(word) > 2 and word in named for word in words.split("_")) else 2


def tests_of(row, tests, names):
    found = []
    for test in tests:
        depth = distance(row, test)
        if depth is not None:
            breadth = sum(1 for word, far in test.words.items() if far == 0 and word in names)
            place = (test.program.endswith(".py"), depth > 0, likeness(row, test), depth, breadth)
            found.append((place, test.program, test.name))
    return [f"{program}: {name}" for _, program, name in sorted(found)]


def note(row, names):
    if row.value in names:
        return f"another name of {row.value}"
    return next((text for pattern, text in NOTES.items() if re.fullmatch(pattern, row.name)), "")


def named_tests(text):
    """"one: a b; two: c" is one: a, one: b, two: c."""
    for part in text.split("; "):
        program, _, names = part.partition(": ")
        yield from (f"{program}: {name}" for name in names.split())


def rust_tests():
    for path in sorted((ROOT / "tests").glob("*.rs")):
        for name in re.findall(r"#\[test\]\nfn (\w+)", path.read_text()):
            yield f"{path.name}: {name}"


def interop_scenarios():
    source = (C_TESTS / "interop.c").read_text()
    return {f"interop: {name}" for name in re.findall(r'^    \{"([\w-]+)", ZMQ_', source, re.M)}


def page(found, names):
    lines = [
        "# What shows what",
        "",
        "Every function and constant of `zmq.h`, every transport, and every name that `zmq_has`",
        f"knows, with tests that show it, at most {SHOWN}; and how libzmq behaves, subject by subject.",
        "Programs named `test_*` are in [c-tests](c-tests) and run by `make test-c`; the others are in",
        "[tests](tests). Written by `make matrix`; a row without a test, or with none that passed,",
        "fails `make test-matrix`.",
    ]
    for table in TABLES:
        shown = [(row, tests) for row, tests in found.items() if row.table == table]
        lines += ["", f"## {table}: {len(shown)}", "", "| name | tests | note |", "|---|---|---|"]
        for row, tests in shown:
            named = ", ".join(tests[:SHOWN]) or "–"
            lines.append(f"| {row.name} | {named} | {note(row, names)} |")
    for area, behaviours in BEHAVIOUR.items():
        lines += ["", f"## Behaviour: {area}", "", "| what | tests |", "|---|---|"]
        lines += [f"| {what} | {', '.join(named_tests(text))} |" for what, text in behaviours]
    return "\n".join(lines) + "\n"


def main():
    checks = Checks()
    checks.check("the transports are those of src/endpoint", TRANSPORTS == built_transports())
    listed = rows()
    names = {row.name for row in listed if row.name.lower().startswith("zmq_")}
    numbers = {row.name: row.value for row in listed}
    tests = [*c_tests(numbers), *python_tests(names)]
    found = {row: tests_of(row, tests, names) for row in listed}
    in_rust = set(rust_tests())
    known = in_rust | interop_scenarios() | {f"{test.program}: {test.name}" for test in tests}
    outcomes, excuses = results.read(), Counter()
    # cargo leaves none of them out, and says itself which fail.
    outcomes |= {test: ["passed"] for test in in_rust}
    shown = {f"{row.table}: {row.name}": named[:SHOWN] for row, named in found.items()}
    for area, behaviours in BEHAVIOUR.items():
        shown |= {f"{area}: {what}": [*named_tests(text)] for what, text in behaviours}
    for title, named in shown.items():
        unknown = [test for test in named if test not in known]
        excuse = results.excuse(named, outcomes)
        if unknown or not named:
            checks.check(f"{title}: no such test", False, unknown)
        elif excuse:
            excuses[excuse] += 1
        else:
            checks.check(f"{title}: none of its tests has passed", excuse is None, named)
    for excuse, number in excuses.items():
        checks.skip(f"whether the tests of {number} rows pass", excuse)
    text = page(found, names)
    if "--write" in sys.argv[1:]:
        MATRIX.write_text(text)
    current = MATRIX.exists() and MATRIX.read_text() == text
    checks.check("MATRIX.md is out of date: make matrix", current)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
