# SPDX-License-Identifier: Apache-2.0
"""postern-probe against posternd, where nothing fails; against a server that keeps all rules and
one that breaks them one by one (breakable.py), where each check is seen to pass and to fail;
against what is no server at all."""

import concurrent.futures
import contextlib
import itertools
import json
import os
import random
import re
import socket
import subprocess
import threading
import xml.etree.ElementTree

import breakable
import harness
from breakable import Fault, say, sub
from harness import check, check_equal, own_program, program, run

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


def probe(case, url, *arguments, status=0, name="report"):
    """(text, report) of a run."""
    path = os.path.join(case.dir, name + ".json")
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
               "STARTTLS is not offered", "REQUIRETLS is not offered", "PRDR is offered")


def test_lmtp(case):
    server = posternd(case)
    here = ("not over LMTP", "neither EXDATA.*", ".* is not offered")
    report = check_good(case, server, f"lmtp://127.0.0.1:{server.lmtp[1]}", *here)
    by_id = {r["id"]: r["outcome"] for r in report["rules"]}
    check({r for r, outcome in by_id.items() if r.startswith("LMTP-") and outcome != "pass"} ==
          {"LMTP-1/lhlo"}, by_id)
    check_good(case, server, "lmtp+unix:" + server.unix, *here)


# --- a server that can be broken ----------------------------------------------------------------


def certificate(case):
    paths = os.path.join(case.dir, "certificate.pem"), os.path.join(case.dir, "key.pem")
    run([program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost",
         "-keyout", paths[1], "-out", paths[0]])
    return paths


def test_good_server(case):
    paths = certificate(case)
    for is_lmtp in (False, True):
        with breakable.Server(is_lmtp=is_lmtp, certificate=paths) as server:
            _, report = probe(case, server.url, "--strict", *RECIPIENTS)
            check_equal((report["failed"], report["warned"], report["stopped"]), (0, 0, None))
            for name, reason in skipped(report).items():
                check(is_lmtp or reason in ("only over LMTP", "PRDR is offered",
                                            "REQUIRETLS is not offered"), name, reason)
            for name, reason in skipped(report).items():
                check(not is_lmtp or not name.startswith(("LMTP-7", "LMTP-8", "CORE-28")), name,
                      reason)


def twice(tag, when=None):
    return say(tag, lambda session, seen: f"{seen}\n{seen}", when)


def line_has(text):
    return lambda session: text in session.line


def each_is(idx):
    """The reply of the recipient @idx."""
    return lambda session: session.idx == idx


def once(tag, number):
    """Only the reply of that number with such a tag."""
    return lambda session: session.said.get(tag) == number


def content_has(text):
    return lambda session: text in session.content


def no_keyword(name):
    return sub("EHLO|LHLO", rf"250-{name}[^\n]*\n", "")


def both(first, second):
    return lambda session, tag, text: second(session, tag, first(session, tag, text))


ENDS = [rb"\n\.\n", rb"\n\.\r\n", rb"\r\n\.\n", rb"\r\.\r", rb"\r\.\n", rb"\n\.\r", rb"\r\.\r\n",
        rb"\r\n\.\r", rb"\r\n\0\.\r\n", rb"\r\n\.\0\r\n", rb"\r\n\.\r\r\n", rb"\r\r\n\.\r\r\n"]
ASKED_UNASKED = say("RCPT", "352 later", "250")
NO_503 = {verb: Fault(say(verb, "250 2.0.0 ok", "503|554")) for verb in ("MAIL", "RCPT", "ERCP")}
GO_ON = Fault(say("DATA", "354 go on", "503"))
UNDRAINED = Fault(flags="undrained")
LESS = Fault(say("each", None, each_is(1)))
MORE = Fault(twice("each", each_is(1)))
NO_FINAL = Fault(say("final", None))
SINGLE_LATER = Fault(say("single", "450 4.2.0 later"))
SINGLE_GOOD = Fault(say("single", "250 2.0.0 ok"))
NOT_ALL_INSIDE = Fault(sub("single", r"\n(558|250)-5[^\n]*", ""))

# One way to break each rule over SMTP, and over LMTP what that alone can show.
SMTP_FAULTS = {
    "CORE-1/greeting": Fault(say("greeting", "220 *** ESMTP")),
    "CORE-2/ehlo": Fault(sub("EHLO", "8BITMIME", "8_BIT")),
    "CORE-3/again": NO_503["RCPT"],
    "CORE-3/helo": Fault(say("HELO", "250-mx.test.example\n250 PIPELINING")),
    "CORE-4/hello-name": Fault(say("EHLO", "250 mx.test.example", "501")),
    "LMTP-1/lhlo": Fault(say("LHLO", "250 mx.test.example")),
    "CORE-4/mail-twice": NO_503["MAIL"],
    "CORE-4/rcpt-first": NO_503["RCPT"],
    "CORE-4/data-first": GO_ON,
    "CORE-4/data-no-rcpt": GO_ON,
    "CORE-4/data-refused": GO_ON,
    "CORE-4/rset": Fault(say("RSET", "500 5.5.1 no")),
    "CORE-4/noop": Fault(say("NOOP", "501 5.5.4 no")),
    "CORE-4/noop-argument": Fault(say("NOOP", "501 5.5.4 no", line_has("NOOP ign"))),
    "CORE-4/vrfy": Fault(say("VRFY", "354 go on")),
    "CORE-4/help": Fault(say("HELP", "354 go on")),
    "CORE-4/quit": Fault(flags="stays"),
    "CORE-4/quit-txn": Fault(flags="stays"),
    "CORE-4/unknown": Fault(say("unknown", "250 2.0.0 ok")),
    "CORE-4/empty": Fault(say("empty", "250 2.0.0 ok")),
    "CORE-4/case": Fault(say("NOOP", "500 5.5.2 what?", line_has("nOoP"))),
    "CORE-4/mail-syntax": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "CORE-4/rcpt-syntax": Fault(say("RCPT", "250 2.1.5 ok", "501")),
    "CORE-4/parameter": Fault(say("RCPT", "250 2.1.5 ok", "555")),
    "CORE-4/parameter-555": Fault(say("MAIL", "501 5.5.4 no", "555")),
    "CORE-4/arguments": Fault(say("RSET", "250 2.0.0 ok", "501")),
    "CORE-4/next": NO_503["RCPT"],
    "CORE-7/null-sender": Fault(say("MAIL", "550 5.7.1 no", line_has("<>"))),
    "CORE-7/postmaster": Fault(say("RCPT", "550 5.1.1 no", line_has("ostmaster>"))),
    "CORE-7/source-route": Fault(say("RCPT", "501 5.5.4 no", line_has("<@"))),
    "CORE-7/quoted": Fault(say("MAIL", "501 5.5.4 no", line_has('"'))),
    "CORE-12/reset": Fault(flags="dies"),
    "CORE-12/half-close": Fault(flags="eof-kills"),
    "CORE-24/8bit": Fault(say("single", "554 5.6.0 no")),
    "CORE-24/unknown": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "CORE-23/chunking": Fault(no_keyword("CHUNKING")),
    "CORE-26/good": Fault(say("RCPT", "555 5.5.4 no", line_has("NEVER"))),
    "CORE-26/bad": Fault(say("RCPT", "250 2.1.5 ok", "501")),
    "CORE-27/asked": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "CORE-27/8bitmime": Fault(no_keyword("8BITMIME")),
    "CORE-27/unasked": Fault(say("MAIL", "250 2.1.0 ok", "553")),
    "CORE-30/syntax": Fault(sub("EHLO", "RCPTMAX=", "RCPTMAX=0")),
    "CORE-B/command": Fault(say("NOOP", "500 5.5.2 too long", line_has("x" * 500))),
    "CORE-B/long": Fault(twice("long")),
    "CORE-B/endless": Fault(say("long", "250 2.0.0 ok")),
    "CORE-B/local-part": Fault(say("MAIL", "501 5.1.7 too long", line_has("aaaabbbb"))),
    "CORE-B/text": Fault(say("single", "554 5.6.0 too long", content_has(b"x" * 998))),
    "CORE-B/text-long": Fault(twice("single", content_has(b"x" * 1000))),
    "CORE-B/message": Fault(say("single", "552 5.3.4 too big", content_has(b"64 KiB"))),
    "CORE-B/rcpts": Fault(say("RCPT", "452 4.5.3 too many", once("RCPT", 100))),
    "CORE-B/rcpts-max": Fault(say("RCPT", "552 5.5.3 too many", "452")),
    "CORE-30/rcptmax": Fault(say("RCPT", "452 4.5.3 too many", once("RCPT", 150))),
    "CORE-20/keyword": Fault(sub("EHLO", "SIZE ", "SIZE <")),
    "CORE-20/small": Fault(say("MAIL", "501 5.5.4 no", line_has("SIZE=0"))),
    "CORE-20/bad": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "CORE-20/declared": Fault(both(say("MAIL", "250 2.1.0 ok", "552"),
                                   say("RCPT", "250 2.1.5 ok"))),
    "CORE-20/wrong": Fault(say("single", "552 5.3.4 too big")),
    "CORE-20/content": Fault(say("single", "250 2.0.0 ok", "552")),
    "CORE-21/octets": Fault(say("NOOP", "500 5.5.2 what?")),
    "CORE-21/group": Fault(say("RCPT", None, once("RCPT", 2))),
    "CORE-21/many": Fault(say("RSET", None, once("RSET", 30))),
    "CORE-21/data": Fault(say("RSET", None)),
    "CORE-21/refused": Fault(say("single", "250 2.0.0 ok"), flags="354-anyway"),
    "CORE-40/plain": Fault(say("single", "554 5.6.0 no")),
    "CORE-40/pieces": Fault(say("single", None)),
    "CORE-40/empty": Fault(twice("single")),
    "CORE-40/dots": Fault(ends=rb"\r\n\.\. ?\r\n"),
    "CORE-40/commands": Fault(ends=rb"\r\nQUIT\r\n"),
    "CORE-42/bare-lf": Fault(ends=rb"(?<!\r)\n"),
    "CORE-42/bare-cr": Fault(ends=rb"\r(?!\n)"),
    "CORE-42/nul": Fault(ends=rb"\0"),
    "CORE-45/bare-lf": Fault(flags="lf-line"),
    "CORE-22/one": Fault(say("single", "554 5.6.0 no")),
    "CORE-22/several": Fault(say("BDAT", "554 5.6.0 no", once("BDAT", 2))),
    "CORE-22/zero": Fault(say("single", "554 5.6.0 no", line_has("BDAT 0 LAST"))),
    "CORE-22/dots": Fault(say("single", "554 5.6.0 no", content_has(b"\r\n.\r\n"))),
    "CORE-22/pieces": Fault(say("NOOP", None)),
    "CORE-22/data": GO_ON,
    "CORE-22/rset": Fault(say("RSET", "503 5.5.1 no")),
    "CORE-22/no-mail": UNDRAINED,
    "CORE-22/behind-last": UNDRAINED,
    "CORE-22/no-rcpt": UNDRAINED,
    "CORE-22/group": Fault(say("BDAT", None, once("BDAT", 2))),
    "CORE-22/group-refused": UNDRAINED,
    "CORE-22/group-last": UNDRAINED,
    "CORE-22/bad": Fault(say("BDAT", "250 2.0.0 ok", "501")),
    "CORE-22/too-big": Fault(say("BDAT", "250 2.0.0 ok", "552")),
    "CORE-23/binary": Fault(say("single", "554 5.6.0 no")),
    "CORE-23/data": GO_ON,
    "CORE-44/bare-lf": Fault(twice("single")),
    "CORE-28/works": Fault(flags="no-handshake"),
    "CORE-28/argument": Fault(say("STARTTLS", "220 2.0.0 go on", "501")),
    "CORE-28/inside": Fault(say("EHLO", "250-mx.test.example\n250 STARTTLS",
                                lambda session: session.is_tls)),
    "CORE-28/forgets": Fault(flags="keeps-transaction"),
    "CORE-28/injection": Fault(flags="keeps-buffer"),
    "CORE-28/injection-part": Fault(flags="keeps-buffer"),
    "CORE-28/clear": Fault(flags="no-tls"),
    "CORE-29/clear": Fault(sub("EHLO", "250 STARTTLS", "250-STARTTLS\n250 REQUIRETLS")),
    "PRDR-1/keyword": Fault(sub("EHLO", "PRDR\n", "PRDR now\n")),
    "PRDR-2/parameter": Fault(say("MAIL", "555 5.5.4 no", line_has("prdr"))),
    "PRDR-2/value": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "PRDR-2/helo": Fault(say("MAIL", "250 2.1.0 ok", "555")),
    "PRDR-2/not-offered": Fault(no_keyword("PRDR")),
    "PRDR-3/companions": Fault(no_keyword("PIPELINING")),
    "PRDR-7/rcpt": Fault(ASKED_UNASKED),
    "PRDR-11/data": GO_ON,
    "PRDR-15/one": SINGLE_LATER,
    "PRDR-12/two": SINGLE_LATER,
    "PRDR-18/mixed": NO_FINAL,
    "PRDR-18/refused": MORE,
    "PRDR-8/repeat": LESS,
    "PRDR-18/hundred": LESS,
    "PRDR-16/opener": Fault(say("opener", "353-one\n353 by one")),
    "PRDR-20/codes": Fault(say("RCPT", "251 2.1.5 elsewhere", "250")),
    "PRDR-24/refused": SINGLE_GOOD,
    "PRDR-24/delayed": Fault(say("final", "550 5.7.1 no")),
    "PRDR-10/bdat": NO_FINAL,
    "PRDR-10/bdat-zero": Fault(say("BDAT", None)),
    "PRDR-31/quit": Fault(flags="eof-kills"),
    "PRDR-40/unasked": Fault(flags="unasked-PRDR"),
    "PRDR-6/rset": Fault(flags="sticky"),
    "PRDR-6/message": Fault(flags="sticky"),
    "DEF-1/keyword": Fault(sub("EHLO", "DEFERRALS\n", "DEFERRALS 1\n")),
    "DEF-2/parameter": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "DEF-3/pipelining": Fault(no_keyword("PIPELINING")),
    "DEF-5/unasked": Fault(ASKED_UNASKED),
    "DEF-5/rset": Fault(flags="sticky"),
    "DEF-8/data": Fault(say("DATA", "503 5.5.1 no recipient", "354")),
    "DEF-9/accepted": SINGLE_LATER,
    "DEF-10/mixed": NO_FINAL,
    "DEF-10/refused": Fault(twice("each")),
    "DEF-14/refused": SINGLE_GOOD,
    "DEF-22/bdat": NO_FINAL,
    "INL-1/keyword": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "INL-1/accepted": SINGLE_LATER,
    "INL-2/mixed": Fault(say("final", "451 4.3.0 no")),
    "INL-6/refused": SINGLE_GOOD,
    "EXD-1/keyword": Fault(sub("EHLO", "XEXDATA\n", "XEXDATA 1\n")),
    "EXD-1/parameter": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "EXD-2/names": Fault(say("MAIL", "555 5.5.4 no", line_has(" XEXDATA"))),
    "EXD-4/unasked": Fault(flags="unasked-EXDATA"),
    "EXD-6/data": GO_ON,
    "EXD-9/accepted": SINGLE_LATER,
    "EXD-10/plain": Fault(say("single", "558 250 2.0.0 ok")),
    "EXD-8/mixed": Fault(sub("single", "558-550", "558-55?")),
    "EXD-9/repeat": NOT_ALL_INSIDE,
    "EXD-9/refused": Fault(sub("single", "558-250", "558-250 2.1.5 one more\n558-250")),
    "EXD-6/bdat": NOT_ALL_INSIDE,
    "HOL-4/parameter": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    "HOL-4/unasked": Fault(flags="unasked-XRCPT250"),
    "HOL-5/accepted": SINGLE_LATER,
    "HOL-5/mixed": Fault(sub("single", r"\+END", "the end")),
    "HOL-5/bdat": NOT_ALL_INSIDE,
    "OTH-3/order": Fault(say("ADAT", "250 2.0.0 ok", "503")),
    "OTH-4/accepted": Fault(say("opener", "250 2.0.0 ok")),
    "OTH-5/mixed": Fault(say("DRCP", "250 2.1.5 ok")),
    "OTH-6/count": Fault(say("ERCP", "250 2.0.0 ok", "554")),
    "OTH-7/rset": NO_503["ERCP"],
    "OTH-8/nobody": Fault(say("ERCP", "554 5.5.0 nobody")),
    "OTH-11/accepted": NO_FINAL,
    "OTH-11/mixed": Fault(say("each", "250 2.1.5 taken")),
    "OTH-S6/two": Fault(say("MAIL", "250 2.1.0 ok", "501")),
    **{f"CORE-41/{i + 1}": Fault(ends=end) for i, end in enumerate(ENDS)},
    "CORE-6/form": Fault(say("NOOP", b"250 2.0.0 ok\n")),
    "CORE-6/length": Fault(say("NOOP", "250 2.0.0 " + "x" * 503)),
    "CORE-25/present": Fault(say("NOOP", "250-2.0.0 ok\n250 ok")),
    "CORE-25/absent": Fault(say("DATA", "354 2.0.0 go on", "354")),
    "PRDR-40/always": Fault(say("VRFY", "353 later")),
    "CORE-13/close": Fault(flags="closes"),
}
ONE_FOR_ALL = Fault(flags="one-for-all")
LMTP_FAULTS = {
    "LMTP-1/ehlo": Fault(say("EHLO", "250 mx.test.example")),
    "LMTP-1/ehlo-500": Fault(say("EHLO", "502 5.5.1 no")),
    "LMTP-2/port": Fault(),
    "LMTP-3/must": Fault(no_keyword("PIPELINING")),
    "LMTP-3/should": Fault(no_keyword("8BITMIME")),
    "LMTP-6/no-rcpt": Fault(say("DATA", "554 5.5.1 nobody", "503")),
    "LMTP-6/refused": Fault(say("DATA", "554 5.5.1 nobody", "503")),
    "LMTP-7/one": Fault(twice("each")),
    "LMTP-7/three": LESS,
    "LMTP-7/repeat": LESS,
    "LMTP-7/refused": MORE,
    "LMTP-7/mixed": Fault(say("each", "250 2.1.5 taken")),
    "LMTP-7/mixed-4xx": Fault(say("each", "550 5.7.1 no", "450")),
    "LMTP-9/next": Fault(say("RSET", "500 5.5.2 no")),
    "LMTP-8/bdat": LESS,
    "LMTP-8/chunks": Fault(twice("BDAT")),
    "LMTP-8/mixed": LESS,
    "LMTP-12/bare-lf": ONE_FOR_ALL,
    "LMTP-12/bare-cr": ONE_FOR_ALL,
    "LMTP-12/long-line": LESS,
    "LMTP-12/header": LESS,
    "LMTP-12/empty": LESS,
    "LMTP-12/loop": ONE_FOR_ALL,
    "LMTP-12/gtube": ONE_FOR_ALL,
    "LMTP-12/too-big": ONE_FOR_ALL,
    "LMTP-13/reset": Fault(say("MAIL", "503 5.5.1 not now", once("MAIL", 2))),
    "LMTP-15/data": Fault(twice("DATA")),
    "LMTP-16/chunk": LESS,
    "LMTP-17/no-rcpt": Fault(flags="zero-503"),
}
# The rules that hold for all replies are seen in other checks.
SEEN_IN = {"CORE-6/form": "CORE-4/noop", "CORE-6/length": "CORE-4/noop",
           "CORE-25/present": "CORE-4/noop", "CORE-25/absent": "CORE-40/plain",
           "PRDR-40/always": "CORE-4/vrfy", "CORE-13/close": "CORE-4/noop"}


def outcome_of(case, paths, name, fault, is_lmtp):
    """What a check comes to where the server has this fault: (name, outcome, row)."""
    address = ("127.0.0.1", 0) if name != "LMTP-2/port" else ("127.0.0.97", 25)
    only = name + ("," + SEEN_IN[name] if name in SEEN_IN else "")
    with breakable.Server(fault, is_lmtp, paths, address) as server:
        _, report = probe(case, server.url, "--strict", "--timeout", f"{harness.SLOW}s", "--only",
                          only, *RECIPIENTS, status=(0, 1), name=name.replace("/", "-"))
    row = next(r for r in report["rules"] if r["id"] == name)
    return name, row["outcome"], row


def test_every_check_fails(case):
    """A check that cannot fail is none: each of them is seen failing, and passing elsewhere."""
    listed = re.findall(r"^  (\S+)", run([own_program("POSTERN_PROBE"), "--list"]), re.MULTILINE)
    check_equal(sorted([*SMTP_FAULTS, *LMTP_FAULTS]), sorted(listed), "a fault for each check")
    paths = certificate(case)
    wanted = [(case, paths, n, f, False) for n, f in SMTP_FAULTS.items()] + \
        [(case, paths, n, f, True) for n, f in LMTP_FAULTS.items()]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # most of the time they wait
        found = list(pool.map(lambda w: outcome_of(*w), wanted))
    wrong = [(name, outcome, row.get("reason"))
             for name, outcome, row in found if outcome != "fail"]
    check_equal(wrong, [], "checks that did not fail")
    for name, _, row in found:
        check(row["reason"] and (row.get("transcript") or name in PURE), name,
              "fails without a reason or a transcript", row)


# Decided by what EHLO said.
PURE = {"CORE-23/chunking", "CORE-27/8bitmime", "CORE-30/syntax", "CORE-20/keyword",
        "CORE-29/clear",
        "PRDR-1/keyword", "PRDR-3/companions", "DEF-1/keyword", "DEF-3/pipelining",
        "EXD-1/keyword", "LMTP-2/port", "LMTP-3/must", "LMTP-3/should"}


# --- postern-sink, by script --------------------------------------------------------------------

SINK_RULES = ["rcpt rcpt=unknown* -> reply 550 5.1.1 no",
              "each rcpt=refused* -> reply 550 5.7.1 no",
              "each rcpt=delayed* -> reply 450 4.2.1 later"]


def sink(case, name, *rules):
    """{scheme: URL} of a sink with these rules in front."""
    ports = {scheme: harness.free_port() for scheme in ("smtp", "lmtp")}
    urls = {scheme: f"{scheme}://127.0.0.1:{port}" for scheme, port in ports.items()}
    words = [own_program("POSTERN_SINK"), "-q", "--size", "64k", "--rcpt-max", "150"]
    for url in urls.values():
        words += ["--listen", url]
    for rule in (*rules, *SINK_RULES):
        words += ["--rule", rule]
    path = os.path.join(case.dir, name)
    with open(path, "wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    case.cleanups.append(lambda: (process.terminate(), process.wait()))

    def ready():
        with open(path, encoding="utf-8") as f:
            return "ready" in f.read()

    harness.wait_until(ready, "postern-sink is ready")
    return urls


def test_sink(case):
    urls = sink(case, "good")
    for url in urls.values():
        _, report = probe(case, url, *RECIPIENTS[:-2], "--intrusive")
        found = {r["id"] for r in report["rules"] if r["outcome"] in ("fail", "warn")}
        check_equal(found - {"EXD-10/plain"}, set())  # it streams, and so it may say 558 for all
    quick = ["--timeout", f"{500 * harness.SLOW}ms", *RECIPIENTS]
    for name, rule, scheme, failing in (
            ("missing", "each index=2 -> missing", "lmtp", "LMTP-7/three"),
            ("surplus", "each index=2 -> surplus", "lmtp", "LMTP-7/three"),
            ("code", "dot -> code 353", "smtp", "CORE-40/plain"),
            ("352", "rcpt rcpt=ann* -> code 352", "smtp", "PRDR-40/always")):
        urls = sink(case, name, rule)
        _, report = probe(case, urls[scheme], "--only", failing + ",CORE-40/plain", *quick,
                          status=1)
        failed = [r["id"] for r in report["rules"] if r["outcome"] == "fail"]
        check(failing in failed, name, failed)


# --- reports, options, and what cannot be tested ------------------------------------------------


def test_reports(case):
    """Text, JSON and JUnit agree; a warning is no failure unless --strict."""
    junit = os.path.join(case.dir, "report.xml")
    fault = Fault(say("RSET", lambda session, seen: "250 2.0.0 ok \x1b[31m<&>\"" if "now" in
                      session.line else seen))
    chosen = ["--only", "CORE-4/arguments,CORE-4/quit,CORE-4/rset,CORE-22", "--junit", junit]
    for extra, word, status in ((), "warn", 0), (["--strict"], "fail", 1):
        with breakable.Server(fault) as server:
            text, report = probe(case, server.url, *chosen, *extra, status=status)
        found = {r["id"]: r["outcome"] for r in report["rules"]}
        check_equal((found["CORE-4/arguments"], found["CORE-4/quit"], found["CORE-4/rset"]),
                    (word, "pass", "skip"))
        check_equal(report["format"], "postern-probe 1")
        sums = [report[k] for k in ("passed", "failed", "warned", "skipped")]
        check_equal(sum(sums), len(found))
        check_equal(sums[1] + sums[2], 1)
        check("\x1b" not in text and r"250 2.0.0 ok \x1B[31m<&>" in text, text)
        suites = list(xml.etree.ElementTree.parse(junit).getroot())
        cases = [c for suite in suites for c in suite]
        check_equal([c.get("name").split(":")[0] for c in cases], list(found))
        check_equal(sum(int(s.get("skipped")) for s in suites), report["skipped"])
        failures = [c for c in cases if c.find("failure") is not None]
        check_equal(len(failures), report["failed"])
        noted = next(c[0].text for c in cases if len(c) and c[0].tag in ("failure", "system-out"))
        check("C: RSET now\nS: 250 2.0.0 ok" in noted, noted)
        check("CORE-22/one ... CORE-22/rset: 7 rules (needs --rcpt" in text, text)


def test_verbose(case):
    with breakable.Server() as server:
        text, report = probe(case, server.url, "--verbose", "--only", "CORE-4/quit,LMTP-7/one")
        check("  skip  LMTP-7/one" in text and "| C: QUIT\n" in text, text)
        check_equal(report["rules"][0]["transcript"][-1], "-- closed by the server")


def test_starttls_first(case):
    paths = certificate(case)
    with breakable.Server(certificate=paths) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        arguments = ["--starttls", "--only", "CORE-4,CORE-28,PRDR", *RECIPIENTS]
        _, report = probe(case, url, "--tls-ca", paths[0], *arguments)
        check("STARTTLS" not in report["offers"] and report["passed"] > 30, report)
        text = run([own_program("POSTERN_PROBE"), "--tls-ca", "/etc/ssl/certs", *arguments, url],
                   status=3)
        check("TLS handshake failed" in text, text)


def cannot_be_tested(case, words, answer):
    """A server that begins with these octets, and then @answer(connection)."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection = listener.accept()[0]
                with contextlib.suppress(OSError), connection:
                    answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    case.cleanups.append(lambda: harness.close_listener(listener, thread))
    url = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
    text = run([own_program("POSTERN_PROBE"), "--timeout", "500ms", url], status=3)
    check("cannot be tested" in text and words in text, text)


def test_no_server(case):
    def endless(connection):
        while True:
            connection.sendall(b"220-more\r\n" * 1000)

    def line_without_end(connection):
        while True:
            connection.sendall(b"2" * 10000)

    def silent(connection):
        connection.recv(1)

    text = run([own_program("POSTERN_PROBE"), f"smtp://127.0.0.1:{harness.free_port()}"], status=3)
    check("no connection: Connection refused" in text, text)
    cannot_be_tested(case, "no line of a reply", lambda c: c.sendall(b"HTTP/1.1 400 what?\r\n"))
    cannot_be_tested(case, "does not end", endless)
    cannot_be_tested(case, "without end", line_without_end)
    cannot_be_tested(case, "nothing came in time where the greeting was due", silent)
    cannot_be_tested(case, "closed the connection", lambda c: None)
    cannot_be_tested(case, "421 4.3.2 not now", lambda c: c.sendall(b"421 4.3.2 not now\r\n"))


def test_hostile_server(case):
    """Whatever a server says: no crash, and reports that can be read."""
    junit = os.path.join(case.dir, "report.xml")
    runs = 0
    for seed in range(4):
        rng = random.Random(seed)

        def spoil(session, tag, text):
            if tag == "greeting" or (tag in ("EHLO", "LHLO") and session.said[tag] == 1) or \
                    rng.random() > 0.1:
                return text
            whole = text.replace("\n", "\r\n").encode() + b"\r\n"
            return rng.choice([
                None, b"\r\n", whole[:rng.randrange(len(whole))], whole * 2, rng.randbytes(100),
                b"\x1b]0;x\x07\r\n" + whole, b"250-" + b"x" * 70000 + b"\r\n",
                b"558-250-a\r\n558-" + whole, b"250-2.0.0 +RCPT 99999999999999999999\r\n" + whole,
                b"353 a\r\n" * 9, b"%d ok\r\n" % rng.randrange(1000), b"250-a\r\n" * 5000])

        for is_lmtp in (False, True):
            with breakable.Server(Fault(spoil), is_lmtp) as server:
                text = run([own_program("POSTERN_PROBE"), "--timeout", "40ms", "--junit", junit,
                            "--json", os.path.join(case.dir, "report.json"), *RECIPIENTS,
                            server.url], status=(1, 3))
                check("\x1b" not in text and text.isascii(), "not printable")
                if "cannot be tested" in text:  # the greeting took longer than that
                    continue
                runs += 1
                with open(os.path.join(case.dir, "report.json"), encoding="utf-8") as f:
                    report = json.load(f)
                rows = [row for suite in xml.etree.ElementTree.parse(junit).getroot()
                        for row in suite]
                check_equal(len(rows), len(report["rules"]))
                check(report["failed"] > 0, seed, report["failed"])
    check(runs > 0, "nothing was tried")


def test_server_that_dies(case):
    """The rest is skipped, with the reason; that is no success."""
    with breakable.Server(Fault(flags="dies")) as server:
        text, report = probe(case, server.url, "--rcpt", "ann@mx.test.example", status=1)
        check_equal(report["stopped"], "the server no longer answers")
        check("The run ended early" in text, text)


def test_late_greeting(case):
    """Of the rule that was about to be tried nothing is known."""
    greetings = itertools.count()  # the first finds out what is offered
    silent = say("greeting", None, lambda session: next(greetings) == 1)
    with breakable.Server(Fault(silent)) as server:
        _, report = probe(case, server.url, "--only", "CORE-4", "--timeout", "500ms")
        check_equal(report["failed"], 0)
        check_equal(list(skipped(report).values()).count(
            "nothing came in time where the greeting was due"), 1)


def test_all_over_tls(case):
    paths = certificate(case)
    for is_tls, extra in ((True, []), (False, ["--starttls"])):
        with breakable.Server(certificate=paths, is_tls=is_tls) as server:
            _, report = probe(case, server.url, "--strict", *extra, *RECIPIENTS)
            check("STARTTLS" not in report["offers"] and report["passed"] > 160, report["passed"])
            check_equal(report["greeting"], "220 mx.test.example ESMTP")


def test_ways_to_refuse_an_injection(case):
    paths = certificate(case)
    for flag in ("refuses-behind", "ends-behind", "drops-behind"):
        with breakable.Server(Fault(flags=flag), certificate=paths) as server:
            _, report = probe(case, server.url, "--only", "CORE-28/injection.*")
            check_equal(report["passed"], 2, flag)


def test_time_is_bounded(case):
    with breakable.Server(Fault(say("NOOP", None))) as server:
        _, report = probe(case, server.url, "--limit", f"{harness.SLOW}s", "--only",
                          "CORE-4,CORE-B/command,CORE-21/octets", "--timeout", "20s", status=3)
        check_equal((report["failed"], report["warned"]), (0, 0))
        check_equal(report["stopped"], "the time of --limit is over")


def test_command_line(case):
    del case
    program_path = own_program("POSTERN_PROBE")
    for arguments, words in (
            ([], "no server"), (["smtp://a", "smtp://b"], "one server at a time"),
            (["--only", "NOSUCH", "smtp://a"], "matches no rule"),
            (["--only", ",", "smtp://a"], "no rule is named"),
            (["--timeout", "never", "smtp://a"], "expected a time"),
            (["--nosuch"], "not an option"), (["--gtube=1", "smtp://a"], "takes no value"),
            (["--rcpt"], "needs a value"), (["--starttls", "smtp+unix:/x"], "--starttls is for"),
            (["http://a"], "expected smtp://")):
        text = run([program_path, *arguments], status=2)
        check(words in text, arguments, text)
    listed = run([program_path, "--list", "--only", "lmtp-1[26]", "--skip", "LMTP-12/loop"])
    check_equal(re.findall(r"^  (\S+)", listed, re.MULTILINE),
                ["LMTP-12/" + n for n in ("bare-lf", "bare-cr", "long-line", "header", "empty",
                                          "gtube", "too-big")] + ["LMTP-16/chunk"])
    check("[LMTP, --rcpt, SIZE]" in listed, listed)


harness.main(globals(), seconds=240)
