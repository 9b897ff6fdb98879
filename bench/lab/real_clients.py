#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Postfix, Exim, OpenSMTPD and Courier do as clients when the replies to the content come
late, line by line, one by one, or are cut off: from real runs, in each dialect that they can speak.

Every client is the program from Debian's package (tools/peers), with its limit for the reply to the
content set to seconds; OpenSMTPD's cannot be set and is 300 seconds. The server is postern-sink
with a script. It commits a recipient before it answers, as a good server does, and does not notice
that a client has gone (S-run of duplicates.md section 3), unless the situation says otherwise. The
first try of each message meets the situation, every later try a server without fault. What became
of each recipient is said by the client's own log; how many copies there are by the sink's ledger.

A situation is written in parts of the client's limit C, so that it is the same for all of them.

Usage: real_clients.py [--build DIR] [--only REGEX] [--limit SECONDS] [--json FILE]
                       [--markdown FILE] [--keep] [--list]

--only chooses cells by "CLIENT / SITUATION", for instance --only 'exim prdr / cut'.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "blackbox"))

import harness  # pylint: disable=wrong-import-position
import peers  # pylint: disable=wrong-import-position

RCPTS = ("r1", "r2", "r3")
RUN = 0x5ea1
OPENSMTPD_LIMIT = 300

# --- situations -----------------------------------------------------------------------------------
# Rules of the sink for the first try; {a} chooses it, {NUMBER} is that part of C in seconds. Of
# each kind of action the first one that is found counts. HALF is a reply whose line has no end.

LINES = r"raw 250-one\r\n250-two\r\n250-three\r\n250 2.0.0 four\r\n"
HALF = "raw 250 2.0"
# 558 to a client that has not asked, but understands it: four lines for three recipients.
LIST = r"raw 558-250 r1\r\n558-250-r2\r\n558-250 is taken\r\n558 250 r3\r\n"
LIST_CUT = r"raw 558-250 r1\r\n558-250-r2\r\n558-250 is taken\r\n"
# "single" is LMTP with a connection for each recipient.
ALL, EACH = ("smtp", "lmtp", "prdr", "single"), ("lmtp", "prdr")
# Replies in a block are a little apart, in every try: what comes of them when they arrive together
# is a situation of its own.
APART = "each {s} -> delay {0.01}"


class Situation:
    def __init__(self, name, dialects, text, *rules, exdata=None):
        self.name, self.dialects, self.text = name, dialects, text
        self.rules, self.exdata = (*rules, APART) if rules else (), exdata
        if exdata is not None:
            self.dialects = (*dialects, "exdata")

    def lines(self, seq, limit, dialect):
        """The rules as the sink wants them."""
        def fill(match):
            return f"{float(match.group(1)) * limit:g}s"

        first = f"seq={seq} attempt={'-3' if dialect == 'single' else '1'}"
        return [re.sub(r"\{([\d.]+)\}", fill,
                       rule.replace("{a}", first).replace("{s}", f"seq={seq}"))
                for rule in (self.exdata if dialect == "exdata" else self.rules)]


SITUATIONS = (
    Situation("at once", ALL, "all replies at once, in one packet",
              exdata=(f"dot {{a}} -> {LIST}",)),
    Situation("in time", ALL, "the first reply after 0.8 C", "dot {a} -> delay {0.8}",
              exdata=(f"dot {{a}} -> delay {{0.8}}; {LIST}",)),
    Situation("late", ALL, "the first reply after 1.2 C", "dot {a} -> delay {1.2}",
              exdata=(f"dot {{a}} -> delay {{1.2}}; {LIST}",)),
    Situation("late second", EACH, "the second reply 1.2 C behind the first",
              "each {a} index=2 -> delay {1.2}"),
    Situation("one by one", EACH, "three replies, 0.4 C apart: the last after 1.2 C",
              "each {a} -> delay {0.4}"),
    Situation("line by line", ALL,
              "the last reply has four lines, 0.4 C apart: it ends after 1.2 C",
              f"dot via=smtp {{a}} -> pace {{0.4}}; {LINES}",
              f"each {{a}} count=1 -> pace {{0.4}}; {LINES}",
              f"each {{a}} index=3 -> delay {{0.01}}; pace {{0.4}}; {LINES}",
              exdata=(f"dot {{a}} -> pace {{0.4}}; {LIST}",)),
    Situation("cut before", ALL, "cut before the first reply", "dot {a} -> drop-after 0"),
    Situation("cut after two", EACH, "cut after two of three replies; the server commits all",
              "dot {a} -> drop-after 2", exdata=(f"dot {{a}} -> drop-after 1; {LIST_CUT}",)),
    Situation("cut after two, forgotten", ("prdr",), "cut after two of three replies; the server "
              "commits nothing, as is its right", "dot {a} -> drop-after 2; gone stop"),
    Situation("cut before final", ("prdr",), "cut after the three replies, before the final one",
              "dot {a} -> drop-after 3"),
    Situation("half a line", ALL,
              "cut in the middle of a line: of the reply, of the second of three",
              f"dot via=smtp {{a}} -> drop-after 1; {HALF}",
              "dot count=1 {a} -> drop-after 1", f"each count=1 {{a}} -> {HALF}",
              "dot {a} -> drop-after 2", f"each {{a}} index=2 -> {HALF}",
              exdata=(r"dot {a} -> drop-after 1; raw 558-250 r1\r\n558-250",)),
    Situation("half a reply", ("smtp",), "cut between two lines of the reply",
              r"dot {a} -> drop-after 1; raw 250-one\r\n"),
)

# --- clients --------------------------------------------------------------------------------------


class Client:
    """How one is started: routes maps a domain to a port."""

    def __init__(self, name, dialect, how, start, limit=None):
        self.name, self.dialect, self.how, self.start = name, dialect, how, start
        # OpenSMTPD has few connections to a host at a time, so each situation has its own
        # OpenSMTPD.
        self.limit, self.is_alone = limit, limit is not None


def postfix(dialect, **settings):
    def start(case, routes, limit):
        main = {f"{dialect}_data_done_timeout": f"{limit:g}s"}
        main.update({f"{dialect}_{k}": v for k, v in settings.items()})
        return peers.Postfix(case, settings=main,
                             routes={d: (dialect, port) for d, port in routes.items()})
    return start


def exim(kind):
    def start(case, routes, limit):
        return peers.Exim(case, target=(kind, 9), routes=routes, settings="queue_run_in_order\n",
                          transport=f"  final_timeout = {limit:g}s\n")
    return start


def opensmtpd(kind):
    def start(case, routes, limit):
        return peers.OpenSmtpd(case, routes={d: (kind, port) for d, port in routes.items()})
    return start


def courier():
    def start(case, routes, limit):
        return peers.Courier(case, routes=routes, data_timeout=f"{limit:g}")
    return start


CLIENTS = (
    Client("postfix smtp", "smtp", "smtp_data_done_timeout = C", postfix("smtp")),
    Client("postfix smtp, deadline", "smtp",
           "smtp_data_done_timeout = C, smtp_per_request_deadline = yes",
           postfix("smtp", per_request_deadline="yes")),
    Client("postfix lmtp", "lmtp", "lmtp_data_done_timeout = C", postfix("lmtp")),
    Client("postfix lmtp, deadline", "lmtp",
           "lmtp_data_done_timeout = C, lmtp_per_request_deadline = yes",
           postfix("lmtp", per_request_deadline="yes")),
    Client("exim smtp", "smtp", "final_timeout = C", exim("smtp")),
    Client("exim prdr", "prdr", "final_timeout = C, hosts_try_prdr = *", exim("prdr")),
    Client("exim lmtp", "lmtp", "final_timeout = C", exim("lmtp")),
    Client("opensmtpd smtp", "smtp", "relay host smtp://; C is fixed", opensmtpd("smtp"),
           OPENSMTPD_LIMIT),
    Client("opensmtpd lmtp", "lmtp", "relay host lmtp://; C is fixed", opensmtpd("lmtp"),
           OPENSMTPD_LIMIT),
    Client("opensmtpd mail.lmtp", "single", "action lmtp, one recipient a connection; C as above",
           opensmtpd("mail.lmtp"), OPENSMTPD_LIMIT),
    Client("courier smtp", "smtp", "esmtptimeoutdata = C", courier()),
    Client("courier exdata", "exdata", "esmtptimeoutdata = C; the server's reply is 558, for which "
           "Courier does not ask, but which it understands from a server that offers XEXDATA",
           courier()),
)

# --- a run ----------------------------------------------------------------------------------------


class Sink:
    """postern-sink with a listener for each situation."""

    def __init__(self, case, dialect, rules, count, limit):
        self.ledger = os.path.join(case.dir, "arrivals")
        self.log = os.path.join(case.dir, "sink")
        scheme = "lmtp" if dialect in ("lmtp", "single") else "smtp"
        self.ports = [harness.free_port() for _ in range(count)]
        command = [harness.own_program("POSTERN_SINK"), "--ledger", self.ledger, "--grace",
                   f"{limit + 10:g}s", "--idle", "3600s"]
        offer = {"prdr": "PRDR", "exdata": "EXDATA"}.get(dialect)
        unwanted = [w for w in ("PRDR", "DEFERRALS", "EXDATA") if w != offer]
        command += ["--no-offer", ",".join(unwanted)]
        for port in self.ports:
            command += ["--listen", f"{scheme}://127.0.0.1:{port}"]
        for rule in rules:
            command += ["--rule", rule]
        with open(self.log, "wb") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr)
        case.cleanups.append(self.kill)
        harness.wait_until(self.is_ready, "the sink is ready")

    def is_ready(self):
        text = Path(self.log).read_text(encoding="utf-8")
        harness.check(self.process.poll() is None, "the sink ended:", text)
        return "ready\n" in text

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(600)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def arrivals(self):
        """[(address, code, delivered)] of each copy that was taken."""
        with open(self.ledger, encoding="utf-8") as f:
            lines = [line.rstrip("\n").split("\t") for line in f]
        names = [lines[1][0].lstrip("#"), *lines[1][1:]]
        rows = [dict(zip(names, line)) for line in lines[2:]]
        return [(r["address"], r["code"], r["delivered"]) for r in rows]


def is_final(outcomes, address):
    return any(status in ("sent", "failed") for status, _, _ in outcomes.get(address, ()))


class Group:
    """All situations of one client, at the same time: each has a domain, a port and a message."""

    def __init__(self, case, client, situations, limit):
        self.case, self.client, self.situations, self.limit = case, client, situations, limit
        self.submitted = []
        self.seen = {}  # (address, position in its outcomes): when it was in the log
        rules = [rule for seq, s in enumerate(situations)
                 for rule in s.lines(seq, limit, client.dialect)]
        self.sink = Sink(case, client.dialect, rules, len(situations), limit)
        self.domains = [f"s{i}.example" for i in range(len(situations))]
        self.peer = client.start(case, dict(zip(self.domains, self.sink.ports)), limit).start()

    def addresses(self, i):
        return [f"{r}@{self.domains[i]}" for r in RCPTS]

    def outcomes(self):
        """{address: [(status, code, text)]} in the order of the client's log."""
        found = {}
        for d in self.peer.deliveries():
            found.setdefault(d.recipient, []).append((d.status, d.code, d.text))
        return found

    def run(self):
        began = time.monotonic()
        for i in range(len(self.situations)):
            message_id = f"<pl.{RUN:016x}.{i}@client.example>"
            self.peer.submit(self.addresses(i), harness.message(message_id=message_id))
            self.submitted.append(time.monotonic())
        everyone = [a for i in range(len(self.situations)) for a in self.addresses(i)]
        deadline = began + 1.35 * self.limit + 60
        while True:
            outcomes = self.outcomes()
            now = time.monotonic()
            for address, list_ in outcomes.items():
                for at in range(len(list_)):
                    self.seen.setdefault((address, at), now)
            if all(is_final(outcomes, a) for a in everyone) or now > deadline:
                break
            if hasattr(self.peer, "retry"):
                self.peer.retry()
            time.sleep(0.2 if self.limit < 60 else 2)
        self.peer.stop()
        self.sink.end()  # what a client has left behind goes on there: a copy may still come
        return [self.cell(i, outcomes) for i in range(len(self.situations))]

    def cell(self, i, outcomes):
        copies = Counter(address for address, _, _ in self.sink.arrivals())
        rcpts = {}
        for name, address in zip(RCPTS, self.addresses(i)):
            tries = outcomes.get(address, [])
            rcpts[name] = {
                "tries": [{"status": s, "code": c, "text": t[-300:],
                           "seconds": round(self.seen[address, at] - self.submitted[i], 1)}
                          for at, (s, c, t) in enumerate(tries)],
                "copies": copies[address]}
        situation = self.situations[i]
        return {"client": self.client.name, "dialect": self.client.dialect,
                "situation": situation.name, "limit_seconds": self.limit,
                "rules": situation.lines(i, self.limit, self.client.dialect), "recipients": rcpts,
                **judge(rcpts)}


def judge(rcpts):
    """What it comes to. The message was to be delivered once to everybody."""
    sums = Counter()
    for rcpt in rcpts.values():
        statuses = [t["status"] for t in rcpt["tries"]]
        is_sent, has_failed = "sent" in statuses, "failed" in statuses
        sums["retried"] += statuses[:1] == ["deferred"]  # Courier logs more of who had a reply
        sums["duplicates"] += max(rcpt["copies"] - 1, 0)
        sums["lost"] += is_sent and rcpt["copies"] == 0
        sums["bounced"] += has_failed
        sums["bounced_and_taken"] += has_failed and rcpt["copies"] > 0
        sums["once"] += is_sent and rcpt["copies"] == 1
        sums["unfinished"] += not is_sent and not has_failed
    names = ("once", "duplicates", "lost", "bounced", "bounced_and_taken", "retried", "unfinished")
    return {name: sums[name] for name in names}


def matrix(only=None, limit=6):
    """[(client, its situations, limit)] of the cells that were asked for."""
    found = []
    for client in CLIENTS:
        chosen = [s for s in SITUATIONS if client.dialect in s.dialects and
                  (only is None or re.search(only, f"{client.name} / {s.name}"))]
        groups = [[s] for s in chosen] if client.is_alone else [chosen] if chosen else []
        found += [(client, group, client.limit or limit) for group in groups]
    return found


def run_group(client, situations, limit, slots, keep=False):
    """slots: how many may work at a time; waiting for 300 seconds is no work."""
    case = harness.Case(tempfile.mkdtemp(prefix="postern-clients-"))
    try:
        with slots:
            group = Group(case, client, situations, limit)
            if not client.is_alone:
                cells = group.run()
        if client.is_alone:
            cells = group.run()
        return cells, group.peer.PACKAGE, group.peer.version
    finally:
        if keep:
            print(f"kept: {case.dir}", file=sys.stderr)
            keep_only(case)
        else:
            case.end()


def keep_only(case):
    for server in case.servers:
        server.end()
    for cleanup in reversed(case.cleanups):
        cleanup()


def run(only=None, limit=6, keep=False, parallel=3):
    """All cells: {cells, versions, skipped}."""
    result = {"cells": [], "versions": {}, "skipped": []}
    lock, slots, threads = threading.Lock(), threading.Semaphore(parallel), []

    def work(client, situations, its_limit):
        try:
            cells, package, version = run_group(client, situations, its_limit, slots, keep)
        except harness.Skip as skip:
            with lock:
                result["skipped"].append(f"{client.name}: {skip}")
            return
        except Exception as error:  # pylint: disable=broad-except
            names = ", ".join(s.name for s in situations)
            with lock:
                result["skipped"].append(f"{client.name} / {names}: FAILED: {error!r}")
            return
        with lock:
            result["cells"] += cells
            result["versions"][package] = version
        for cell in cells:
            print(f"{client.name} / {cell['situation']}: {words(cell)}", file=sys.stderr,
                  flush=True)

    # Those that only wait begin first.
    for group in sorted(matrix(only, limit), key=lambda g: -g[2]):
        threads.append(threading.Thread(target=work, args=group))
        threads[-1].start()
    for thread in threads:
        thread.join()
    order = [(c.name, s.name) for c in CLIENTS for s in SITUATIONS]
    result["cells"].sort(key=lambda cell: order.index((cell["client"], cell["situation"])))
    return result

# --- what is printed ------------------------------------------------------------------------------


def timer_of(cells):
    """What a client counts as its limit, from what it bore: DUP-13 of duplicates.md."""
    by_name = {c["situation"]: c for c in cells}

    def is_borne(name):
        cell = by_name.get(name)
        return cell is not None and cell["retried"] == 0 and cell["once"] == len(RCPTS)

    def was_seen(name):
        return name in by_name

    if not was_seen("late") or not is_borne("in time"):
        return "not seen"
    if is_borne("late"):
        return "none within 1.2 C"
    if was_seen("line by line") and is_borne("line by line"):
        return "each read: every line starts it anew"
    if was_seen("one by one") and is_borne("one by one"):
        return "each reply: its lines share one limit"
    if was_seen("one by one"):
        return "all replies together"
    if by_name["late"]["dialect"] == "single":
        return "all of the delivery: its agent is ended then"
    return "the whole reply: its lines share one limit"


def words(cell):
    """A cell of the table."""
    n = len(RCPTS)
    parts = []
    if cell["lost"]:
        parts.append(f"**{cell['lost']} lost**")
    if cell["duplicates"]:
        parts.append(f"**{cell['duplicates']} twice**" if cell["duplicates"] <= n else
                     f"**{cell['duplicates']} copies too many**")
    if cell["bounced"]:
        taken = f" ({cell['bounced_and_taken']} of them taken)" if cell["bounced_and_taken"] else ""
        parts.append(f"**{cell['bounced']} bounced**{taken}")
    if cell["unfinished"]:
        parts.append(f"{cell['unfinished']} still in its queue")
    if cell["once"]:
        parts.append("all once" if cell["once"] == n else f"{cell['once']} once")
    if cell["retried"]:
        parts.append(f"{cell['retried']} tried again")
    return ", ".join(parts)


def reason(cell):
    """Why the first try did not do, in the client's words."""
    for rcpt in cell["recipients"].values():
        for one in rcpt["tries"][:1]:
            if one["status"] != "sent":
                return one["text"], one["seconds"]
    return None, None


def short(cell):
    """One field of the table of everything."""
    parts = [f"{cell[key]} {word}" for key, word in
             (("lost", "lost"), ("duplicates", "twice"), ("bounced", "bounced"),
              ("unfinished", "?")) if cell[key]]
    return ", ".join(parts) if parts else "once"


# What stands out, if it was seen: (cells as "CLIENT / SITUATION", what must be true of each, text).
FINDINGS = (
    (["exim prdr / cut after two, forgotten"], lambda c: c["lost"] > 0,
     "**Exim loses mail over PRDR when the connection breaks among the replies.** It takes "
     "each reply of 250 for a delivery, but by the draft none counts before the final one, so "
     "a server that sees the client go may forget the message. A server that wants to be safe "
     "with it commits before the first 250; `posternd` does."),
    (["opensmtpd lmtp / at once"], lambda c: c["duplicates"] > 0,
     "**OpenSMTPD's LMTP client multiplies mail when replies arrive in one packet.** It takes "
     "the first, calls the rest \"too much data\", and sends to all others again, one more of "
     "them done each time. Its delivery agent (`action ... lmtp`) has one recipient a "
     "connection, and no such trouble."),
    (["postfix smtp / line by line", "postfix lmtp / line by line",
      "opensmtpd smtp / line by line"],
     lambda c: c["retried"] == 0,
     "Lines of one reply keep Postfix (as it is by default) and OpenSMTPD waiting: "
     "each read starts their limit anew."),
    (["exim smtp / line by line", "exim prdr / line by line", "exim lmtp / line by line",
      "postfix smtp, deadline / line by line"], lambda c: c["retried"] > 0,
     "They do not keep Exim waiting, nor Postfix with per_request_deadline: all lines of a "
     "reply share one limit. Only separate replies help with everybody (DUP-13)."),
    (["postfix lmtp / one by one", "exim lmtp / one by one", "exim prdr / one by one",
      "opensmtpd lmtp / one by one"], lambda c: c["retried"] == 0,
     "Separate replies, as in LMTP and PRDR, start the limit of every one of these clients "
     "anew: work for many recipients may take longer than the limit in all, as long as no "
     "single gap does."),
    (["postfix smtp / late", "exim smtp / late", "opensmtpd smtp / late"],
     lambda c: c["duplicates"] == len(RCPTS),
     "In plain SMTP, a reply that is too late doubles the mail of every recipient, with "
     "each of them (RFC 1047)."),
    (["postfix lmtp / cut after two", "exim lmtp / cut after two",
      "opensmtpd lmtp / cut after two"],
     lambda c: c["duplicates"] == 1,
     "In LMTP all of them honour the replies that came before a cut, and send to the others only."),
    (["courier exdata / cut after two"], lambda c: c["duplicates"] == 1,
     "Courier takes a 558 that it did not ask for as what it is, from a server that offers "
     "XEXDATA: each recipient as its part says, and of a list that was cut what had come; to "
     "the others it sends again. All others bounce what gets 558."),
    (["courier exdata / line by line"], lambda c: c["retried"] > 0,
     "But all of the 558 has one limit, so a list that grows line by line does not keep it "
     "waiting (against EXD-16)."),
    (["exim prdr / cut before final"], lambda c: c["duplicates"] == len(RCPTS),
     "In PRDR, a server that commits before its final reply and loses the connection right there "
     "has its whole message again."),
)


def wrapped(text, indent=""):
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)


def findings(cells):
    by_name = {f"{c['client']} / {c['situation']}": c for c in cells}
    return "\n".join(wrapped(f"- {text}", "  ") for names, holds, text in FINDINGS
                     if all(n in by_name and holds(by_name[n]) for n in names))


def overview(cells):
    clients = [c.name for c in CLIENTS if any(cell["client"] == c.name for cell in cells)]
    by_name = {(c["client"], c["situation"]): c for c in cells}
    rows = ["| | " + " | ".join(clients) + " |", "|---|" + "---|" * len(clients),
            "| the limit counts for | " + " | ".join(
                timer_of([c for c in cells if c["client"] == name]).split(":")[0]
                for name in clients) + " |"]
    for s in SITUATIONS:
        found = [by_name.get((name, s.name)) for name in clients]
        if any(found):
            rows.append(f"| {s.name} | " + " | ".join(short(c) if c else "" for c in found) + " |")
    return "\n".join(rows)


def markdown(result):
    cells = result["cells"]
    clients = [c for c in CLIENTS if any(cell["client"] == c.name for cell in cells)]
    out = []
    for client in clients:
        mine = [c for c in cells if c["client"] == client.name]
        out += [f"### {client.name}", "",
                wrapped(f"{client.how}; C = {mine[0]['limit_seconds']:g} s. Its limit counts for: "
                        f"{timer_of(mine)}."), "",
                "| situation | outcome for three recipients | first trouble |",
                "|---|---|---|"]
        for cell in mine:
            text, seconds = reason(cell)
            text = "" if text is None else f"{seconds:g} s: " + brief(text)
            out.append(f"| {cell['situation']} | {words(cell)} | {text} |")
        out.append("")
    for skipped in result["skipped"]:
        out += [wrapped(f"Not run: {skipped}"), ""]
    return "\n".join(out)


def brief(text):
    text = re.sub(r"^.*?(?:delivery temporarily suspended|defer \(-?\d+\)): ", "", text)
    text = re.sub(r"^.*?(?:defer|T=\w+)[^:]*: ", "", text) if " T=" in text else text
    text = text.replace("|", "/").replace("127.0.0.1", "host")
    return text if len(text) <= 110 else text[:107] + "..."


def page(result, command):
    versions = ", ".join(f"{k} {v}" for k, v in sorted(result["versions"].items()))
    legend = "\n".join(f"| {s.name} | {s.text} |" for s in SITUATIONS)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    versions = wrapped(f"Versions: {versions}. {platform.system()} {platform.release()}, {today}.")
    return f"""# What other people's clients do

What Postfix, Exim, OpenSMTPD and Courier do when a server's replies to the content come late, line
by line, one by one, or are cut off, in each dialect that they speak. Every line is from a real run,
by

    {command}

and any cell of it is run alone by adding `--only 'CLIENT / SITUATION'`, for instance
`--only 'exim prdr / cut after two'`. The limit C is the client's own for the reply to the content,
set to seconds here; it is 600 s by default with Postfix and Exim, and fixed at 300 s in OpenSMTPD.
`tests/blackbox/peer_courier_test.py` has Courier in front of `posternd`, and what it makes of our
own 558.

{versions}

The server is `postern-sink` (see `bench/lab/real_clients.py`). Three recipients; the server accepts
all of them, commits each before its reply, and does not notice that a client has gone. The first
try meets the situation, every later one a server without fault. "Twice" is by the server's ledger,
all else by the client's log. "First trouble": the client's own words for the first outcome of a
recipient that was not success, and how long after the submission it was in the log.

| situation | what the server does at the first try |
|---|---|
{legend}

"late" and "in time" tell whether there is a limit at all; "one by one" and "line by line" take
longer than C in all, with gaps that are shorter. Except in "at once", replies of a block are 0.01 C
apart.

## What stands out

{findings(result["cells"])}

## All of it

How many of three recipients had their mail twice (two copies too many count as two), lost it, or
had it bounced; "once" means that all is well.

{overview(result["cells"])}

## Each client

{markdown(result)}"""


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=str(TOP / "build-peers"))
    parser.add_argument("--only")
    parser.add_argument("--limit", type=float, default=6, help="C in seconds, where it can be set")
    parser.add_argument("--json")
    parser.add_argument("--markdown")
    parser.add_argument("--keep", action="store_true", help="logs and configurations")
    parser.add_argument("--list", action="store_true", help="the cells that there are")
    options = parser.parse_args(arguments)
    if options.list:
        for client, situations, _ in matrix(options.only):
            for situation in situations:
                print(f"{client.name} / {situation.name}")
        return 0
    sink = os.path.join(options.build, "tools", "sink", "postern-sink")
    os.environ.setdefault("POSTERN_SINK", sink)
    result = run(options.only, options.limit, options.keep)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
    text = page(result, "tools/dev clients --markdown docs/real-clients.md") + "\n"
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as f:
            f.write(text)
    else:
        print(markdown(result))
    return 1 if any("FAILED" in s for s in result["skipped"]) or not result["cells"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
