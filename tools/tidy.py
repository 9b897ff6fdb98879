#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of this code base that no compiler checks (CONTRIBUTING.md lists them).

usage: tidy.py [ROOT]

Prints one line a finding, "path:line: rule: what to do", and ends with 1 when there is any.
Each rule is a generator over a Tree; tests/tidy_test.py shows each of them firing. C is read by
a small lexer that blanks comments and literals, so a rule never sees a word inside of them.
"""

import os
import re
import sys
from collections import namedtuple
from pathlib import Path

Finding = namedtuple("Finding", "path line rule text")

# Lowest first: a layer includes itself and what stands before it. What lies directly in
# server/ (connections, shards, start) comes last.
LAYERS = ["base", "scan", "smtp", "policy", "io", "obs", "spool", "relay"]
TOP = len(LAYERS)

# No I/O, no clock, no log and no allocation in these ...
PURE_LAYERS = ["base", "scan", "smtp", "policy"]
# ... except where a file runs at start, at reload, or while the process dies.
START_UP_FILES = {
    "server/base/assert.c": "reports a broken invariant and ends the process",
    "server/base/pool.c": "pools are reserved at start and given back at the end",
    "server/policy/map.c": "maps are opened at start and at reload, and replaced whole",
    "server/policy/policy_build.c": "builds what policy.c reads, at start and at reload",
    "server/policy/table.c": "tables are built at start and at reload, and replaced whole",
    "server/scan/rules.c": "rules are compiled at start and at reload",
}

FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100  # as .editorconfig says
MARKDOWN_COLUMNS_MAX = 120

# The only files that talk to liburing, and the headers private to them.
RING_FILES = re.compile(r"server/io/(ring|probe|bufring)\.c|server/io/\w+\.h")

BANNED_EVERYWHERE = {
    "strcpy": "struct slice or buf_put()",
    "strncpy": "struct slice or buf_put()",
    "strcat": "buf_put()",
    "strncat": "buf_put()",
    "stpcpy": "buf_put()",
    "sprintf": "buf_printf(), or snprintf() in tools",
    "vsprintf": "buf_printf(), or vsnprintf() in tools",
    "gets": "read() into a bounded buffer",
    "strtok": "slice_find()",
    "strtok_r": "slice_find()",
    "atoi": "a parser that reports overflow, or strtoul() with its end checked",
    "atol": "a parser that reports overflow, or strtoul() with its end checked",
    "atoll": "a parser that reports overflow, or strtoull() with its end checked",
    "atof": "strtod() with its end checked",
    "alloca": "a named limit and an array, or an arena",
    "rand": "rng_next() with a seed",
    "random": "rng_next() with a seed",
    "srand": "rng_init()",
    "strerror": "err_text()",
    "localtime": "base/civil.h, UTC only",
    "gmtime": "base/civil.h",
    "ctime": "base/civil.h",
    "asctime": "base/civil.h",
    "mktemp": "mkstemp()",
    "tmpnam": "mkstemp()",
    "inet_ntoa": "inet_ntop()",
    "inet_addr": "inet_pton()",
    "gethostbyname": "getaddrinfo()",
    "setjmp": "a result enum",
    "longjmp": "a result enum",
    "bzero": "memset() or an initialiser",
    "bcopy": "memmove()",
    "vfork": "posix_spawn()",
}

BANNED_IN_SERVER = {
    "assert": "ASSERT()",
    "scanf": "a parser over struct slice",
    "sscanf": "a parser over struct slice",
    "sleep": "a timer",
    "usleep": "a timer",
    "nanosleep": "a timer",
    "system": "nothing: the server starts no programs",
    "popen": "nothing: the server starts no programs",
}

BANNED_IN_PURE_LAYERS = {
    **dict.fromkeys(
        ["malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "strdup", "strndup",
         "free", "mmap", "munmap", "asprintf", "vasprintf"],
        "a pool or an arena of the caller (a file that runs at start only is listed in tidy.py)"),
    **dict.fromkeys(
        ["clock_gettime", "gettimeofday", "time", "clock"],
        "an argument of type clock_ns or wall_us"),
    **dict.fromkeys(
        ["open", "openat", "read", "pread", "readv", "write", "pwrite", "writev", "fopen",
         "socket", "connect", "send", "sendmsg", "recv", "recvmsg", "poll"],
        "an event or a result handed to the caller: this layer does no I/O"),
    **dict.fromkeys(
        ["printf", "fprintf", "vfprintf", "puts", "fputs", "perror", "syslog"],
        "a result for the caller to report: this layer writes no log"),
}

# Tests that run thousands of times, in any order and at any speed.
TIMELESS_TESTS = ("tests/unit/", "tests/dialogue/", "tests/diff/", "tests/fuzz/", "tests/sim/",
                  "tests/support/")
BANNED_IN_TIMELESS_TESTS = dict.fromkeys(
    ["sleep", "usleep", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday", "time"],
    "time as an argument: such a test neither sleeps nor reads the real clock")

SKIPPED_DIRS = re.compile(r"\.git|\.deps|build|build-.*|run|__pycache__|subprojects")
C_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)


def normal(path):
    """As the tree's paths are written: without "..", which meson files and tests use."""
    return Path(os.path.normpath(path)).as_posix()


def blank(match):
    """Spaces instead of a comment or literal, with its line ends and its quotes kept."""
    text = match.group(0)
    if text[0] == "/":
        return re.sub(r"[^\n]", " ", text)
    return text[0] + re.sub(r"[^\n]", " ", text[1:-1]) + text[-1]


class Source:
    """One file: its text, and for C also the text without comments and literals."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.is_c = path.suffix in (".c", ".h", ".cc")
        self.is_script = path.suffix == ".py" or self.text.startswith("#!")
        self.is_meson = path.name in ("meson.build", "meson_options.txt")
        self.code = C_TOKEN.sub(blank, self.text) if self.is_c else self.text

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def finding(self, offset, rule, text):
        return Finding(self.path, self.line_of(offset), rule, text)


class Tree:
    """Every file of the checkout that a rule looks at: sources, and pages of Markdown."""

    def __init__(self, root):
        self.root = Path(root).resolve()
        files = sorted(self.walk(self.root))
        self.sources = [Source(self.root, p) for p in files if self.is_source(p)]
        self.pages = [Source(self.root, p) for p in files if p.suffix == ".md"]
        self.c_sources = [s for s in self.sources if s.is_c]
        self.paths = {s.path for s in self.sources}

    def walk(self, folder):
        for path in folder.iterdir():
            if path.is_symlink():
                continue
            if path.is_dir():
                if not SKIPPED_DIRS.fullmatch(path.name):
                    yield from self.walk(path)
            else:
                yield path

    def is_source(self, path):
        return (path.suffix in (".c", ".h", ".cc", ".py", ".sh")
                or path.name in ("meson.build", "meson_options.txt")
                or path.relative_to(self.root).as_posix() in ("tools/dev", ".ci/run"))

    def resolve(self, source, name):
        """The path that #include "name" means in this file, or None for a foreign header."""
        for folder in (Path(source.path).parent, Path("include"), Path("server"), Path("tools")):
            path = normal(folder / name)
            if path in self.paths:
                return path
        return None


def includes(source):
    for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', source.text, re.MULTILINE):
        yield m.start(), m.group(1)


def layer_of(path):
    """Index in LAYERS, TOP for what lies directly in server/, None for what may include all."""
    parts = path.split("/")
    if parts[0] not in ("include", "server"):
        return None
    if len(parts) > 2 and parts[1] in LAYERS:
        return LAYERS.index(parts[1])
    return TOP


def is_pure(path):
    layer = layer_of(path)
    return layer is not None and layer < TOP and LAYERS[layer] in PURE_LAYERS


def rule_layers(tree):
    """Layers link one way."""
    for source in tree.c_sources:
        own = layer_of(source.path)
        if own is None:
            continue
        for offset, name in includes(source):
            path = tree.resolve(source, name)
            if path is None:
                yield source.finding(offset, "layers", f'"{name}" is not in this repository: '
                                     "use <> for headers of packages")
                continue
            other = layer_of(path)
            if other is None or other > own:
                yield source.finding(offset, "layers", f"{name} belongs to a higher layer")


def calls(source, names):
    """(offset, name) of each call of one of the names as a plain function."""
    pattern = r"(?<![\w.])(?<!->)(" + "|".join(map(re.escape, names)) + r")[ \t]*\("
    for m in re.finditer(pattern, source.code):
        yield m.start(), m.group(1)


def rule_banned(tree):
    """Calls that have a better replacement here."""
    for source in tree.c_sources:
        banned = dict(BANNED_EVERYWHERE)
        if layer_of(source.path) is not None:
            banned.update(BANNED_IN_SERVER)
        if is_pure(source.path) and source.path not in START_UP_FILES:
            banned.update(BANNED_IN_PURE_LAYERS)
        if source.path.startswith(TIMELESS_TESTS):
            banned.update(BANNED_IN_TIMELESS_TESTS)
        for offset, name in calls(source, banned):
            yield source.finding(offset, "banned", f"{name}(): use {banned[name]}")


def rule_function_length(tree):
    """Functions fit on a screen; a table is not a function."""
    for source in tree.c_sources:
        lines = source.code.split("\n")
        start = None
        for i, line in enumerate(lines):
            if line == "{":
                start = i
                while start > 0 and lines[start - 1].strip() and lines[start - 1][0] not in "}#":
                    start -= 1
            elif line.startswith("}") and start is not None:
                count = i - start + 1
                if count > FUNCTION_LINES_MAX:
                    yield Finding(source.path, start + 1, "function-length",
                                  f"{count} lines, at most {FUNCTION_LINES_MAX}: split it")
                start = None


def rule_dead_files(tree):
    """Every source is built and every header is included by somebody."""
    listed = set()
    for source in tree.sources:
        if source.path.endswith("meson.build"):
            folder = Path(source.path).parent
            for name in re.findall(r"'([^'\n]+\.(?:c|cc))'", source.text):
                listed.add(normal(folder / name))
    included = set()
    for source in tree.c_sources:
        for _, name in includes(source):
            path = tree.resolve(source, name)
            if path is not None and path != source.path:
                included.add(path)
    for source in tree.c_sources:
        if source.path.endswith(".h"):
            if source.path not in included:
                yield source.finding(0, "dead-file", "nobody includes this header")
        elif source.path not in listed:
            yield source.finding(0, "dead-file", "no meson.build lists this file")


def prototypes(source):
    """(offset, name) of each function that a header declares without a body."""
    depth = 0
    statement = 0
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  source.code, flags=re.MULTILINE)
    for m in re.finditer(r"[{};]", code):
        if m.group(0) == "{":
            depth += 1
        elif m.group(0) == "}":
            depth -= 1
            statement = m.end() if depth == 0 else statement
        elif depth == 0:
            text = re.sub(r"__attribute__\s*\(\(.*?\)\)(?=\s|$)", lambda a: " " * len(a.group(0)),
                          code[statement:m.start()], flags=re.DOTALL)
            head = re.search(r"\b([a-z]\w*)\s*\(", text)
            if head and not re.match(r"\s*(typedef|static_assert|_Static_assert)\b", text):
                start = statement + len(text) - len(text.lstrip())
                yield start, head.group(1)
            statement = m.end()


def rule_docstrings(tree):
    """A public function is explained where it is declared.

    The comment stands above it, or above the group (lines without a blank one between them).
    """
    for source in tree.c_sources:
        if not (source.path.startswith("include/") and source.path.endswith(".h")):
            continue
        for offset, name in prototypes(source):
            group = re.split(r"\n[ \t]*\n", source.text[:offset])[-1]
            if "*/" not in group and "//" not in group:
                yield source.finding(offset, "docstring", f"{name}() has no comment")


def rule_leftovers(tree):
    """Nothing is left for later inside the code."""
    words = re.compile(r"\b(" + "|".join(["FIX" + "ME", "TO" + "DO", "X" + "XX", "HA" + "CK"])
                       + r")\b")
    for source in tree.sources:
        for m in words.finditer(source.text):
            yield source.finding(m.start(), "leftover", f"{m.group(1)}: do it, or open an issue")


def rule_spdx(tree):
    """Every source names its licence in its first lines."""
    for source in tree.sources:
        if not (source.is_c or source.is_script):
            continue
        head = source.text.split("\n", 3)[:3]
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
            yield source.finding(0, "spdx", 'start with "SPDX-License-Identifier: Apache-2.0"')


def rule_ring_calls(tree):
    """One file talks to liburing, so that the simulator can stand in for it."""
    for source in tree.c_sources:
        if not source.path.startswith(("include/", "server/", "tools/")):
            continue
        if RING_FILES.fullmatch(source.path):
            continue
        for m in re.finditer(r"\bio_uring_\w+|#\s*include\s*<liburing[^>\n]*>", source.code):
            yield source.finding(m.start(), "ring", "ask io/ring.h instead of liburing")


def rule_test_switches(tree):
    """What is tested is what ships: no code that exists in tests only."""
    pattern = re.compile(
        r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif)\b[^\n]*?\b(\w*(?:TEST|FUZZ|SIMUL|MOCK)\w*)",
        re.MULTILINE)
    for source in tree.c_sources:
        if layer_of(source.path) is None:
            continue
        for m in pattern.finditer(source.code):
            yield source.finding(m.start(), "test-switch",
                                 f"{m.group(1)}: replace a file at link time instead")


def rule_whitespace(tree):
    """clang-format sees to C; this is for the rest."""
    for source in tree.sources:
        if source.is_c:
            continue
        for m in re.finditer(r"[ \t]+$|\t|\r", source.text, re.MULTILINE):
            yield source.finding(m.start(), "whitespace", "tab, carriage return or trailing space")
        if source.text and not source.text.endswith("\n"):
            yield source.finding(len(source.text), "whitespace", "no line end at the end")


def prose(text):
    """(number, line) of the lines of a page that can be broken: not those of tables and of what
    stands between fences, which is as a program said it, and no line of one word, as a URL."""
    fence = None
    for number, line in enumerate(text.split("\n"), 1):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and fence is None:
            fence = mark.group(1)
        elif fence is not None:
            fence = None if line.strip().startswith(fence) else fence
        elif not re.match(r"\s*\||\s*(?:[-*+] |\d+[.)] )?\S+$", line):
            yield number, line


def rule_line_length(tree):
    """clang-format sees to C; this is for the rest."""
    lines = [(s, COLUMNS_MAX, enumerate(s.text.split("\n"), 1))
             for s in tree.sources if not s.is_c]
    lines += [(page, MARKDOWN_COLUMNS_MAX, prose(page.text)) for page in tree.pages]
    for source, most, numbered in lines:
        for number, line in numbered:
            if len(line) > most:
                yield Finding(source.path, number, "line-length",
                              f"{len(line)} columns, at most {most}: break it")


RULES = [rule_layers, rule_banned, rule_function_length, rule_dead_files, rule_docstrings,
         rule_leftovers, rule_spdx, rule_ring_calls, rule_test_switches, rule_whitespace,
         rule_line_length]


def check(root):
    tree = Tree(root)
    if not tree.c_sources:
        raise SystemExit(f"tidy: no C sources below {tree.root}")
    return sorted(finding for rule in RULES for finding in rule(tree))


def main(arguments):
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 2
    root = arguments[0] if arguments else Path(__file__).resolve().parent.parent
    findings = check(root)
    for finding in findings:
        print(f"{finding.path}:{finding.line}: {finding.rule}: {finding.text}")
    if findings:
        print(f"tidy: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
