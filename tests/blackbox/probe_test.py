# SPDX-License-Identifier: Apache-2.0
"""postern-probe against posternd: no rule fails, no rule warns, and what is skipped is known."""

import json
import os
import re
import xml.etree.ElementTree

import harness
from harness import check, check_equal, own_program, run

CONFIG = """
listener "smtp" { address = "{smtp}"; offer = [all]; size_max = 64kb; recipients_max = 150; }
listener "lmtp" { address = "{lmtp}"; offer = [all]; size_max = 64kb; recipients_max = 150; }
listener "unix" { address = "{unix}"; offer = [all]; size_max = 64kb; recipients_max = 150; }
listener "plain" { address = "smtp+unix:{dir}/plain.sock"; offer = [standard, -prdr, -deferrals,
                                                                 -exdata]; }
rules = "rules";
class "refused" { action = reject; }
class "delayed" { action = defer; }
domain "mx.test.example" {
    recipients = ["refused refused", "delayed delayed", "ann", "bob"];
}
"""
RULES = b'GTUBE any 1000 "' + harness.GTUBE + b'"\n'
RECIPIENTS = ["--rcpt", "ann@mx.test.example", "--rcpt", "bob@mx.test.example", "--refused-rcpt",
              "unknown@mx.test.example", "--content-refused-rcpt", "refused@mx.test.example",
              "--content-delayed-rcpt", "delayed@mx.test.example", "--gtube", "--intrusive"]


def posternd(case):
    server = case.server(config=CONFIG, start=False)
    with open(os.path.join(server.dir, "rules"), "wb") as f:
        f.write(RULES)
    return server.start()


def probe(case, url, *arguments, status=0):
    """(text, report) of a run."""
    path = os.path.join(case.dir, "report.json")
    text = run([own_program("POSTERN_PROBE"), "--json", path, *arguments, url], status=status)
    case.note(text)
    with open(path, encoding="utf-8") as f:
        return text, json.load(f)


def skipped(report):
    return {r["id"]: r["reason"] for r in report["rules"] if r["outcome"] == "skip"}


def check_good(case, server, url, *allowed):
    before = len(server.spool_list())
    text, report = probe(case, url, "--strict", *RECIPIENTS)
    check_equal((report["failed"], report["warned"], report["stopped"]), (0, 0, None))
    check("0 failed" in text and "\x1b" not in text, text)
    for name, reason in skipped(report).items():
        check(any(re.fullmatch(a, reason) for a in allowed), name, "is skipped:", reason)
    check_equal(len(server.spool_list()) - before, report["messages_left"], "messages left")
    check(report["messages_left"] > 20, report["messages_left"])
    return report


def test_smtp(case):
    server = posternd(case)
    check_good(case, server, f"smtp://127.0.0.1:{server.smtp[1]}", "only over LMTP",
               "STARTTLS is not offered", "PRDR is offered")


def test_lmtp(case):
    server = posternd(case)
    here = ("not over LMTP", "neither EXDATA.*", ".* is not offered")
    report = check_good(case, server, f"lmtp://127.0.0.1:{server.lmtp[1]}", *here)
    by_id = {r["id"]: r["outcome"] for r in report["rules"]}
    check({r for r, outcome in by_id.items() if r.startswith("LMTP-") and outcome != "pass"} ==
          {"LMTP-1/lhlo"}, by_id)
    check_good(case, server, "lmtp+unix:" + server.unix, *here)


harness.main(globals())
