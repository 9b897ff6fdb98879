# SPDX-License-Identifier: Apache-2.0
"""A sink that commits and then drops the connection makes exactly the duplicates that its script
says, and postern-lab sees and attributes them; so are losses and ghosts, and nothing else."""

import json
import os
import signal
import subprocess

import harness
from harness import check, check_equal

MESSAGES = 60
RECIPIENTS = 5


class Run:
    """postern-load against a sink with these rules; `ledger` is what postern-lab says of it."""

    def __init__(self, case, name, listen, rules, *arguments, sink_arguments=()):
        folder = os.path.join(case.dir, name)
        os.makedirs(folder)
        arrivals, attempts = os.path.join(folder, "arrivals"), os.path.join(folder, "attempts")
        log = os.path.join(folder, "stderr")
        listen = listen.format(folder)
        command = [harness.own_program("POSTERN_SINK"), "--listen", listen, "--ledger", arrivals,
                   *sink_arguments]
        for rule in rules:
            command += ["--rule", rule]
        with open(log, "wb") as stderr:
            sink = subprocess.Popen(command, stderr=stderr)
        case.cleanups.append(lambda: sink.poll() is not None or sink.kill())

        def text():
            with open(log, encoding="utf-8") as f:
                return f.read()

        harness.wait_until(lambda: "ready\n" in text() or sink.poll() is not None, "ready")
        target = text().split("listening on ")[1].split("\n")[0]
        self.text = harness.run(
            [harness.own_program("POSTERN_LOAD"), target, "--connections", "3", "--count",
             str(MESSAGES), "--recipients", str(RECIPIENTS), "--users", "100000", "--retry",
             "fixed:20ms,4", "--attempts", attempts, "--json", folder + "/json", "--quiet",
             *arguments], status=(0, 1))
        with open(folder + "/json", encoding="utf-8") as f:
            self.counters = json.load(f)["counters"]
        case.note(self.text)
        sink.send_signal(signal.SIGTERM)
        check_equal(sink.wait(harness.STEP_SECONDS), 0, text())
        case.note(text())
        with open(arrivals, encoding="utf-8") as f:
            lines = [line.rstrip("\n").split("\t") for line in f]
        names = lines[1]
        names[0] = names[0].lstrip("#")
        self.arrivals = [dict(zip(names, line)) for line in lines[2:]]
        with open(attempts, encoding="utf-8") as f:
            lines = [line.rstrip("\n").split("\t") for line in f]
        names = [lines[1][0].lstrip("#"), *lines[1][1:]]
        self.attempts = [dict(zip(names, line)) for line in lines[2:]]
        report = os.path.join(folder, "report")
        self.lab_status = subprocess.run(
            [harness.own_program("POSTERN_LAB"), "ledger", "--attempts", attempts, "--arrived",
             "sink:" + arrivals, "--json", report], stdout=subprocess.DEVNULL,
            timeout=harness.STEP_SECONDS, check=False).returncode
        with open(report, encoding="utf-8") as f:
            self.ledger = json.load(f)
        case.note(json.dumps(self.ledger))

    def expect(self, status=0, **numbers):
        """These numbers, and zero for what is not named."""
        ledger = self.ledger
        seen = {name: ledger[name] for name in ("lost", "copies_excess", "ghost", "refused",
                                                "gave_up", "deferred")}
        causes = {name: n for name, n in ledger["causes"].items() if n > 0}
        causes_expected = numbers.pop("causes", {})
        expected = {**dict.fromkeys(seen, 0), **numbers}
        check_equal(seen, expected)
        check_equal(causes, causes_expected)
        check_equal(self.lab_status, status, "status of postern-lab")
        check_equal(ledger["messages"], MESSAGES)
        check_equal(ledger["damaged"], 0)


def each_way(case, name, rules, expected, *arguments):
    for way, listen in (("tcp", "127.0.0.1:0"), ("v6", "[::1]:0"), ("unix", None)):
        protocol = "lmtp" if name.startswith("lmtp") else "smtp"
        url = f"{protocol}://{listen}" if listen else protocol + "+unix:{0}/socket"
        Run(case, f"{name}-{way}", url, rules, *arguments).expect(**expected)


def test_all_is_well(case):
    for name in ("smtp", "lmtp"):
        each_way(case, name, [], {})


def test_smtp_taken_and_dropped(case):
    """Ten messages are taken and their clients never learn it: each recipient has two copies."""
    copies = 10 * RECIPIENTS
    each_way(case, "smtp", ["dot attempt=1 seq=10-19 -> drop reset"],
             {"copies_excess": copies, "causes": {"connection_lost": copies}})
    # three tries each: two copies too many
    each_way(case, "smtp-more", ["dot attempt=-2 seq=10-19 -> drop"],
             {"copies_excess": 2 * copies, "causes": {"connection_lost": 2 * copies}})


def test_dropped_and_not_taken(case):
    each_way(case, "smtp", ["dot attempt=1 seq=10-19 -> gone stop; drop reset"], {})


def test_lmtp_cut_after_k_of_n(case):
    """The first two recipients are credited, so only the others come again."""
    copies = 10 * (RECIPIENTS - 2)
    each_way(case, "lmtp", ["dot attempt=1 seq=10-19 -> drop-after 2 reset"],
             {"copies_excess": copies, "causes": {"connection_lost": copies}})
    each_way(case, "lmtp-stop", ["dot attempt=1 seq=10-19 -> drop-after 2; gone stop"], {})


def test_prdr_cut_before_the_final_reply(case):
    copies = 10 * RECIPIENTS
    each_way(case, "smtp-prdr",
             ["dot via=prdr attempt=1 seq=10-19 -> drop-after 3 reset"],
             {"copies_excess": copies, "causes": {"connection_lost": copies}}, "--prdr")


def each_dialect(case, dialect, copies_each, *arguments):
    """Ten messages are cut behind two replies of recipients; the server goes on. A copy is too many
    of each recipient that the client did not credit and the server took."""
    run = Run(case, f"{dialect}{len(arguments)}", "smtp://127.0.0.1:0",
              ["dot attempt=1 seq=10-19 -> drop-after 2"], "--dialect", dialect, *arguments,
              sink_arguments=["--offer", "all", "--rule", "rcpt -> decide later"])
    copies = 10 * copies_each
    run.expect(copies_excess=copies, causes={"connection_lost": copies} if copies else {})
    check_equal({a["via"] for a in run.arrivals}, {dialect} | ({"smtp"} & {
        a["via"] for a in run.arrivals}), "who has one recipient left does not ask")
    check_equal(sum(a["delivered"] == "no" for a in run.arrivals), copies, "replies that are lost")
    counts = run.counters["dialects"]
    check(counts[dialect]["transactions"] >= MESSAGES, counts)
    check_equal(counts[dialect]["blocks"] >= 10, True, counts)
    check_equal(sum(d["accepted"] for d in counts.values()), MESSAGES * RECIPIENTS)


def test_dialect_prdr(case):
    each_dialect(case, "prdr", RECIPIENTS)


def test_dialect_deferrals(case):
    each_dialect(case, "deferrals", RECIPIENTS)


def test_dialect_inline_dsn(case):
    each_dialect(case, "inline-dsn", RECIPIENTS)


def test_dialect_exdata(case):
    each_dialect(case, "exdata", RECIPIENTS - 2)
    each_dialect(case, "exdata", RECIPIENTS - 2, "--bdat", "0", "--pipelining", "full")


def test_dialect_xrcpt250(case):
    each_dialect(case, "xrcpt250", RECIPIENTS - 2)


def test_dialect_xrcpt250b(case):
    """With the opening line all are the server's."""
    each_dialect(case, "xrcpt250b", 0)


def test_refusals_that_are_not_read(case):
    """Reading B, HOL-13: what the client has not read the server must tell, so nothing is lost."""
    run = Run(case, "notices", "smtp://127.0.0.1:0",
              ["dot attempt=1 seq=10-19 -> drop-after 2", "each index=4 -> reply 550 5.7.1 No"],
              "--dialect", "xrcpt250b", sink_arguments=["--offer", "all"])
    run.expect(refused=MESSAGES - 10)
    check_equal(sum(a["code"] == "550" for a in run.arrivals), 10)


def test_dialect_xprdr1(case):
    each_dialect(case, "xprdr1", RECIPIENTS)


def test_dialect_adat(case):
    """OTH-7: what was not ended by ERCP is nobody's."""
    each_dialect(case, "adat", 0)


def test_the_opening_line_lies(case):
    """Reading B, and a server that forgets the message with its client: that is loss."""
    run = Run(case, "lies", "smtp://127.0.0.1:0",
              ["dot attempt=1 seq=3 -> drop-after 2; gone stop"],
              "--dialect", "xrcpt250b", sink_arguments=["--offer", "all"])
    run.expect(status=1, lost=RECIPIENTS - 2)


def test_a_dialect_that_fails_is_not_asked_for(case):
    """DEF-21: after three connections that ended without replies the next dialect is taken."""
    run = Run(case, "trust", "smtp://127.0.0.1:0", ["dot via=deferrals -> gone stop; drop"],
              "--dialect", "deferrals,exdata", "--dialect-failures", "3", "--connections", "1",
              sink_arguments=["--offer", "all"])
    run.expect()
    counts = {name: d["transactions"] for name, d in run.counters["dialects"].items()
              if d["transactions"] > 0}
    check_equal(counts, {"deferrals": 3, "exdata": MESSAGES})


def test_client_gives_up(case):
    """The client's patience ends during T0; the server goes on and takes it. (On a machine that
    stands still it may end elsewhere too.)"""
    run = Run(case, "slow", "smtp://127.0.0.1:0", ["dot attempt=1 seq=0-2 -> delay 4s"],
              "--timeout", "done=1s", sink_arguments=["--grace", "60s"])
    seen = [(a["seq"], a["rcpt"]) for a in run.attempts if a["cause"] == "timeout"]
    check(set(seen) >= {(str(s), str(r)) for s in range(3) for r in range(RECIPIENTS)}, seen)
    run.expect(copies_excess=len(seen), causes={"gave_up": len(seen)})


def test_lost_and_ghosts(case):
    Run(case, "lost", "smtp://127.0.0.1:0", ["dot seq=7 -> commit never"]).expect(
        status=1, lost=RECIPIENTS)
    run = Run(case, "never-known", "smtp://127.0.0.1:0", ["dot seq=8 -> drop reset"])
    check_equal((run.ledger["lost"], run.ledger["gave_up"], run.ledger["ghost"]),
                (0, RECIPIENTS, RECIPIENTS))
    run = Run(case, "refused", "smtp://127.0.0.1:0",
              ["dot seq=8 -> commit always; reply 550 5.0.0 No, but yes"])
    check_equal((run.ledger["lost"], run.ledger["refused"]), (0, RECIPIENTS))
    check_equal((run.ledger["ghost"], run.ledger["ghosts"]["refused"]), (RECIPIENTS, RECIPIENTS))


def test_spoiled_replies(case):
    """Taken, but the client cannot know it."""
    run = Run(case, "garbage", "smtp://127.0.0.1:0", ["dot attempt=1 seq=5 -> garbage"])
    check_equal(run.ledger["copies_excess"], RECIPIENTS)
    check_equal(run.ledger["lost"], 0)


harness.main(globals())
