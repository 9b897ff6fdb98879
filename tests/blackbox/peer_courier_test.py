# SPDX-License-Identifier: Apache-2.0
"""Courier as a client of posternd, which offers EXDATA and XEXDATA. Courier looks for XEXDATA and
understands 558, but never asks for it (EXDATA sheet, section 4), so posternd, which sends 558 only
to who has asked, gives it one reply for all. What it makes of our 558 all the same is seen through
a relay that adds the parameter to MAIL."""

import os
import signal

import harness
import peers
from harness import GTUBE, check_equal, message
from relay import Relay

CONFIG = """
{listeners}
rules = "rules";
class "strict" { score_reject = 5; reject_reply = "550 5.7.1 Not wanted here"; }
class "later" { score_reject = off; action = LATER; }
class "lax" { score_reject = off; }
domain "mx.test.example" {
    recipients = ["strict strict", "later later", "ann lax", "bob lax"];
}
"""
RULES = b'GTUBE any 1000 "' + GTUBE + b'"\n'
ANN, STRICT, LATER, BOB, NOBODY = (
    f"{name}@mx.test.example" for name in ("ann", "strict", "later", "bob", "nobody"))
CONTENT = message("peer", GTUBE + b"\r\n")


class Asking(Relay):
    """Asks for EXDATA in the client's name. lines: how many lines of the first 558 it lets pass
    before it closes the connection."""

    def __init__(self, case, port, lines=None):
        self.lines_left = lines
        self.seen = []  # lines of 558
        super().__init__(case, port)

    def ask(self, line):
        return line.replace(b"\r\n", b" EXDATA\r\n") if line.startswith(b"MAIL FROM:") else line

    def answer(self, line):
        if not line.startswith(b"558"):
            return line
        if self.lines_left == 0:
            self.lines_left = None
            return None
        if self.lines_left is not None:
            self.lines_left -= 1
        self.seen.append(line)
        return line


def start_server(case, **named):
    server = case.server(config=CONFIG.replace("LATER", "defer"), start=False, **named)
    with open(os.path.join(server.dir, "rules"), "wb") as f:
        f.write(RULES)
    return server.start()


def start_courier(case, port):
    return peers.Courier(case, target=("smtp", port)).start()


def first_outcomes(courier, count):
    def all_of_them():
        found = {}
        for delivery in courier.deliveries():
            found.setdefault(delivery.recipient, (delivery.status, delivery.code))
        return found if len(found) == count else None

    return harness.wait_until(all_of_them, f"an outcome of each of {count} recipients")


def accept_later(server):
    server.write_config(CONFIG.replace("LATER", "accept"))
    os.kill(server.pid, signal.SIGHUP)
    server.wait_log("reloaded")


def kept(server):
    """[recipients of a message in the spool], sorted."""
    return sorted(sorted(a for a in (ANN, STRICT, LATER, BOB) if a in server.spool_show(q))
                  for q in server.spool_list())


def test_558(case):
    """Each as 558 says, and only who was put off is tried again."""
    server = start_server(case)
    relay = Asking(case, server.smtp[1])
    courier = start_courier(case, relay.port)
    courier.submit([ANN, STRICT, NOBODY, LATER, BOB], CONTENT)
    check_equal(first_outcomes(courier, 5),
                {ANN: ("sent", 250), STRICT: ("failed", 550), LATER: ("deferred", 451),
                 BOB: ("sent", 250), NOBODY: ("failed", 550)}, "in Courier's log")
    check_equal([line[4:7] for line in relay.seen[:4]], [b"250", b"550", b"451", b"250"],
                "what it was told")
    check_equal(server.wait_log("transaction")[0]["dialect"], "exdata")
    check_equal(kept(server), [[ANN, BOB]], "in the spool")
    accept_later(server)
    courier.wait_deliveries(3, status="sent")
    check_equal(sorted(d.recipient for d in courier.deliveries() if d.status == "sent"),
                sorted([ANN, BOB, LATER]), "sent once each")
    check_equal(kept(server), [[ANN, BOB], [LATER]], "in the spool")
    courier.stop()


def cut(case, lines, outcomes, spool):
    """558 is cut behind so many of its four lines."""
    server = start_server(case)
    relay = Asking(case, server.smtp[1], lines)
    courier = start_courier(case, relay.port)
    courier.submit([ANN, STRICT, LATER, BOB], CONTENT)
    first = first_outcomes(courier, 4)
    check_equal(tuple(first[a][0] for a in (ANN, STRICT, LATER, BOB)), outcomes, "first outcomes")
    accept_later(server)
    harness.wait_until(lambda: len({d.recipient for d in courier.deliveries()
                                    if d.status != "deferred"}) == 4, "a final outcome of each")
    check_equal(len([d for d in courier.deliveries() if d.status == "sent"]), 3, "sent")
    check_equal(kept(server), spool, "in the spool")
    courier.stop()


def test_558_cut_at_once(case):
    """Nothing has come: all are tried again. What the server had taken is there twice."""
    cut(case, 0, ("deferred",) * 4, [[ANN, BOB], [ANN, BOB, LATER]])


def test_558_cut_after_two(case):
    """The lines that came count; bob, whom the server had taken, is there twice."""
    cut(case, 2, ("sent", "failed", "deferred", "deferred"), [[ANN, BOB], [BOB, LATER]])


def test_not_asked(case):
    """One reply for all: nobody is told of the refusal, whose copy is held."""
    server = start_server(case)
    courier = start_courier(case, server.smtp[1])
    courier.submit([ANN, STRICT, BOB], CONTENT)
    check_equal(first_outcomes(courier, 3), {a: ("sent", 250) for a in (ANN, STRICT, BOB)})
    check_equal(server.wait_log("transaction")[0]["dialect"], "smtp")
    courier.stop()


def test_not_asked_refuse(case):
    """Or all of them bounce."""
    server = start_server(case, listener_extra="on_refusal = refuse;")
    courier = start_courier(case, server.smtp[1])
    courier.submit([ANN, STRICT, BOB], CONTENT)
    check_equal(first_outcomes(courier, 3), {a: ("failed", 550) for a in (ANN, STRICT, BOB)})
    check_equal(server.spool_list(), [], "spool")
    courier.stop()  # it keeps its connection, which the server would wait for


harness.main(globals(), seconds=180)
