# SPDX-License-Identifier: Apache-2.0
"""Exim as a client: PRDR, LMTP and plain SMTP, over DATA and BDAT, to recipients who answer
differently. What counts is what Exim's log says became of each recipient, and what is in the spool.
"""

import os
import re
import signal

import harness
import peers
from harness import GTUBE, check, check_equal, message
from relay import Relay

CONFIG = """
{listeners}
rules = "rules";
class "strict" { score_reject = 5; reject_reply = "550 5.7.1 Not wanted here"; }
class "postmaster" { score_reject = off; }
class "small" { size_max = 10kb; size_reply = "552 5.2.3 At most 10 KB here"; }
class "never" { action = reject; reject_reply = "554 5.7.1 Never"; }
class "later" { action = LATER; }
class "lax" { score_reject = off; }
domain "mx.test.example" {
    recipients = ["strict strict", "small small", "never never", "later later",
                  "ann lax", "bob lax"];
}
"""
RULES = b'GTUBE any 1000 "' + GTUBE + b'"\n'
STRICT, POSTMASTER, SMALL, NEVER, LATER, ANN, BOB, NOBODY = (
    f"{name}@mx.test.example"
    for name in ("strict", "postmaster", "small", "never", "later", "ann", "bob", "nobody"))
CONTENT = message("peer", GTUBE + b"\r\n" + b"filler of the message\r\n" * 1000)
NO_CHUNKING = "  hosts_try_chunking =\n"


def start_server(case, **named):
    server = case.server(config=CONFIG.replace("LATER", "defer"), start=False, **named)
    with open(os.path.join(server.dir, "rules"), "wb") as f:
        f.write(RULES)
    return server.start()


def outcomes(deliveries):
    return {d.recipient: (d.status, d.code) for d in deliveries}


def recipients_logged(server, dialect):
    """{recipient: verdict} of the one transaction."""
    lines = server.wait_log("transaction")
    check_equal([line["dialect"] for line in lines], [dialect], "dialect of each transaction")
    return {text.split()[0]: text.split()[2] for text in lines[0]["rcpt"]}


def three_answers(case, kind, transport):
    server = start_server(case)
    exim = peers.Exim(case, target=(kind, (server.lmtp if kind == "lmtp" else server.smtp)[1]),
                      transport=transport).start()
    exim.submit([STRICT, POSTMASTER, SMALL, NEVER, ANN], CONTENT)
    seen = outcomes(exim.wait_deliveries(5))
    check_equal(seen, {STRICT: ("failed", 550), POSTMASTER: ("sent", 250), SMALL: ("failed", 552),
                       NEVER: ("failed", 554), ANN: ("sent", 250)}, "in Exim's log")
    check_equal(len(server.spool_list()), 1, "messages")
    for address in (POSTMASTER, ANN):
        check(address in server.spool_show(server.spool_list()[0]), address, "is not in the spool")
    # Exim tells the size in advance, so that SMALL is refused at RCPT.
    check_equal(recipients_logged(server, kind),
                {STRICT: "reject", POSTMASTER: "accept", NEVER: "reject", ANN: "accept"})
    check(GTUBE in list(server.stored().values())[0].content, "content")
    return exim


def test_prdr_data(case):
    exim = three_answers(case, "prdr", NO_CHUNKING)
    check_equal(len(re.findall(r" (?:=>|->) .* PRDR ", exim.text())), 2, "sent by PRDR")


def test_prdr_bdat(case):
    three_answers(case, "prdr", "")


def test_lmtp(case):
    three_answers(case, "lmtp", NO_CHUNKING)


def test_lmtp_bdat(case):
    three_answers(case, "lmtp", "")


def deferred_alone(case, kind):
    """One of three is deferred; later it is tried again without the others, and taken."""
    server = start_server(case)
    exim = peers.Exim(case, target=(kind, (server.lmtp if kind == "lmtp" else server.smtp)[1]))
    exim.start()
    exim.submit([ANN, LATER, BOB], message("later"))
    exim.wait_deliveries(2, status="sent")
    deferred = exim.wait_deliveries(1, status="deferred")
    check_equal({d.recipient for d in deferred}, {LATER}, "deferred")
    check_equal(len(server.spool_list()), 1, "messages")
    server.write_config(CONFIG.replace("LATER", "accept"))
    os.kill(server.pid, signal.SIGHUP)
    server.wait_log("reloaded")
    exim.wait_deliveries(3, status="sent")
    sent = [d.recipient for d in exim.deliveries() if d.status == "sent"]
    check_equal(sorted(sent), sorted([ANN, LATER, BOB]), "sent once each")
    check_equal(len(server.spool_list()), 2, "messages")


def test_prdr_deferred(case):
    deferred_alone(case, "prdr")


def test_lmtp_deferred(case):
    deferred_alone(case, "lmtp")


def test_prdr_all_refused(case):
    server = start_server(case)
    exim = peers.Exim(case, target=("prdr", server.smtp[1])).start()
    exim.submit([STRICT, SMALL], CONTENT)
    seen = outcomes(exim.wait_deliveries(2))
    check_equal({a: s for a, (s, _) in seen.items()}, {STRICT: "failed", SMALL: "failed"})
    check_equal(server.spool_list(), [], "spool")


def test_prdr_all_accepted(case):
    server = start_server(case)
    exim = peers.Exim(case, target=("prdr", server.smtp[1])).start()
    exim.submit([ANN, BOB, NOBODY], message())
    seen = outcomes(exim.wait_deliveries(3))
    check_equal(seen, {ANN: ("sent", 250), BOB: ("sent", 250), NOBODY: ("failed", 550)})
    check_equal(len(server.spool_list()), 1, "messages")


class Cut(Relay):
    """Closes the connection behind so many replies to the content, once."""

    def __init__(self, case, port, replies):
        self.left, self.is_block = replies, False
        super().__init__(case, port)

    def answer(self, line):
        if not self.is_block:
            self.is_block = line.startswith(b"353")
        elif self.left == 0:
            self.left = None
            return None
        elif self.left is not None:
            self.left -= 1
        return line


def test_prdr_cut(case):
    """The connection breaks among the replies, when Exim has read two of four. It takes them as
    final, against PRDR-29; and nothing is lost, because no 250 leaves before the message is
    kept."""
    server = start_server(case)
    relay = Cut(case, server.smtp[1], 2)
    exim = peers.Exim(case, target=("prdr", relay.port), transport=NO_CHUNKING).start()
    exim.submit([ANN, STRICT, POSTMASTER, BOB], CONTENT)
    seen = exim.wait_deliveries(3, status="sent")
    first = {d.recipient: d.status for d in reversed(exim.deliveries())}
    check_equal(sorted(first.values()), ["deferred", "deferred", "failed", "sent"], "at first")
    check_equal(sorted(d.recipient for d in seen), sorted([ANN, POSTMASTER, BOB]), "sent once each")
    kept = [server.spool_show(queue_id) for queue_id in server.spool_list()]
    check_equal(len(kept), 2, "messages")
    copies = {a: sum(a in text for text in kept) for a in (ANN, POSTMASTER, BOB, STRICT)}
    believed = next(a for a, status in first.items() if status == "sent")
    again = [a for a, status in first.items() if status == "deferred"]
    check_equal(copies, dict({a: 2 for a in again}, **{believed: 1, STRICT: 0}), "copies")


def without_prdr(case, status, stored, **named):
    """One answer for all of them, which the listener chooses."""
    server = start_server(case, **named)
    exim = peers.Exim(case, target=("smtp", server.smtp[1])).start()
    exim.submit([STRICT, ANN], CONTENT)
    seen = outcomes(exim.wait_deliveries(2))
    check_equal({a: s for a, (s, _) in seen.items()}, {STRICT: status, ANN: status})
    check_equal(len(server.spool_list()), stored, "messages")


def test_smtp_refuse(case):
    without_prdr(case, "failed", 0, listener_extra="on_refusal = refuse;")


def test_smtp_quarantine(case):
    without_prdr(case, "sent", 1)


harness.main(globals())
