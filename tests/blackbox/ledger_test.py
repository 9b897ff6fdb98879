# SPDX-License-Identifier: Apache-2.0
"""What postern-lab ledger says, against what is known without it: the sink's script, the sink's own
counters, a count of the arrivals made here, and a posternd that is killed again and again."""

import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import harness
from harness import SLOW, check, check_equal

TO = "user%n-%i@mx.test.example"


def load_command(target, attempts, *arguments):
    return [harness.own_program("POSTERN_LOAD"), target, "--to", TO, "--users", "100000",
            "--attempts", attempts, "--quiet", *arguments]


def load(case, target, attempts, *arguments, status=(0, 1)):
    case.note(harness.run(load_command(target, attempts, *arguments), status=status))


def lab(case, attempts, *arrived, status=0, lists=()):
    """What postern-lab says, with the items of these lists."""
    report = os.path.join(case.dir, "ledger.json")
    command = [harness.own_program("POSTERN_LAB"), "ledger", "--attempts", attempts, "--json",
               report]
    for source in arrived:
        command += ["--arrived", source]
    for name in lists:
        command += ["--list", name]
    case.note(harness.run(command, status=status))
    with open(report, encoding="utf-8") as f:
        return json.load(f)


def rows(path):
    """An attempts or arrivals file, read here."""
    with open(path, encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("\t") for line in f]
    names = lines[1][0].lstrip("#"), *lines[1][1:]
    return [dict(zip(names, line)) for line in lines[2:]]


def copies_excess(arrivals):
    """Copies too many, by counting: each (message, recipient) that was taken may be there once."""
    found = collections.Counter((r["seq"], r["address"]) for r in rows(arrivals)
                                if r["code"].startswith("2"))
    return sum(n - 1 for n in found.values())


class Sink:
    def __init__(self, case, *rules, protocol="smtp"):
        self.ledger = os.path.join(case.dir, "arrivals")
        self.log = os.path.join(case.dir, "sink")
        command = [harness.own_program("POSTERN_SINK"), "--listen", f"{protocol}://127.0.0.1:0",
                   "--ledger", self.ledger, "--grace", f"{10 * SLOW}s"]
        for rule in rules:
            command += ["--rule", rule]
        with open(self.log, "wb") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr)
        case.cleanups.append(lambda: self.process.poll() is not None or self.process.kill())
        harness.wait_until(lambda: "ready\n" in self.text() or self.process.poll() is not None,
                           "ready")
        self.target = self.text().split("listening on ")[1].split("\n")[0]

    def text(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def end(self):
        """Its counters."""
        self.process.send_signal(signal.SIGTERM)
        check_equal(self.process.wait(harness.STEP_SECONDS), 0, self.text())
        return {name: int(n) for name, n in re.findall(r"^  (\w[\w ]+?)  +(\d+)$", self.text(),
                                                       re.MULTILINE)}


def only(ledger, **expected):
    """These numbers; all others that tell of trouble are 0."""
    names = ("lost", "copies_excess", "ghost", "refused", "deferred", "gave_up", "unfinished",
             "damaged", "ambiguous_messages")
    seen = {name: ledger[name] for name in names if ledger[name] != 0}
    causes = expected.pop("causes", {})
    check_equal(seen, expected)
    check_equal({n: c for n, c in ledger["causes"].items() if c > 0}, causes)


def gave_up(attempts):
    """[(number, try)] of the recipients that the client did not hear of in time. A client that has
    a second of patience may lose it with others too, on a machine that stands still for a
    second."""
    return [(int(r["seq"]), int(r["attempt"])) for r in rows(attempts) if r["cause"] == "timeout"]


# --- a sink that takes the message and drops the connection --------------------------------------


def test_dropped_by_chance(case):
    """One message in five is taken, and its client hears nothing: as many duplicates as the sink
    has dropped replies, and as a count of the arrivals says."""
    sink, attempts = Sink(case, "dot p=20% -> drop reset"), case.dir + "/attempts"
    load(case, sink.target, attempts, "--count", "300", "--connections", "5", "--recipients", "2",
         "--retry", "fixed:10ms,30", status=0)
    counters = sink.end()
    ledger = lab(case, attempts, "sink:" + sink.ledger)
    excess = ledger["copies_excess"]
    check(excess > 20, "too few to mean anything:", excess)
    check_equal(excess, copies_excess(sink.ledger), "by counting")
    check_equal(excess, counters["replies not arrived"], "by the sink")
    check_equal(counters["recipients taken"], 600 + excess)
    check_equal((ledger["accepted"], ledger["delivered"]), (600, 600))
    only(ledger, copies_excess=excess, causes={"connection_lost": excess})


def test_lmtp_k_of_n(case):
    """Messages 0-3 are cut after their number of the 6 replies. Who was answered is not sent again;
    each of the others has two copies, and the list says k of n."""
    rules = [f"dot attempt=1 seq={k} -> drop-after {k} reset" for k in range(4)]
    sink, attempts = Sink(case, *rules, protocol="lmtp"), case.dir + "/attempts"
    report = os.path.join(case.dir, "report.json")
    load(case, sink.target, attempts, "--count", "10", "--connections", "1", "--recipients", "6",
         "--retry", "fixed:20ms,3", "--json", report, status=0)
    sink.end()
    with open(report, encoding="utf-8") as f:
        told = json.load(f)
    check_equal((told["counters"]["started"], told["counters"]["messages_accepted"]), (14, 10))
    check_equal(told["server_text"].count("220 "), 1, "greetings kept")
    ledger = lab(case, attempts, "sink:" + sink.ledger, lists=["duplicated"])
    only(ledger, copies_excess=6 + 5 + 4 + 3, causes={"connection_lost": 18})
    seen = collections.Counter((item["id"].split(".")[1], item["replies_seen"],
                                item["replies_due"], item["connection_lost"])
                               for item in ledger["lists"]["duplicated"])
    check_equal(seen, {(str(k), k, 6, 1): 6 - k for k in range(4)})


def test_gave_up_while_committing(case):
    """T0 is longer than the client's patience twice: of each of these recipients three copies."""
    sink = Sink(case, f"dot seq=5-6 attempt=-2 -> delay {3 * SLOW}s")
    attempts = case.dir + "/attempts"
    load(case, sink.target, attempts, "--count", "20", "--connections", "4", "--recipients", "3",
         "--retry", "fixed:20ms,5", "--timeout", f"done={SLOW}s", status=0)
    sink.end()
    ledger = lab(case, attempts, "sink:" + sink.ledger)
    seen = gave_up(attempts)
    check_equal([seen.count((seq, n)) for seq in (5, 6) for n in (0, 1)], [3] * 4, seen)
    only(ledger, copies_excess=len(seen), causes={"gave_up": len(seen)})
    causes = collections.Counter(r["cause"] for r in rows(attempts))
    check_equal(causes, {"reply": 60, "timeout": len(seen)})


def test_per_recipient_work(case):
    """LMTP, Tr = 800 ms each and a patience of 2 s for all replies together: two of four answers
    come in time (or one, or three, on a busy machine), and only the others are tried again."""
    sink = Sink(case, f"each seq=2 attempt=1 -> delay {800 * SLOW}ms", protocol="lmtp")
    attempts = case.dir + "/attempts"
    load(case, sink.target, attempts, "--count", "5", "--connections", "2", "--recipients", "4",
         "--retry", "fixed:20ms,5", "--timeout", f"done={2 * SLOW}s:total", status=0)
    sink.end()
    ledger = lab(case, attempts, "sink:" + sink.ledger)
    seen = gave_up(attempts)
    late = seen.count((2, 0))
    check(1 <= late <= 3, seen)
    check_equal(len([r for r in rows(attempts) if r["seq"] == "2"]),
                4 + len([s for s, _ in seen if s == 2]), "who was not heard of is tried again")
    only(ledger, copies_excess=len(seen), causes={"gave_up": len(seen)})


def test_both_causes(case):
    sink = Sink(case, "dot seq=1 attempt=1 -> drop reset",
                f"dot seq=2 attempt=1 -> delay {3 * SLOW}s")
    attempts = case.dir + "/attempts"
    load(case, sink.target, attempts, "--count", "6", "--connections", "2", "--retry",
         "fixed:20ms,3", "--timeout", f"done={SLOW}s", status=0)
    sink.end()
    ledger = lab(case, attempts, "sink:" + sink.ledger)
    seen = gave_up(attempts)
    check_equal(seen.count((2, 0)), 1, seen)
    only(ledger, copies_excess=1 + len(seen), causes={"connection_lost": 1, "gave_up": len(seen)})


# --- losses -------------------------------------------------------------------------------------


def test_accepted_and_not_stored(case):
    """A server that says 250 and keeps nothing: each such recipient, by name, and exit status 1."""
    sink, attempts = Sink(case, "dot seq=3-5 -> commit never"), case.dir + "/attempts"
    load(case, sink.target, attempts, "--count", "40", "--connections", "4", "--recipients", "2",
         status=0)
    sink.end()
    ledger = lab(case, attempts, "sink:" + sink.ledger, status=1, lists=["lost"])
    only(ledger, lost=6)
    expected = {(r["seq"], r["address"]) for r in rows(attempts) if r["seq"] in ("3", "4", "5")}
    seen = {(i["id"].split(".")[1], i["recipient"]) for i in ledger["lists"]["lost"]}
    check_equal(seen, expected)


def test_one_of_many_not_there(case):
    """One line taken out of the arrivals: that recipient of that message, and no other."""
    sink, attempts = Sink(case, protocol="lmtp"), case.dir + "/attempts"
    load(case, sink.target, attempts, "--count", "20", "--recipients", "3", status=0)
    sink.end()
    with open(sink.ledger, encoding="utf-8") as f:
        lines = f.readlines()
    gone = lines.pop(30).split("\t")
    with open(sink.ledger, "w", encoding="utf-8") as f:
        f.writelines(lines)
    ledger = lab(case, attempts, "sink:" + sink.ledger, status=1, lists=["lost"])
    only(ledger, lost=1)
    item = ledger["lists"]["lost"][0]
    check_equal((item["id"], item["recipient"]), (f"{gone[0]}.{gone[1]}", gone[3]))


# --- posternd -----------------------------------------------------------------------------------


def mbox_of(folder, path):
    with open(path, "wb") as out:
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as f:
                shutil.copyfileobj(f, out)


def exports(server):
    """The spool in every form that postern-lab reads; mbox as one file, and as it was exported."""
    forms = [("spool", server.spool)]
    for name, form in (("maildir", "maildir"), ("mbox", "mbox"), ("folder", "eml")):
        forms.append((name, os.path.join(server.dir, "export-" + form)))
        server.export("export-" + form, form)
    mbox_of(server.dir + "/export-mbox", server.dir + "/all.mbox")
    return forms + [("mbox", server.dir + "/all.mbox")]


def test_every_store(case):
    """Spool, Maildir, mbox and folder agree; a message that is taken out is lost in each."""
    server, attempts = case.server(), case.dir + "/attempts"
    target = f"smtp://127.0.0.1:{server.smtp[1]}"
    load(case, target, attempts, "--count", "60", "--connections", "4", status=0)
    for name, path in exports(server):
        ledger = lab(case, attempts, f"{name}:{path}")
        only(ledger)
        check_equal((ledger["delivered"], ledger["copies"]), (60, 60), name)
    gone = server.spool_list()[10:13]
    server.stop()
    server.ctl("spool", "delete", "--spool", server.spool, *gone)
    for form in ("maildir", "mbox", "eml"):
        shutil.rmtree(os.path.join(server.dir, "export-" + form))
    for name, path in exports(server):
        ledger = lab(case, attempts, f"{name}:{path}", status=1)
        only(ledger, lost=3)


class Killer(threading.Thread):
    """kill -9 and a new start, again and again while the load goes on."""

    def __init__(self, server, rounds, seed):
        super().__init__()
        self.server, self.rounds = server, rounds
        self.random = random.Random(seed)
        self.error = None

    def run(self):
        try:
            for _ in range(self.rounds):
                time.sleep(self.random.uniform(0.2, 0.8) * SLOW)
                self.server.kill()
                self.server.start()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error


def killed(case, protocol, port, *arguments):
    """Nothing is lost, and what is there twice was kept by a server that was killed before its
    answer: at most what had been sent when a connection broke."""
    server, attempts = case.server(arguments=["--durability", "disk"]), case.dir + "/attempts"
    target = f"{protocol}://127.0.0.1:{getattr(server, port)[1]}"
    command = load_command(target, attempts, "--connections", "20", "--recipients", "3", "--rate",
                           f"{300 // SLOW}/s", "--duration", f"{5 * SLOW}s", "--retry",
                           "fixed:150ms,400", "--drain", f"{60 * SLOW}s", *arguments)
    killer = Killer(server, 5, 7)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        case.cleanups.append(lambda: process.poll() is not None or process.kill())
        killer.start()
        case.note(process.communicate(timeout=90 * SLOW)[0].decode())
    killer.join()
    if killer.error is not None:
        raise killer.error
    sent = rows(attempts)
    broken = [r for r in sent if r["fate"] == "unknown"]
    check(len(broken) > 10, "too few tries were broken to mean anything:", len(broken))
    doubtful = sum(r["sent"] == "all" for r in broken)
    server.stop()
    ledger = lab(case, attempts, "spool:" + server.spool)
    planned = 300 * 5
    check_equal((ledger["messages"], ledger["accepted"], ledger["delivered"]),
                (planned, 3 * planned, 3 * planned))
    excess = ledger["copies_excess"]
    check(excess <= doubtful, "more duplicates than doubtful tries:", excess, doubtful)
    only(ledger, **({"copies_excess": excess, "causes": {"connection_lost": excess}}
                    if excess else {}))
    case.note(f"{len(broken)} broken, {doubtful} in doubt, {excess} there twice")


def test_killed_smtp(case):
    killed(case, "smtp", "smtp")


def test_killed_prdr(case):
    killed(case, "smtp", "smtp", "--prdr")


def test_killed_lmtp(case):
    killed(case, "lmtp", "lmtp")


harness.main(globals(), seconds=240)
