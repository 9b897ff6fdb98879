# SPDX-License-Identifier: Apache-2.0
"""How other people's clients take replies for each recipient, and the loss of the connection among
them. The server here is a script, so that nothing of ours decides; what counts is the log of the
client. These are the facts on which our own defaults rest: a test that fails with a newer version
of a client says that a fact has changed."""

import socket
import threading

import harness
import peers
from harness import check, check_equal, message

ANN, BOB, CID = ("ann@mx.test.example", "bob@mx.test.example", "cid@mx.test.example")


class Script:
    """An SMTP or LMTP server that offers these words, accepts three recipients, and sends `after`
    when the first message has ended; then it closes, if told so. It defers every later message."""

    def __init__(self, case, words, after, is_closing=False):
        self.words = words
        self.after = after
        self.is_closing = is_closing
        self.commands = []
        self.messages = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        thread = threading.Thread(target=self.accept, daemon=True)
        thread.start()
        case.cleanups.append(lambda: harness.close_listener(self.listener, thread))
        case.note(f"script: {after!r}, closing: {is_closing}")

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            try:
                connection.sendall(b"220 script ESMTP\r\n")
                for line in lines:
                    self.commands.append(line)
                    if not self.answer(connection, lines, line[:4].upper()):
                        return
            except OSError:
                pass

    def answer(self, connection, lines, verb):
        """False: close the connection."""
        if verb in (b"EHLO", b"LHLO"):
            connection.sendall(b"250-script\r\n" + b"".join(b"250-%s\r\n" % w for w in self.words) +
                               b"250 HELP\r\n")
        elif verb == b"DATA":
            connection.sendall(b"354 go on\r\n")
            while lines.readline() not in (b".\r\n", b""):
                pass
            self.messages += 1
            connection.sendall(self.after if self.messages == 1 else b"451 later\r\n")
            return self.messages > 1 or not self.is_closing
        elif verb == b"QUIT":
            connection.sendall(b"221 bye\r\n")
            return False
        else:
            connection.sendall(b"250 ok\r\n")
        return True


def first_outcomes(client):
    """{recipient: (status, code)} of the first try."""
    found = {}
    for delivery in client.deliveries():
        found.setdefault(delivery.recipient, (delivery.status, delivery.code))
    return found


def check_outcomes(client, **expected):
    client.submit([ANN, BOB, CID], message())
    wanted = {f"{name}@mx.test.example": outcome for name, outcome in expected.items()}
    harness.wait_until(lambda: len(first_outcomes(client)) == 3, "an outcome of each recipient")
    check_equal(first_outcomes(client), wanted, "first outcome of each recipient")


def exim(case, after, is_closing=False):
    script = Script(case, [b"PIPELINING", b"PRDR"], after, is_closing)
    return peers.Exim(case, target=("prdr", script.port)).start()


def test_exim_prdr_cut(case):
    """Cut among the replies, before the final one. By the protocol nobody has been delivered; Exim
    takes the 250 for a delivery all the same, and the mail is lost if the server has not kept it.
    So a server does better to commit before the first of the replies (PRDR-29)."""
    client = exim(case, b"353 go\r\n250 ann\r\n550 bob\r\n", is_closing=True)
    check_outcomes(client, ann=("sent", 250), bob=("failed", 550), cid=("deferred", None))


def test_exim_prdr_final_lost(case):
    """Cut before the final reply only: who was accepted is tried again, who was refused is not."""
    client = exim(case, b"353 go\r\n250 ann\r\n550 bob\r\n250 cid\r\n", is_closing=True)
    check_outcomes(client, ann=("deferred", None), bob=("failed", 550), cid=("deferred", None))


def test_exim_prdr_final_defers(case):
    client = exim(case, b"353 go\r\n250 ann\r\n550 bob\r\n250 cid\r\n451 final\r\n")
    check_outcomes(client, ann=("deferred", 451), bob=("failed", 550), cid=("deferred", 451))


def courier(case, after, is_closing=False):
    script = Script(case, [b"PIPELINING", b"XEXDATA"], after, is_closing)
    return script, peers.Courier(case, target=("smtp", script.port)).start()


def test_courier_558(case):
    """It does as 558 says, and never asks for it: MAIL has no EXDATA."""
    script, client = courier(
        case, b"558-250 ann\r\n558-550-bob wants\r\n558-550 nothing\r\n558 450 cid\r\n")
    check_outcomes(client, ann=("sent", 250), bob=("failed", 550), cid=("deferred", 450))
    mails = [line for line in script.commands if line.startswith(b"MAIL")]
    check(mails and not any(b"EXDATA" in line for line in mails), mails)


def test_courier_558_short(case):
    """A recipient without a reply in it is tried again."""
    _, client = courier(case, b"558-250 ann\r\n558 550 bob\r\n")
    check_outcomes(client, ann=("sent", 250), bob=("failed", 550), cid=("deferred", 451))


def test_courier_558_cut(case):
    """The replies that came count, and only the others are tried again."""
    script, client = courier(case, b"558-250 ann\r\n558-550 bob\r\n", is_closing=True)
    check_outcomes(client, ann=("sent", 250), bob=("failed", 550), cid=("deferred", None))
    harness.wait_until(lambda: script.messages > 1, "the next try")
    again = [line for line in script.commands if line.startswith(b"RCPT")][3:]
    check(again and all(b"cid@" in line for line in again), "tried again:", again)


def postfix(case, kind, after, is_closing=False):
    script = Script(case, [b"PIPELINING"], after, is_closing)
    return peers.Postfix(case, target=(kind, script.port)).start()


def test_postfix_lmtp_cut(case):
    client = postfix(case, "lmtp", b"250 ann\r\n550 bob\r\n", is_closing=True)
    check_outcomes(client, ann=("sent", 250), bob=("failed", 550), cid=("deferred", None))
    check("may be sent more than once" in client.text(), "no warning")


def test_postfix_lmtp_3xx(case):
    """A reply that makes no sense is a failure for good of that recipient."""
    client = postfix(case, "lmtp", b"250 ann\r\n354 bob\r\n250 cid\r\n")
    check_outcomes(client, ann=("sent", 250), bob=("failed", 354), cid=("sent", 250))


def test_postfix_353(case):
    """Why 353 goes to nobody who has not asked for PRDR: the mail bounces (PRDR-40)."""
    client = postfix(case, "smtp", b"353 go\r\n250 ann\r\n250 bob\r\n250 cid\r\n250 all\r\n")
    check_outcomes(client, ann=("failed", 353), bob=("failed", 353), cid=("failed", 353))


LIST = b"558-250 ann\r\n558-550 bob\r\n558 250 cid\r\n"


def test_postfix_558(case):
    """Why 558 goes to nobody who has not asked for EXDATA: the mail bounces, for those too who are
    told 250 in it (EXD-4)."""
    client = postfix(case, "smtp", LIST)
    check_outcomes(client, ann=("failed", 558), bob=("failed", 558), cid=("failed", 558))


def test_exim_558(case):
    script = Script(case, [b"PIPELINING"], LIST)
    client = peers.Exim(case, target=("smtp", script.port)).start()
    check_outcomes(client, ann=("failed", 558), bob=("failed", 558), cid=("failed", 558))


def test_opensmtpd_558(case):
    script = Script(case, [b"PIPELINING"], LIST)
    client = peers.OpenSmtpd(case, target=("smtp", script.port)).start()
    check_outcomes(client, ann=("failed", 558), bob=("failed", 558), cid=("failed", 558))


harness.main(globals())
