# SPDX-License-Identifier: Apache-2.0
"""Postfix as a client over SMTP and LMTP: verdicts that differ by recipient, deferral and the next
try, many recipients. What counts is what Postfix's log says became of each recipient, and what is
in the spool."""

import os
import signal

import harness
import peers
from harness import GTUBE, check, check_equal, message

CONFIG = """
listener "smtp" { address = "{smtp}"; mixed = MIXED; }
listener "lmtp" { address = "{lmtp}"; }
listener "unix" { address = "{unix}"; }
EXTRA
rules = "rules";
class "strict" { score_reject = 5; reject_reply = "550 5.7.1 Not wanted here"; }
class "postmaster" { score_reject = off; }
class "small" { size_max = 10kb; size_reply = "552 5.2.3 At most 10 KB here"; }
class "later" { action = LATER; }
class "lax" { score_reject = off; }
domain "mx.test.example" {
    recipients = ["strict strict", "small small", "later later", "ann lax", "bob lax"];
}
domain "many.example" { recipients = any; }
"""
RULES = b'GTUBE any 1000 "' + GTUBE + b'"\n'
STRICT, POSTMASTER, SMALL, LATER, ANN, BOB, NOBODY = (
    f"{name}@mx.test.example"
    for name in ("strict", "postmaster", "small", "later", "ann", "bob", "nobody"))
CONTENT = message("peer", GTUBE + b"\r\n" + b"filler of the message\r\n" * 1000)


def config(later="defer", mixed="worst", extra=""):
    return CONFIG.replace("LATER", later).replace("MIXED", mixed).replace("EXTRA", extra)


def start_server(case, **named):
    server = case.server(config=config(**named), start=False)
    with open(os.path.join(server.dir, "rules"), "wb") as f:
        f.write(RULES)
    return server.start()


def start(case, kind, settings=None, **named):
    """A server, and a Postfix that sends to it."""
    server = start_server(case, **named)
    port = (server.lmtp if kind == "lmtp" else server.smtp)[1]
    return server, peers.Postfix(case, target=(kind, port), settings=settings).start()


def outcomes(deliveries):
    return {d.recipient: (d.status, d.code) for d in deliveries}


def reload(server, **named):
    server.write_config(config(**named))
    os.kill(server.pid, signal.SIGHUP)
    server.wait_log("reloaded")


def test_lmtp_mixed(case):
    server, postfix = start(case, "lmtp")
    postfix.submit([STRICT, POSTMASTER, SMALL, ANN, NOBODY], CONTENT)
    check_equal(outcomes(postfix.wait_deliveries(5)),
                {STRICT: ("failed", 550), POSTMASTER: ("sent", 250), SMALL: ("failed", 552),
                 ANN: ("sent", 250), NOBODY: ("failed", 550)}, "in Postfix's log")
    check_equal(len(server.spool_list()), 1, "messages")
    for stored in server.stored().values():
        check(stored.content.endswith(b"filler of the message\r\n"), "content")


def test_lmtp_deferred(case):
    """One of three is deferred; it is tried again without the others, and taken in the end."""
    server, postfix = start(case, "lmtp")
    postfix.submit([ANN, LATER, BOB], message("later"))
    postfix.wait_deliveries(2, status="sent")
    deferred = postfix.wait_deliveries(2, status="deferred")
    check_equal({d.recipient for d in deferred}, {LATER}, "deferred")
    reload(server, later="accept")
    sent = postfix.wait_deliveries(3, status="sent")
    check_equal(sorted(d.recipient for d in sent), sorted([ANN, LATER, BOB]), "sent once each")
    check_equal(len(server.spool_list()), 2, "messages")


def test_lmtp_unix(case):
    """The socket lies in the folder that Postfix sees as /peer."""
    postfix = peers.Postfix(case, target=("lmtp", "lmtp.sock"))
    path = os.path.join(postfix.dir, "lmtp.sock")
    start_server(case, extra=f'listener "peer" {{ address = "lmtp+unix:{path}"; }}')
    os.chmod(path, 0o666)  # Postfix's client is a user of its own
    postfix.start()
    postfix.submit([STRICT, POSTMASTER, ANN], CONTENT)
    check_equal(outcomes(postfix.wait_deliveries(3)),
                {STRICT: ("failed", 550), POSTMASTER: ("sent", 250), ANN: ("sent", 250)})


def test_smtp_worst(case):
    """One answer for all: while one of them defers nobody gets it; then all do, once."""
    server, postfix = start(case, "smtp")
    postfix.submit([ANN, LATER, NOBODY], message("later"))
    postfix.wait_deliveries(1, status="failed", recipient=NOBODY)
    deferred = postfix.wait_deliveries(2, status="deferred")
    check_equal({d.recipient for d in deferred}, {ANN, LATER}, "deferred")
    check_equal(server.spool_list(), [], "spool")
    reload(server, later="accept")
    sent = postfix.wait_deliveries(2, status="sent")
    check_equal(sorted(d.recipient for d in sent), sorted([ANN, LATER]), "sent once each")
    check_equal(len(server.spool_list()), 1, "messages")


def test_smtp_one_class(case):
    """Each class has a transaction of its own: Postfix keeps what got 452 and sends it again."""
    server, postfix = start(case, "smtp", mixed="one-class")
    postfix.submit([STRICT, POSTMASTER, SMALL, ANN, BOB], CONTENT)
    sent = postfix.wait_deliveries(3, status="sent")
    failed = postfix.wait_deliveries(2, status="failed")
    check_equal(sorted(d.recipient for d in sent), sorted([POSTMASTER, ANN, BOB]), "sent once each")
    check_equal(sorted(d.recipient for d in failed), sorted([STRICT, SMALL]), "failed once each")
    check_equal(len(server.spool_list()), 2, "messages")


def many(case, kind):
    server, postfix = start(case, kind, {f"{kind}_destination_recipient_limit": "200"})
    addresses = [f"user{i}@many.example" for i in range(200)]
    postfix.submit(addresses, message("many"))
    sent = postfix.wait_deliveries(200, status="sent")
    check_equal({d.recipient for d in sent}, set(addresses), "sent")
    line = server.wait_log("transaction", dialect=kind)[0]
    check_equal(line["rcpts"], "200", "recipients in one transaction")
    check_equal(len(server.spool_list()), 1, "messages")


def test_lmtp_many(case):
    many(case, "lmtp")


def test_smtp_many(case):
    many(case, "smtp")


def test_stream(case):
    """Several messages over connections that are kept."""
    server, postfix = start(case, "lmtp")
    with postfix.client() as client:
        client.hello()
        for i in range(30):
            reply = client.deliver([ANN, BOB, NOBODY], message(f"number {i}"))
            check_equal(reply.code, 250)
    postfix.wait_deliveries(60, status="sent")
    postfix.wait_deliveries(30, status="failed")
    check_equal(len(server.spool_list()), 30, "messages")
    postfix.check_counts(peers.Counts(30, 90, 0, 0), "taken by Postfix")


harness.main(globals())
