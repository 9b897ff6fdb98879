#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""postern-probe against other people's servers: Postfix, Exim, Dovecot, Cyrus, OpenSMTPD and
Courier from Debian's packages (tools/peers), each configured to show as much as it can: with TLS
where it works, a limit of size, a recipient who is unknown, and where it decides about the content
for each recipient, one who refuses and one who defers.

Usage: peers.py [--build DIR] [--markdown FILE] [--json FILE] [PEER ...] [-- OPTION ...]

Without PEER, all of them. OPTIONs are the probe's: with one PEER, its own report is printed, as in

    tools/dev probe exim -- --only PRDR-24/delayed
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "blackbox"))

import harness  # pylint: disable=wrong-import-position
import peers  # pylint: disable=wrong-import-position

CERT, KEY = "/peer/etc/cert.pem", "/peer/etc/key.pem"
ANN, BOB, UNKNOWN, REFUSED, LATER, FULL = (
    f"{n}@mx.test.example" for n in ("ann", "bob", "unknown", "refused", "later", "full"))
BOTH = ["--rcpt", ANN, "--rcpt", BOB, "--refused-rcpt", UNKNOWN]
SIZE = 65536

# --- servers --------------------------------------------------------------------------------------


class Exim(peers.Exim):
    CONFIG = (peers.Exim.CONFIG
              .replace("tls_advertise_hosts =", "tls_advertise_hosts = *\n"
                       f"tls_certificate = {CERT}\ntls_privatekey = {KEY}")
              .replace("message_size_limit = 0", f"message_size_limit = {SIZE}"))


class Dovecot(peers.Dovecot):
    """full has no room at all."""

    def __init__(self, case):
        super().__init__(case)
        is_old = self.version.startswith(("1:2.2", "1:2.3"))
        names = ("ssl_cert = <", "ssl_key = <") if is_old else ("ssl_server_cert_file = ",
                                                                "ssl_server_key_file = ")
        self.add("etc/dovecot.conf", f"ssl = yes\n{names[0]}{CERT}\n{names[1]}{KEY}\n")
        users = os.path.join(self.dir, "etc/users")
        self.write("etc/users", Path(users).read_text(encoding="utf-8").replace("1024", "1"))

    def add(self, path, text):
        old = Path(self.dir, path).read_text(encoding="utf-8")
        self.write(path, old + text)


class OpenSmtpd(peers.OpenSmtpd):
    """Without TLS: that of Debian 12 (6.8.0p2) ends each handshake with an internal error.
    <postmaster> is one of its own host."""

    CONFIG = (peers.OpenSmtpd.CONFIG.replace("1G", str(SIZE)) +
              'match from any for domain "opensmtpd.test.example" action "take"\n')


def postfix(case):
    server = peers.Postfix(case, settings={
        "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": CERT, "smtpd_tls_key_file": KEY,
        "message_size_limit": str(SIZE), "body_checks": "regexp:/peer/etc/body"})
    server.write("etc/body", "/GTUBE-STANDARD/ REJECT Not wanted\n")
    return server


def cyrus(case):
    return peers.Cyrus(case, settings=f"maxmessagesize: {SIZE}\n")


class Target:
    def __init__(self, title, scheme, make, *options):
        self.title, self.scheme, self.make, self.options = title, scheme, make, options


TARGETS = {
    "postfix": Target("Postfix smtpd", "smtp", postfix, "--gtube"),
    "exim": Target("Exim", "smtp", Exim, "--content-refused-rcpt", REFUSED,
                   "--content-delayed-rcpt", LATER),
    "opensmtpd": Target("OpenSMTPD", "smtp", OpenSmtpd),
    "courier": Target("Courier", "smtp", peers.Courier, "--content-refused-rcpt", REFUSED,
                      "--content-delayed-rcpt", LATER),
    "dovecot": Target("Dovecot LMTP", "lmtp", Dovecot, "--content-refused-rcpt", FULL),
    "cyrus": Target("Cyrus lmtpd", "lmtp", cyrus),
}


def give_certificate(server):
    etc = os.path.join(server.dir, "etc")
    harness.run([harness.program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                 "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                 "-keyout", etc + "/key.pem", "-out", etc + "/cert.pem"])
    os.chmod(etc + "/key.pem", 0o644)  # Exim reads it as a user of its own


def probe(name, options):
    """(text, report or None) of one server."""
    target = TARGETS[name]
    case = harness.Case(tempfile.mkdtemp(prefix="postern-probe-"))
    try:
        server = target.make(case)
        give_certificate(server)
        server.start()
        path = os.path.join(case.dir, "report.json")
        command = [harness.own_program("POSTERN_PROBE"), "--intrusive", "--json", path,
                   "--upload", "1M", *BOTH, *target.options, *options,
                   f"{target.scheme}://127.0.0.1:{server.port}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode("utf-8", "replace")
        if not os.path.exists(path):
            return text, None
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        report["package"] = f"{server.PACKAGE} {server.version}"
        return text, report
    finally:
        case.end()


# --- what is printed ------------------------------------------------------------------------------

MARKS = {"pass": "yes", "fail": "**no**", "warn": "no", "skip": ""}


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def matrix(reports):
    """The rules that some server breaks."""
    rows = {}
    for name, report in reports.items():
        for rule in report["rules"]:
            rows.setdefault(rule["id"], (rule, {}))[1][name] = rule["outcome"]
    out = ["| rule | | " + " | ".join(reports) + " |", "|---|---|" + "---|" * len(reports)]
    for rule_id, (rule, outcomes) in rows.items():
        if not any(o in ("fail", "warn") for o in outcomes.values()):
            continue
        marks = " | ".join(MARKS[outcomes.get(name, "skip")] for name in reports)
        out.append(f"| {rule_id} | {cell(rule['title'])} | {marks} |")
    return "\n".join(out)


# What stands out, where it was seen: (peer, rule, text).
FINDINGS = (
    ("postfix", "CORE-41/1",
     "**Postfix ends the content at a dot between bare LFs**, which is what smuggling needs: a "
     "server in front of it that does not do so passes on a message with another one hidden in "
     "it. `smtpd_forbid_bare_newline = yes` ends it, but for clients in `mynetworks`; it is "
     "not the default of this version."),
    ("dovecot", "CORE-41/1",
     "So does Dovecot's LMTP server: what stands in front of it has to be strict."),
    ("cyrus", "CORE-41/1", "So does that of Cyrus."),
    ("cyrus", "LMTP-12/too-big",
     "**Cyrus gives one reply where each recipient is due one**, when the content is larger "
     "than it said: a client with several recipients waits for the others until its limit, and "
     "sends all of them again."),
    ("exim", "PRDR-24/delayed",
     "**Exim's last reply of a PRDR block is 250 though nobody takes the message**, where one "
     "is refused and one deferred: a client that goes by the last reply alone loses it."),
    ("courier", "EXD-4/unasked",
     "**Courier sends 558 to clients that did not ask**, and they bounce the message for "
     "everybody, those who were told 250 in it included."),
    ("courier", "CORE-21/data",
     "Courier forgets commands that come together with the end of the content, though it "
     "offers PIPELINING."),
    ("dovecot", "LMTP-17/no-rcpt",
     "Dovecot answers BDAT LAST without a recipient, where RFC 2033 has no reply: a client "
     "that pipelines it behind RCPT gets out of step."),
)


def wrapped(item):
    return textwrap.fill(item, 120, subsequent_indent="  ", break_long_words=False,
                         break_on_hyphens=False)


def findings(reports):
    found = []
    for name, rule_id, text in FINDINGS:
        rules = reports[name]["rules"] if name in reports else []
        if any(r["id"] == rule_id and r["outcome"] == "fail" for r in rules):
            found.append(wrapped(f"- {text} (`tools/dev probe {name} -- --only {rule_id}`)"))
    return "\n".join(found)


def section(name, report):
    out = [f"## {TARGETS[name].title}: {report['package']}", ""]
    for outcome, word in (("fail", "Rules that it breaks"), ("warn", "Recommendations")):
        rules = [r for r in report["rules"] if r["outcome"] == outcome]
        if rules:
            out += [f"{word}:", ""]
        for rule in rules:
            out.append(wrapped(f"- `{rule['id']}` {cell(rule['title'])}: {cell(rule['reason'])}"))
        if rules:
            out.append("")
    if report["stopped"]:
        out += [f"It was not finished: {report['stopped']}", ""]
    return "\n".join(out)


def page(reports):
    sums = "\n".join(
        f"| {TARGETS[n].title} | {r['package']} | {r['passed']} | {r['failed']} | {r['warned']} | "
        f"{r['skipped']} |" for n, r in reports.items())
    sections = "\n".join(section(n, r) for n, r in reports.items())
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return f"""# What other servers do with the rules

`postern-probe` against servers from Debian's packages. Rules are those of the standards and drafts
as the sheets number them; most servers do not claim to keep all of them, and a recommendation that
is not followed is no fault. What a server does not offer is skipped. The page is made by

    tools/dev probe --markdown docs/probe.md

and any line of it, with the transcript of the conversation, by
`tools/dev probe NAME -- --only RULE`, for instance

    tools/dev probe exim -- --only PRDR-24/delayed

NAME is one of {', '.join(TARGETS)}. {platform.system()} {platform.release()}, {today}.

| server | version | passed | broken | not recommended | skipped |
|---|---|---|---|---|---|
{sums}

## What stands out

{findings(reports)}

## Rule by rule

Rules that one of them breaks (**no**), or a recommendation that one of them does not follow (no);
empty where it was not tried:

{matrix(reports)}

{sections}"""


def run(names, options):
    """({name: report}, [what could not be run])."""
    reports, missing = {}, []
    for name in names:
        try:
            text, report = probe(name, options)
        except harness.Skip as skip:
            missing.append(f"{name}: {skip}")
            continue
        if report is None:
            missing.append(f"{name}: FAILED: {text}")
            continue
        reports[name] = report
        print(f"{name}: {report['passed']} passed, {report['failed']} failed, {report['warned']} "
              f"warned, {report['skipped']} skipped; {report['seconds']:.0f} s", file=sys.stderr,
              flush=True)
    return reports, missing


def main(arguments):
    options = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, options = arguments[:at], arguments[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=str(TOP / "build-peers"))
    parser.add_argument("--markdown")
    parser.add_argument("--json")
    parser.add_argument("names", nargs="*", metavar="PEER", help=", ".join(TARGETS))
    known = parser.parse_args(arguments)
    unknown = [name for name in known.names if name not in TARGETS]
    if unknown:
        parser.error(f"no peer called {unknown[0]}; there are: {', '.join(TARGETS)}")
    os.environ.setdefault("POSTERN_PROBE",
                          os.path.join(known.build, "tools", "probe", "postern-probe"))
    if len(known.names) == 1 and known.markdown is None and known.json is None:
        try:
            text, report = probe(known.names[0], options)
        except harness.Skip as skip:
            print(skip, file=sys.stderr)
            return harness.SKIP_STATUS
        print(text, end="")
        return 2 if report is None else int(report["failed"] > 0)
    reports, missing = run(known.names or list(TARGETS), options)
    for line in missing:
        print(line, file=sys.stderr)
    if not reports:
        return harness.SKIP_STATUS
    if known.json:
        with open(known.json, "w", encoding="utf-8") as f:
            json.dump(reports, f, indent=1)
    text = page(reports)
    if known.markdown:
        with open(known.markdown, "w", encoding="utf-8") as f:
            f.write(text)
    else:
        print(text)
    return 1 if any("FAILED" in line for line in missing) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
