# SPDX-License-Identifier: Apache-2.0
"""postern-load against other people's servers that answer each recipient differently: Exim's PRDR
with its departures from the draft, Courier's 558, Dovecot's and Cyrus's LMTP. Checked for each
recipient, by the log of attempts, the server's own log, what it keeps, and the ledger of both."""

import collections
import json
import os

import harness
import peers
from harness import check, check_equal

NAMES = ("user0", "user1", "user2", "user3")
Row = collections.namedtuple("Row", "seq attempt rcpt address fate code")


class Run:
    """A run to its end: the report, and a Row of each recipient and try."""

    def __init__(self, case, target, *arguments):
        self.case = case
        self.path = os.path.join(case.dir, "attempts")
        report = os.path.join(case.dir, "report.json")
        case.note(harness.run([harness.own_program("POSTERN_LOAD"), target, "--attempts", self.path,
                               "--json", report, "--quiet", *arguments], status=(0, 1)))
        with open(report, encoding="utf-8") as f:
            self.counters = json.load(f)["counters"]
        with open(self.path, encoding="utf-8") as f:
            lines = [line.rstrip("\n").split("\t") for line in f][2:]
        self.rows = [Row(int(l[0]), int(l[1]) + 1, int(l[2]), l[3], l[7], l[8]) for l in lines]
        self.phases = {l[10] for l in lines}  # of the replies that decided
        check_equal(self.counters["protocol_errors"], 0, "protocol errors")

    def outcomes(self):
        """{(recipient's local part, try, fate, code): how often}."""
        return dict(collections.Counter(
            (r.address.split("@")[0], r.attempt, r.fate, r.code) for r in self.rows))
    def ledger(self, *arrived, arguments=()):
        """What postern-lab says of it."""
        report = os.path.join(self.case.dir, "ledger.json")
        command = [harness.own_program("POSTERN_LAB"), "ledger", "--attempts", self.path, "--json",
                   report, *arguments]
        for source in arrived:
            command += ["--arrived", source]
        self.case.note(harness.run(command, status=(0, 1)))
        with open(report, encoding="utf-8") as f:
            return json.load(f)

    def check_ledger(self, mails, **expected):
        """mails: {address: contents} that the server keeps. Nothing is lost, nothing is twice, and
        nothing is there that was not accepted; and so many recipients of each kind."""
        folder = os.path.join(self.case.dir, "arrived")
        os.mkdir(folder)
        for address, contents in mails.items():
            for i, content in enumerate(contents):
                with open(os.path.join(folder, f"{address}.{i}"), "wb") as f:
                    f.write(b"X-Original-To: " + address.encode() + b"\r\n" + content)
        ledger = self.ledger("folder:" + folder)
        names = ("accepted", "delivered", "refused", "deferred", "gave_up", "lost", "ghost",
                 "copies_excess")
        check_equal({n: ledger[n] for n in names if ledger[n] != 0},
                    {n: v for n, v in expected.items() if v != 0}, "the ledger")


def mails_of(peer, users):
    return {f"{u}@{peers.DOMAIN}": list(peer.mails(u).values()) for u in users}


# --- Exim, PRDR ---------------------------------------------------------------------------------
# Section 7 of the PRDR sheet tells where Exim's server departs from the draft.



class Exim(peers.Exim):
    """user2 is refused and user3 put off after the content, user4 is unknown; the others have
    mailboxes."""

    REFUSED, LATER, DATA = "^user2", "^user3", "  accept"
    SAYS = "550 5.7.1 Not wanted by $local_part"

    def __init__(self, case, **named):
        self.CONFIG = (
            peers.Exim.CONFIG.replace("^unknown", "^user4").replace("^refused", self.REFUSED)
            .replace("^later", self.LATER).replace("550 5.7.1 Not wanted by $local_part", self.SAYS)
            .replace("data:\n  accept", f"data:\n{self.DATA}"))
        super().__init__(case, kept=NAMES, **named)


def exim_run(case, peer, *arguments, recipients=5, count=20):
    return Run(case, f"smtp://127.0.0.1:{peer.port}", "--prdr", "--count", str(count),
               "--recipients", str(recipients), "--to", "user%i@mx.test.example", "--connections",
               "3", *arguments)


def wait_mails(peer, **counts):
    harness.wait_until(lambda: {u: len(peer.mails(u)) for u in counts} == counts,
                       f"mailboxes {counts}")


def exim_mixed(case, *arguments):
    """Whoever was put off is tried again alone: then Exim has no block to offer, asks nobody, and
    takes the message."""
    peer = Exim(case).start()
    run = exim_run(case, peer, "--retry", "fixed:50ms,2", *arguments)
    check_equal(run.outcomes(), {
        ("user0", 1, "accepted", "250"): 20, ("user1", 1, "accepted", "250"): 20,
        ("user2", 1, "refused", "550"): 20, ("user3", 1, "deferred", "450"): 20,
        ("user4", 1, "refused", "550"): 20, ("user3", 2, "accepted", "250"): 20})
    wait_mails(peer, user0=20, user1=20, user3=20)
    run.check_ledger(mails_of(peer, NAMES), accepted=60, delivered=60, refused=40)
    peer.check_counts(peers.Counts(40, 60, 40, 20), "in Exim's log")


def test_exim_prdr_mixed(case):
    exim_mixed(case)


def test_exim_prdr_mixed_pipelined(case):
    """The whole envelope, content in chunks, QUIT behind it."""
    exim_mixed(case, "--pipelining", "full", "--bdat", "500")


def by_hand(peer, recipients):
    """The codes of a transaction with this many recipients."""
    client = peer.client()
    client.hello()
    client.envelope([f"user{i}@mx.test.example" for i in range(recipients)], params="PRDR")
    codes = [reply.code for reply in client.data(harness.message(), recipients + 2)]
    client.quit()
    return codes


class EximTakesNobody(Exim):
    REFUSED, LATER = "^user[01]nobody", "^user"


def test_exim_prdr_all_put_off(case):
    """Everybody is put off, and Exim's last reply is 250 all the same: by the draft it would have
    to be 4xx (PRDR-24). A client that went by it would lose the message; ours tries again."""
    peer = EximTakesNobody(case).start()
    check_equal(by_hand(peer, 2), [353, 450, 450, 250], "what it says")
    run = exim_run(case, peer, "--retry", "fixed:50ms,2", recipients=3)
    check_equal(run.outcomes(), {(f"user{i}", n, "deferred", "450"): 20
                                 for i in range(3) for n in (1, 2, 3)})
    check_equal(run.counters["messages_accepted"], 0)
    run.check_ledger(mails_of(peer, NAMES), deferred=60)
    check_equal(peer.wait_counts(deferred=182).recipients, 0, "recipients that Exim took")


class EximMixesRefusals(Exim):
    REFUSED, LATER = "^user0", "^user1"


def test_exim_prdr_nobody_taken_mixed(case):
    """One is refused, one put off, and the last reply is 250 again."""
    peer = EximMixesRefusals(case).start()
    check_equal(by_hand(peer, 2), [353, 550, 450, 250], "what it says")
    run = exim_run(case, peer, recipients=2)
    check_equal(run.outcomes(), {("user0", 1, "refused", "550"): 20,
                                 ("user1", 1, "deferred", "450"): 20})
    run.check_ledger(mails_of(peer, NAMES), refused=20, deferred=20)
    check_equal(peer.wait_counts(refused=21).recipients, 0, "recipients that Exim took")


class EximDefersAtLast(Exim):
    """Its ACL for the whole message runs behind the block."""

    DATA = "  defer message = 451 4.3.0 The whole message: not now"


class EximRefusesAtLast(Exim):
    DATA = "  deny message = 554 5.6.0 The whole message: never"


def test_exim_prdr_final_defers(case):
    """It takes back what it has said to each: whom it took is put off, whom it refused stays so."""
    peer = EximDefersAtLast(case).start()
    check_equal(by_hand(peer, 3), [353, 250, 250, 550, 451], "what it says")
    run = exim_run(case, peer, recipients=5)
    check_equal(run.outcomes(), {
        ("user0", 1, "deferred", "451"): 20, ("user1", 1, "deferred", "451"): 20,
        ("user2", 1, "refused", "550"): 20, ("user3", 1, "deferred", "451"): 20,
        ("user4", 1, "refused", "550"): 20})
    run.check_ledger(mails_of(peer, NAMES), deferred=60, refused=40)
    check_equal(" <= " in peer.text(), False, "Exim has taken a message")


def test_exim_prdr_final_refuses(case):
    """The last reply rules over all that came before it, the refused and those put off too."""
    peer = EximRefusesAtLast(case).start()
    check_equal(by_hand(peer, 3), [353, 250, 250, 550, 554], "what it says")
    run = exim_run(case, peer, "--retry", "fixed:50ms,2", recipients=4)
    check_equal(run.outcomes(), {(f"user{i}", 1, "refused", "554"): 20 for i in range(4)})
    run.check_ledger(mails_of(peer, NAMES), refused=80)
    check_equal(" <= " in peer.text(), False, "Exim has taken a message")


class EximTalks(Exim):
    """Replies of several lines, none with an enhanced code."""

    SAYS = "550 No.\\n\\\n                Not wanted by $local_part\\nfor three reasons"


def test_exim_prdr_lines(case):
    """A reply of several lines is one (PRDR-19)."""
    peer = EximTalks(case).start()
    client = peer.client()
    client.hello()
    client.envelope(["user0@mx.test.example", "user2@mx.test.example"], params="PRDR")
    check_equal([r.lines for r in client.data(harness.message(), 4)][2],
                ["No.", "Not wanted by user2", "for three reasons"])
    run = exim_run(case, peer, recipients=3)
    check_equal(run.outcomes(), {
        ("user0", 1, "accepted", "250"): 20, ("user1", 1, "accepted", "250"): 20,
        ("user2", 1, "refused", "550"): 20})


def test_exim_prdr_one(case):
    """With one recipient there is no block, asked for or not (PRDR-15)."""
    peer = Exim(case).start()
    run = exim_run(case, peer, recipients=1)
    check_equal(run.outcomes(), {("user0", 1, "accepted", "250"): 20})
    wait_mails(peer, user0=20)
    run.check_ledger(mails_of(peer, NAMES), accepted=20, delivered=20)


# --- LMTP ---------------------------------------------------------------------------------------


def lmtp_run(case, peer, *arguments):
    return Run(case, f"lmtp://127.0.0.1:{peer.port}", "--count", "20", "--connections", "3",
               "--size", "3k", *arguments)


class Dovecot(peers.Dovecot):
    FULL = "user1"


def test_dovecot_lmtp(case):
    """user1 has no room (552 after the content), user3 does not exist (550 at RCPT)."""
    names = ("user0", "user1", "user2", "user4")
    peer = Dovecot(case, users=names).start()
    run = lmtp_run(case, peer, "--recipients", "5", "--bdat", "1k", "--to",
                   "user%i@mx.test.example", "--pipelining", "full")
    check_equal(run.outcomes(), {
        ("user0", 1, "accepted", "250"): 20, ("user1", 1, "refused", "552"): 20,
        ("user2", 1, "accepted", "250"): 20, ("user3", 1, "refused", "550"): 20,
        ("user4", 1, "accepted", "250"): 20})
    peer.check_counts(peers.Counts(20, 60, 20, 0), "in Dovecot's log")
    run.check_ledger(mails_of(peer, names), accepted=60, delivered=60, refused=40)


def test_cyrus_lmtp(case):
    """Nobody may keep more than 1 KiB: from the second message on they are put off at RCPT. user3
    does not exist."""
    names = ("user0", "user1", "user2")
    peer = peers.Cyrus(case, users=names, quota_kb=1).start()
    run = lmtp_run(case, peer, "--recipients", "4", "--to", "user%i@mx.test.example", "--retry",
                   "fixed:50ms,1", "--connections", "1")
    check_equal(run.outcomes(), dict(
        [((name, 1, "accepted", "250"), 1) for name in names] +
        [((name, n, "deferred", "452"), 19) for name in names for n in (1, 2)] +
        [(("user3", 1, "refused", "550"), 20)]))
    peer.check_counts(peers.Counts(1, 3, 0, 0), "in Cyrus's log")
    run.check_ledger(mails_of(peer, names), accepted=3, delivered=3, refused=20, deferred=57)


def test_cyrus_lmtp_full(case):
    """Three addresses of one mailbox, which has room for the first copy: the others are put off
    after the content, each with its own reply."""
    peer = peers.Cyrus(case, users=("user0",), quota_kb=1).start()
    run = lmtp_run(case, peer, "--recipients", "3", "--to", "user0+%i@mx.test.example",
                   "--connections", "1", "--count", "1")
    check_equal(run.outcomes(), {("user0+0", 1, "accepted", "250"): 1,
                                 ("user0+1", 1, "deferred", "452"): 1,
                                 ("user0+2", 1, "deferred", "452"): 1})
    check_equal(run.phases, {"done"}, "replies that decided")
    peer.check_counts(peers.Counts(1, 1, 0, 0), "in Cyrus's log")
    run.check_ledger({"user0+0@mx.test.example": peer.mails("user0").values()}, accepted=1,
                     delivered=1, deferred=2)


# --- Courier, 558 -------------------------------------------------------------------------------


class Courier(peers.Courier):
    FILTER = peers.Courier.FILTER.replace("refused*)", "user2*)").replace("later*)", "user3*)")


def courier_run(case, *arguments):
    """user2's filter refuses, user3's puts off: 558 with a reply for each."""
    peer = Courier(case, users=NAMES).start()
    run = Run(case, f"smtp://127.0.0.1:{peer.port}", "--count", "20", "--recipients", "5", "--to",
              "user%i@mx.test.example", "--connections", "3", "--retry", "fixed:50ms,1",
              *arguments)
    check_equal(run.outcomes(), {
        ("user0", 1, "accepted", "250"): 20, ("user1", 1, "accepted", "250"): 20,
        ("user2", 1, "refused", "550"): 20, ("user3", 1, "deferred", "450"): 20,
        ("user4", 1, "refused", "550"): 20, ("user3", 2, "deferred", "450"): 20})
    peer.check_counts(peers.Counts(20, 40, 40, 40), "in Courier's log")
    wait_mails(peer, user0=20, user1=20)
    run.check_ledger(mails_of(peer, NAMES), accepted=40, delivered=40, refused=40, deferred=20)


def test_courier_unasked(case):
    """Courier sends 558 to whoever lets a message be refused, asked or not; so where XEXDATA is
    offered it is read as what it looks like."""
    courier_run(case)


def test_courier_only_if_asked(case):
    """For who wants 558 to be what it is for everybody else: a refusal for all (EXD-14). What
    Courier kept all the same is then a copy that nobody knows of."""
    peer = Courier(case, users=NAMES).start()
    run = Run(case, f"smtp://127.0.0.1:{peer.port}", "--count", "5", "--recipients", "3", "--to",
              "user%i@mx.test.example", "--connections", "1", "--exdata-if-asked")
    check_equal(run.outcomes(), {(f"user{i}", 1, "refused", "558"): 5 for i in range(3)})
    wait_mails(peer, user0=5, user1=5)
    run.check_ledger(mails_of(peer, NAMES), refused=15, ghost=10)


def test_courier_asked(case):
    """It lists XEXDATA and takes EXDATA with MAIL (EXD-2)."""
    courier_run(case, "--dialect", "exdata", "--pipelining", "full")


harness.main(globals(), seconds=180)
