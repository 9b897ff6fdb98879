# SPDX-License-Identifier: Apache-2.0
"""postern-probe finds in other people's servers what is known of them (docs/probe.md has
everything), and nothing where they are right. A test that fails with a newer version says that a
fact has changed."""

import importlib.util
from pathlib import Path

import harness
from harness import SLOW, check, check_equal

SCRIPT = Path(__file__).resolve().parent.parent.parent / "tools" / "probe" / "peers.py"
_SPEC = importlib.util.spec_from_file_location("probe_peers", SCRIPT)
probe_peers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(probe_peers)


def check_rules(case, name, rules, *broken):
    """Of these rules the server breaks these, and keeps the others."""
    text, report = probe_peers.probe(name, ["--only", rules, "--timeout", f"{6 * SLOW}s"])
    case.note(text)
    check(report is not None, text)
    outcomes = {r["id"]: r["outcome"] for r in report["rules"] if r["outcome"] != "skip"}
    check(len(outcomes) > len(broken), "too little was tried:", outcomes)
    check_equal({r for r, outcome in outcomes.items() if outcome == "fail"}, set(broken))


def test_exim(case):
    """A last reply of 250 with nobody taken, and no enhanced codes."""
    check_rules(case, "exim", "PRDR,CORE-20", "PRDR-24/delayed",
                "PRDR-3/companions")


def test_cyrus(case):
    """One reply for two recipients when the content is too big."""
    check_rules(case, "cyrus", "LMTP-(6|7|12|13).*", "LMTP-12/too-big",
                "LMTP-13/reset")


def test_dovecot(case):
    """A reply where none is due, when BDAT LAST comes without a recipient."""
    check_rules(case, "dovecot", "LMTP", "LMTP-17/no-rcpt")


def test_courier(case):
    """558 to whoever did not ask."""
    check_rules(case, "courier", "EXD-(4|5).*,CORE-1", "EXD-4/unasked")


def test_postfix(case):
    check_rules(case, "postfix", "CORE-1,CORE-2,CORE-3,CORE-4,CORE-20,CORE-22,CORE-28")


def test_opensmtpd(case):
    check_rules(case, "opensmtpd", "CORE-1,CORE-20,CORE-41")


harness.main(globals(), seconds=180)
