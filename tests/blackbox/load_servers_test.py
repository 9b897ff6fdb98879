# SPDX-License-Identifier: Apache-2.0
"""What postern-load says of a run is what the server says of it: messages, recipients and refusals,
against posternd and against servers that we did not write, each by its own log or files."""

import contextlib
import glob
import json
import os
import re
import subprocess

import harness
import peers
from harness import check_equal

COUNT = 200
# The same traffic for all: sizes and numbers of recipients as they come, one to five.
TRAFFIC = ["--count", str(COUNT), "--connections", "8", "--reuse", "7", "--size", "lognormal:4k,1",
           "--recipients", "uniform:1-5", "--to", "user%i@mx.test.example", "--seed", "3"]


class Said:
    """The tool's own counts of a run."""

    def __init__(self, case, target, *arguments):
        self.path = os.path.join(case.dir, "run.json")
        self.attempts = os.path.join(case.dir, "attempts")
        case.note(harness.run([harness.own_program("POSTERN_LOAD"), target, *TRAFFIC, "--json",
                               self.path, "--attempts", self.attempts, "--quiet", *arguments],
                              status=(0, 1)))
        with open(self.path, encoding="utf-8") as f:
            report = json.load(f)
        counters = report["counters"]
        self.messages = counters["messages_accepted"]
        self.accepted, self.deferred, self.refused, self.unknown = (
            counters["rcpts"][k] for k in ("accepted", "deferred", "refused", "unknown"))
        self.all = self.accepted + self.deferred + self.refused + self.unknown
        self.codes = {}  # {(phase, code): recipients}
        for outcome in report["outcomes"]:
            key = outcome["phase"], outcome["code"]
            self.codes[key] = self.codes.get(key, 0) + outcome["count"]
        self.dialects = counters["dialects"]
        check_equal(counters["finished"], COUNT, "finished")
        check_equal(self.unknown, 0, "recipients without a reply")
        check_equal(counters["protocol_errors"], 0)
        self.counts = peers.Counts(self.messages, self.accepted, self.refused, self.deferred)

    def by_index(self):
        """{index of the recipient: how many there were}, from the log of attempts."""
        found = {}
        with open(self.attempts, encoding="utf-8") as f:
            for line in f:
                if not line.startswith("#"):
                    idx = int(line.split("\t")[2])
                    found[idx] = found.get(idx, 0) + 1
        return found


# --- posternd -----------------------------------------------------------------------------------

CONFIG = """
{listeners}
class "lax" {{ }}
class "small" {{ size_max = 4kb; }}
class "later" {{ action = defer; }}
domain "mx.test.example" {{
    recipients = ["user0 lax", "user1 lax", "user2 small", "user3 later"];
}}
""".replace("{{", "{").replace("}}", "}")


def replies(server, code):
    """How many of these the server says that it gave, last time that it was asked."""
    found = re.findall(rf'^postern_replies_total{{code="{code}",status="\w+"}} (\d+)$',
                       server.text()[server.text().rindex("postern_connections_accepted_total"):],
                       re.MULTILINE)
    return sum(int(n) for n in found)


def posternd(case, scheme, *arguments, offers=None):
    """user4 is unknown, and many a message too big for user2, at RCPT; user3 is put off after the
    content."""
    server = case.server(config=CONFIG, listener_extra=f"offer = [{offers}];" if offers else "")
    address = {"smtp": server.smtp, "lmtp": server.lmtp}.get(scheme)
    target = f"{scheme}://127.0.0.1:{address[1]}" if address else f"lmtp+unix:{server.unix}"
    said = Said(case, target, *arguments)
    counters = server.counters()
    check_equal(said.messages, counters["transactions_stored_total"], "messages")
    check_equal(said.accepted, counters["recipients_accepted_total"], "accepted")
    check_equal(len(server.spool_list()), said.messages, "in the spool")
    at_rcpt = sum(n for (phase, _), n in said.codes.items() if phase == "rcpt")
    check_equal(said.codes[("rcpt", 550)], said.by_index()[4], "unknown users")
    check_equal({key: n for key, n in said.codes.items() if key[1] != 250},
                {("rcpt", 550): replies(server, 550), ("rcpt", 552): replies(server, 552),
                 ("done", 451): replies(server, 451)})
    check_equal(said.refused - at_rcpt, counters["recipients_refused_total"], "refused")
    check_equal(said.deferred, counters["recipients_deferred_total"], "deferred")
    lines = server.wait_log("transaction", COUNT)
    logged = [re.search(r" (\d)\d\d \w+$", r).group(1) for line in lines for r in line["rcpt"]]
    check_equal((logged.count("2"), logged.count("4"), logged.count("5")),
                (said.accepted, said.deferred, said.refused - at_rcpt), "by the log")
    by_log = {}
    for line in lines:
        by_log[line["dialect"]] = by_log.get(line["dialect"], 0) + 1
    # What is refused before its content is no transaction for the log.
    for dialect, count in by_log.items():
        harness.check(said.dialects[dialect]["transactions"] >= count, dialect, by_log)
    check_equal(sum(d["transactions"] for d in said.dialects.values()), COUNT)
    for fate in ("accepted", "deferred", "refused"):
        check_equal(sum(d[fate] for d in said.dialects.values()), getattr(said, fate), fate)
    return said


def posternd_dialect(case, dialect, *arguments):
    """Only this one is offered, and it is asked for, even for one recipient."""
    said = posternd(case, "smtp", "--dialect", "any", "--dialect-min", "1", *arguments,
                    offers=f"standard, -prdr, -deferrals, -exdata, {dialect}")
    check_equal(said.dialects[dialect]["transactions"], COUNT, said.dialects)
    harness.check(said.dialects[dialect]["blocks"] > COUNT / 5, said.dialects)


def test_posternd_deferrals(case):
    posternd_dialect(case, "deferrals", "--bdat", "2k")


def test_posternd_inline_dsn(case):
    posternd_dialect(case, "inline-dsn")


def test_posternd_exdata(case):
    posternd_dialect(case, "exdata", "--pipelining", "full", "--bdat", "1k")


def test_posternd_xrcpt250(case):
    posternd_dialect(case, "xrcpt250", "--pipelining", "none")


def test_posternd_xprdr1(case):
    posternd_dialect(case, "xprdr1")


def test_posternd_adat(case):
    """Each DRCP is the verdict, with the content known; what it refuses is refused after it."""
    server = case.server(config=CONFIG, listener_extra="offer = [standard, adat];")
    said = Said(case, f"smtp://127.0.0.1:{server.smtp[1]}", "--dialect", "adat",
                "--dialect-min", "1")
    counters = server.counters()
    check_equal(said.dialects["adat"]["blocks"], COUNT)
    check_equal(said.messages, counters["transactions_stored_total"], "messages")
    check_equal(said.accepted, counters["recipients_accepted_total"], "accepted")
    check_equal(len(server.spool_list()), said.messages, "in the spool")
    check_equal(said.refused, replies(server, 550) + replies(server, 552))
    check_equal(said.deferred, replies(server, 451))
    check_equal(said.codes[("done", 550)], said.by_index()[4], "unknown users")


def test_posternd_lmtp(case):
    said = posternd(case, "lmtp")
    harness.check(said.refused > 100 and said.deferred > 50, "too few refusals:", said.codes)


def test_posternd_lmtp_unix(case):
    posternd(case, "lmtp+unix", "--bdat", "1k")


def test_posternd_prdr(case):
    posternd(case, "smtp", "--prdr", "--pipelining", "full")


def test_posternd_smtp(case):
    """One reply for all: messages with a recipient who is put off are put off as a whole."""
    server = case.server()
    said = Said(case, f"smtp://127.0.0.1:{server.smtp[1]}")
    counters = server.counters()
    check_equal((said.messages, said.accepted, said.refused, said.deferred),
                (counters["transactions_stored_total"], counters["recipients_accepted_total"], 0,
                 0))
    check_equal(said.messages, COUNT)


# --- smtp-sink ----------------------------------------------------------------------------------


class SmtpSink:
    """Postfix's smtp-sink, which dumps each message into a file of its own."""

    def __init__(self, case, *arguments):
        self.folder = os.path.join(case.dir, "dump")
        os.mkdir(self.folder)
        port = harness.free_port()
        command = [harness.program("smtp-sink"), "-d", self.folder + "/%M.", *arguments,
                   f"127.0.0.1:{port}", "100"]
        if os.geteuid() == 0:
            command[1:1] = ["-u", "root"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=self.folder)
        case.cleanups.append(self.end)
        self.port = port

        def answers():
            if self.process.poll() is not None:
                raise harness.Failure(f"smtp-sink ended with {self.process.returncode}")
            try:
                with harness.Client(("127.0.0.1", port)) as client:
                    client.quit()
                return True
            except OSError:
                return False

        harness.wait_until(answers, "smtp-sink")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def counts(self):
        messages = recipients = 0
        for path in glob.glob(self.folder + "/*"):
            with open(path, "rb") as f:
                head = f.read().split(b"\n\n")[0].replace(b"\r", b"")
            found = len(re.findall(rb"^X-Rcpt-Args: ", head, re.MULTILINE))
            messages += found > 0
            recipients += found
        return peers.Counts(messages, recipients, 0, 0)

    def check_counts(self, expected):
        """A file is closed behind the reply."""
        with contextlib.suppress(harness.Failure):
            harness.wait_until(lambda: self.counts() == expected, "the last files")
        check_equal(self.counts(), expected)


def test_smtp_sink(case):
    sink = SmtpSink(case)
    said = Said(case, f"smtp://127.0.0.1:{sink.port}")
    sink.check_counts(said.counts)
    check_equal(said.messages, COUNT)


def test_smtp_sink_lmtp(case):
    sink = SmtpSink(case, "-L")
    said = Said(case, f"lmtp://127.0.0.1:{sink.port}")
    sink.check_counts(said.counts)
    check_equal(said.messages, COUNT)


def test_smtp_sink_refuses(case):
    """Everything at RCPT, and then everything after the content."""
    said = Said(case, f"smtp://127.0.0.1:{SmtpSink(case, '-f', 'RCPT').port}")
    check_equal((said.accepted, said.deferred), (0, 0))
    check_equal(said.codes, {("rcpt", 500): said.all})


# --- Postfix, Exim, Dovecot -----------------------------------------------------------------------


class MixedPostfix(peers.Postfix):
    ACCESS = "/^user2@/ 550 5.1.1 No such user\n/^user3@/ 450 4.2.1 Busy, come back later\n"


def test_postfix(case):
    peer = MixedPostfix(case).start()
    said = Said(case, f"smtp://127.0.0.1:{peer.port}")
    peer.check_counts(said.counts)
    check_equal((said.messages, said.refused, said.deferred),
                (COUNT, said.by_index()[2], said.by_index()[3]))


class MixedExim(peers.Exim):
    CONFIG = (peers.Exim.CONFIG.replace("^unknown", "^user4").replace("^refused", "^user2")
              .replace("^later", "^user3"))


def test_exim_prdr(case):
    """user2 is refused and user3 put off after the content, user4 is unknown at RCPT."""
    peer = MixedExim(case).start()
    said = Said(case, f"smtp://127.0.0.1:{peer.port}", "--prdr")
    peer.check_counts(said.counts)
    by_index = said.by_index()
    check_equal((said.refused, said.deferred), (by_index[2] + by_index[4], by_index[3]))
    check_equal(said.codes[("done", 550)], by_index[2])


def test_exim(case):
    """Without PRDR nobody is refused after the content."""
    peer = MixedExim(case).start()
    said = Said(case, f"smtp://127.0.0.1:{peer.port}")
    peer.check_counts(said.counts)
    check_equal((said.messages, said.refused), (COUNT, said.by_index()[4]))


def test_dovecot(case):
    """user4 has no mailbox. What is refused at RCPT is not in Dovecot's log."""
    users = [f"user{i}" for i in range(4)]
    peer = peers.Dovecot(case, users=users).start()
    said = Said(case, f"lmtp://127.0.0.1:{peer.port}")
    at_rcpt = said.codes.get(("rcpt", 550), 0)
    peer.check_counts(said.counts._replace(refused=said.refused - at_rcpt))
    check_equal(at_rcpt, said.by_index()[4])
    check_equal([len(peer.mails(u)) for u in users], [said.by_index()[i] for i in range(4)])


def test_dovecot_full(case):
    """user2's place is taken by a mailbox that is full: 552 after the content."""
    peer = peers.Dovecot(case, users=("full0", "full1", "full2", "full3", "full4")).start()
    said = Said(case, f"lmtp://127.0.0.1:{peer.port}", "--to", "full%i@mx.test.example",
                "--size", "3k")
    peer.check_counts(said.counts)
    check_equal((said.accepted, said.codes), (0, {("done", 552): said.all}))


harness.main(globals(), seconds=180)
