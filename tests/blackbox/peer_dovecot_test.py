# SPDX-License-Identifier: Apache-2.0
"""Dovecot as an LMTP server under swaks: the base of what the load tool does with it. One user is
over quota, one does not exist; what the log counts is what the client was told."""

import re

import harness
import peers
from harness import check, check_equal, message, program, run

ANN, BOB, FULL, NOBODY = (f"{n}@mx.test.example" for n in ("ann", "bob", "full", "nobody"))


def swaks(case, dovecot, recipients, *arguments, status=0):
    text = run([program("swaks"), "--server", "127.0.0.1", "--port", str(dovecot.port),
                "--protocol", "LMTP", "--helo", "client.example", "--from",
                "sender@client.example", "--to", ",".join(recipients), *arguments], status=status)
    case.note(text)
    return text


def test_swaks(case):
    dovecot = peers.Dovecot(case).start()
    swaks(case, dovecot, [ANN, BOB], "--body", "Hello.")
    dovecot.check_counts(peers.Counts(1, 2, 0, 0), "counted")
    for user in ("ann", "bob"):
        mails = dovecot.mails(user)
        check_equal(len(mails), 1, user)
        check(b"Hello." in list(mails.values())[0], "content")


def test_swaks_mixed(case):
    dovecot = peers.Dovecot(case).start()
    text = swaks(case, dovecot, [ANN, NOBODY, FULL], "--body", "x" * 900 + "\n" + "y" * 900,
                 status=None)
    replies = re.findall(r"^<\S*\s+(\d\d\d)[ -](.*)", text, re.MULTILINE)
    codes = [code for code, rest in replies]
    check("550" in codes and "552" in codes, "replies:", replies)
    dovecot.check_counts(peers.Counts(1, 1, 1, 0), "counted")
    check_equal((len(dovecot.mails("ann")), len(dovecot.mails("full"))), (1, 0), "delivered")


def test_counts(case):
    """Several transactions in a session, repeats of a recipient, chunks."""
    dovecot = peers.Dovecot(case).start()
    client = dovecot.client()
    client.hello("LHLO")
    for _ in range(3):
        client.envelope([ANN, BOB])
        check_equal([r.code for r in client.data(message(), 2)], [250, 250])
    client.envelope([ANN, ANN])
    check_equal([r.code for r in client.bdat(message(), 2, chunk=50)], [250, 250])
    client.quit()
    dovecot.wait_counts(messages=4)
    check_equal(dovecot.counts().messages, 4, "messages")
    check_equal(len(dovecot.mails("bob")), 3, "for bob")


harness.main(globals())
