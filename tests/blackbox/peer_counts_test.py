# SPDX-License-Identifier: Apache-2.0
"""Each peer as a server: what it tells a client is what its own log counts. The measurements that
compare the load tool's counts with a server's log stand on this."""

import harness
import peers
from harness import check_equal, message, program, run

ANN, BOB, FULL, UNKNOWN, BUSY, REFUSED, LATER = (
    f"{n}@mx.test.example"
    for n in ("ann", "bob", "full", "unknown", "busy", "refused", "later"))


def codes(replies):
    return [r.code for r in replies]


def refusals(client, *rows):
    """A transaction of recipients (address, code) that is given up."""
    client.command("MAIL FROM:<sender@client.example>", 250)
    for address, code in rows:
        client.command(f"RCPT TO:<{address}>", code)
    client.command("RSET", 250)


def test_postfix(case):
    peer = peers.Postfix(case).start()
    client = peer.client()
    client.hello()
    refusals(client, (UNKNOWN, 550), (BUSY, 450), (UNKNOWN, 550))
    for _ in range(5):
        check_equal(client.deliver([ANN, BOB], message()).code, 250)
    peer.check_counts(peers.Counts(5, 10, 2, 1))


def test_exim(case):
    peer = peers.Exim(case).start()
    client = peer.client()
    client.hello()
    refusals(client, (UNKNOWN, 550), (BUSY, 450), (UNKNOWN, 550))
    for _ in range(5):
        check_equal(client.deliver([ANN, BOB], message()).code, 250)
    peer.check_counts(peers.Counts(5, 10, 2, 1))


def test_exim_prdr(case):
    peer = peers.Exim(case, kept=("ann", "bob", "refused", "later")).start()
    client = peer.client()
    client.hello()
    client.envelope([ANN, REFUSED, LATER, BOB], params="PRDR")
    check_equal(codes(client.data(message(), 6)), [353, 250, 550, 450, 250, 250])
    client.envelope([REFUSED, "refused2@mx.test.example"], params="PRDR")
    check_equal(codes(client.data(message(), 4)), [353, 550, 550, 550])
    client.envelope([ANN], params="PRDR")
    check_equal(codes(client.data(message(), 1)), [250])
    peer.check_counts(peers.Counts(2, 3, 3, 1))
    harness.wait_until(lambda: len(peer.mails("ann")) == 2 and len(peer.mails("bob")) == 1,
                       "Maildirs")
    check_equal(len(peer.mails("refused")) + len(peer.mails("later")), 0, "kept for the refused")


def test_opensmtpd(case):
    peer = peers.OpenSmtpd(case).start()
    client = peer.client()
    client.hello()
    refusals(client, (UNKNOWN, 550), (ANN, 250))
    for _ in range(5):
        check_equal(client.deliver([ANN, BOB], message()).code, 250)
    peer.check_counts(peers.Counts(5, 10, 1, 0))


def test_dovecot(case):
    peer = peers.Dovecot(case).start()
    client = peer.client()
    client.hello("LHLO")
    refusals(client, (UNKNOWN, 550), (ANN, 250))
    for _ in range(5):
        client.envelope([ANN, FULL, BOB])
        check_equal(codes(client.data(message(body=b"filler\r\n" * 200), 3)), [250, 552, 250])
    peer.check_counts(peers.Counts(5, 10, 5, 0))
    check_equal((len(peer.mails("ann")), len(peer.mails("full"))), (5, 0), "kept")


def test_cyrus(case):
    peer = peers.Cyrus(case).start()
    client = peer.client()
    client.hello("LHLO")
    refusals(client, (UNKNOWN, 550), (ANN, 250))
    for i in range(5):
        client.envelope([ANN, BOB])
        check_equal(codes(client.data(message(message_id=f"<{i}@client.example>"), 2)), [250, 250])
    peer.check_counts(peers.Counts(5, 10, 0, 0))


def test_cyrus_quota(case):
    """Nobody may keep more than 1 KiB; who has got that far is 452 at RCPT, or after the content
    when it happens within one message."""
    peer = peers.Cyrus(case, quota_kb=1).start()
    client = peer.client()
    client.hello("LHLO")
    client.envelope([ANN, BOB, ANN])
    check_equal(codes(client.data(message(body=b"filler\r\n" * 200), 3)), [250, 250, 452])
    refusals(client, (ANN, 452), (BOB, 452))
    peer.check_counts(peers.Counts(1, 2, 0, 0))


def test_courier(case):
    """One 558 with a reply for each recipient, asked for or not; a plain 250 when all agree."""
    peer = peers.Courier(case).start()
    client = peer.client()
    harness.check("XEXDATA" in client.hello().lines, "XEXDATA is not offered")
    refusals(client, (UNKNOWN, 550), (ANN, 250))
    for params in ("EXDATA", ""):
        client.envelope([ANN, REFUSED, BOB, LATER], params=params)
        reply = client.data(message())[0]
        check_equal((reply.code, [line[:4] for line in reply.lines]),
                    (558, ["250 ", "550-", "550 ", "250 ", "450-", "450 "]))
    check_equal(client.deliver([ANN, BOB], message(), params="EXDATA").code, 250)
    peer.check_counts(peers.Counts(3, 6, 3, 2))
    harness.wait_until(lambda: len(peer.mails("ann")) == 3 and len(peer.mails("bob")) == 3,
                       "Maildirs")


def test_courier_client(case):
    """Courier as a client of Exim, which knows nothing of XEXDATA."""
    exim = peers.Exim(case, kept=("ann", "bob", "refused", "later")).start()
    courier = peers.Courier(case, target=("smtp", exim.port)).start()
    courier.submit([ANN, UNKNOWN, BUSY, BOB], message())
    seen = {d.recipient: (d.status, d.code) for d in courier.wait_deliveries(4)}
    check_equal(seen, {ANN: ("sent", 250), BOB: ("sent", 250), UNKNOWN: ("failed", 550),
                       BUSY: ("deferred", 450)})
    courier.wait_deliveries(3, status="deferred")  # it does try again
    harness.wait_until(lambda: len(exim.mails("ann")) == 1, "delivered by Exim")


def source(case, peer, *arguments):
    """200 messages to 3 recipients each over 10 connections."""
    case.note(run([program("smtp-source"), *arguments, "-m", "200", "-s", "10", "-r", "3", "-f",
                   "sender@client.example", "-t", ANN, f"inet:127.0.0.1:{peer.port}"]))
    peer.check_counts(peers.Counts(200, 600, 0, 0))


def test_postfix_source(case):
    source(case, peers.Postfix(case).start())


def test_exim_source(case):
    source(case, peers.Exim(case).start(), "-d")


def test_dovecot_source(case):
    # smtp-source numbers them: in a message before the name, newer ones in all of them behind it
    names = ("ann", "1ann", "2ann", "3ann", *(f"ann{i}" for i in range(601)))
    source(case, peers.Dovecot(case, users=names).start(), "-L")


def test_end(case):
    """Nothing of a peer is left when it has ended."""
    peer = peers.Postfix(case).start()
    pids = peer.pids()
    harness.check(len(pids) > 5, "too few processes:", pids)
    peer.stop()

    def are_gone():
        for pid in pids:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if b"postfix" in f.read():
                        return False
            except OSError:
                pass
        return True

    harness.wait_until(are_gone, "the end of every process")


harness.main(globals())
