# SPDX-License-Identifier: Apache-2.0
"""postern-load from several source addresses: more connections to one server at once than one
address has ports for. In a network namespace in which an address has 1,200 of them, three addresses
hold 3,000 connections, and one address cannot. What counts them is the program behind "tools/dev
connections", which does the same with 70,000."""

import os
import re
import sys

import harness
from harness import check, check_equal

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../../bench/macro/connections.py")
WANTED, PORTS_EACH = 3000, 1200


def hold(case, sources, status, patience):
    """Runs it, with processes that may open half as many files; its text."""
    build = os.path.join(case.dir, "build")
    os.makedirs(build, exist_ok=True)
    for variable in ("POSTERN_LOAD", "POSTERN_SINK"):
        program = harness.own_program(variable)
        link = os.path.join(build, os.path.basename(program))
        if not os.path.lexists(link):
            os.symlink(os.path.abspath(program), link)
    text = harness.run([sys.executable, PROGRAM, "--build", build, "--sources", str(sources),
                        "--ports", f"40000-{40000 + PORTS_EACH - 1}", "--files", "1700",
                        "--patience", str(patience), str(WANTED)],
                       status=(status, harness.SKIP_STATUS))
    case.note(text)
    if "no network namespace" in text:
        raise harness.Skip(text.strip())
    check(re.search(r"2 postern-load, \d+ postern-sink", text), text)
    check("ERROR: " not in text and "runtime error" not in text, text)
    return text


def counts(text):
    """Connections by each of the four counts; what the programs themselves say stands there too."""
    return [int(n) for n in re.findall(r"^  (?:clients|servers), \w+ +(\d+) ", text, re.MULTILINE)]


def test_three_sources_hold_more_than_one_has_ports(case):
    text = hold(case, 3, 0, 20 * harness.SLOW)
    check_equal(counts(text), [WANTED] * 4)
    by_source = dict(re.findall(r"from (127\S+) +(\d+) established", text))
    check_equal(len(by_source), 3, text)
    check_equal(sum(map(int, by_source.values())), WANTED, text)
    check(max(map(int, by_source.values())) <= PORTS_EACH, text)


def test_one_source_does_not(case):
    text = hold(case, 1, 1, 5 * harness.SLOW)
    check("NOT REACHED" in text, text)
    check_equal(counts(text), [PORTS_EACH] * 4)


harness.main(globals())
