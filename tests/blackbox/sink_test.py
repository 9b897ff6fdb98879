# SPDX-License-Identifier: Apache-2.0
"""postern-sink: each thing that a script can ask for is seen by a client once, and what it writes
about it is right."""

import os
import re
import resource
import signal
import socket
import subprocess
import time

import harness
from harness import Client, Closed, check, check_equal

RUN = "00000000000000ab"


class Sink:
    """A postern-sink of its own: `smtp`, `lmtp` (host and port), `unix` (path, LMTP)."""

    def __init__(self, case, *arguments, rules=(), ledger=True, preexec=None, name="sink"):
        self.dir = os.path.join(case.dir, name)
        os.makedirs(self.dir, exist_ok=True)
        self.unix = os.path.join(self.dir, "lmtp.sock")
        self.ledger_path = os.path.join(self.dir, "ledger")
        self.stderr_path = os.path.join(self.dir, "stderr")
        command = [harness.own_program("POSTERN_SINK"), "--listen", "smtp://127.0.0.1:0",
                   "--listen", "lmtp://127.0.0.1:0", "--listen", "lmtp+unix:" + self.unix]
        if ledger:
            command += ["--ledger", self.ledger_path]
        for rule in rules:
            command += ["--rule", rule]
        environment = dict(os.environ)
        environment.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(command + list(arguments), stderr=stderr,
                                            env=environment, preexec_fn=preexec)
        case.cleanups.append(self.kill)
        harness.wait_until(lambda: "postern-sink: ready\n" in self.text() or
                           self.process.poll() is not None, "postern-sink: ready")
        ports = re.findall(r"listening on \w+://127.0.0.1:(\d+)\n", self.text())
        check_equal(len(ports), 2, self.text())
        self.smtp, self.lmtp = [("127.0.0.1", int(port)) for port in ports]
        self.case = case

    def text(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.case.note(self.text())

    def client(self, address=None, hello="EHLO", **named):
        client = Client(address or self.smtp, **named)
        self.case.clients.append(client)
        if hello:
            client.hello(hello)
        return client

    def ends(self, status=0):
        check_equal(self.process.wait(harness.STEP_SECONDS), status, self.text())
        for word in ("AddressSanitizer", "runtime error", "LeakSanitizer"):
            check(word not in self.text(), self.text())

    def stop(self):
        """Ends the sink; its counters."""
        self.process.send_signal(signal.SIGTERM)
        self.ends()
        return self.counters()

    def counters(self):
        return {name: int(value)
                for name, value in re.findall(r"^  (\S.*?) +(\d+)$", self.text(), re.MULTILINE)}

    def ledger(self):
        """The arrivals as dictionaries."""
        has_ended = self.process.poll() is not None
        with open(self.ledger_path, encoding="utf-8") as f:
            lines = f.read().split("\n")
        check_equal(lines[0], "#postern-arrivals 1")
        if has_ended:
            check_equal(lines[-1], "", "the last line is complete")
        names = lines[1][1:].split("\t")
        return [dict(zip(names, line.split("\t"))) for line in lines[2:-1]]

    def fates(self):
        """[(address, code, delivered)] as they were written."""
        return [(a["address"], int(a["code"]), a["delivered"]) for a in self.ledger()]


def mail(seq=1, body=b"Hello.\r\n"):
    return harness.message(body=body, message_id=f"<pl.{RUN}.{seq}@client.example>")


def begin(client, recipients, seq=1, params=""):
    """Everything up to the dot; replies are not read."""
    client.envelope(recipients, params=params)
    client.command("DATA", 354)
    client.send(harness.stuffed(mail(seq)))


def rcpts(count):
    return [f"r{i}@mx.test.example" for i in range(1, count + 1)]


def seconds_of(function):
    start = time.monotonic()
    value = function()
    return time.monotonic() - start, value


# --- no script --------------------------------------------------------------------------------


def test_takes_all(case):
    sink = Sink(case)
    client = sink.client()
    check_equal(client.deliver(rcpts(2), mail(1)).code, 250)
    check_equal(client.deliver(rcpts(1), mail(2)).code, 250)
    client.quit()
    client = sink.client(sink.lmtp, "LHLO")
    client.envelope(rcpts(2))
    check_equal([r.code for r in client.data(mail(3), 2)], [250, 250])
    client.quit()
    client = sink.client(sink.unix, "LHLO")
    client.envelope(rcpts(1))
    check_equal([r.code for r in client.bdat(mail(4), chunk=10)], [250])
    client.quit()
    client = sink.client()
    client.envelope(rcpts(3), params="PRDR")
    check_equal([r.code for r in client.data(mail(5))], [250])
    client.quit()
    counters = sink.stop()
    check_equal(counters["messages taken"], 5)
    check_equal(counters["recipients taken"], 9)
    ledger = sink.ledger()
    check_equal(sorted((a["seq"], a["rcpt"], a["via"]) for a in ledger),
                sorted([("1", "0", "smtp"), ("1", "1", "smtp"), ("2", "0", "smtp"),
                        ("3", "0", "lmtp"), ("3", "1", "lmtp"), ("4", "0", "lmtp"),
                        ("5", "0", "prdr"), ("5", "1", "prdr"), ("5", "2", "prdr")]))
    check_equal({a["run"] for a in ledger}, {RUN})
    check_equal({a["delivered"] for a in ledger}, {"yes"})
    check_equal({a["bytes"] for a in ledger}, {str(len(mail(1)))})
    check_equal(len({(a["hash"]) for a in ledger}), 5)


def test_hash_is_of_content(case):
    sink = Sink(case)
    content = mail(1, b"..\r\n.\r\n. dots\r\n")
    for how in (lambda c: c.data(content), lambda c: c.bdat(content)):
        client = sink.client()
        client.envelope(rcpts(1))
        check_equal(how(client)[0].code, 250)
        client.quit()
    sink.stop()
    first, second = sink.ledger()
    check_equal(first["hash"], second["hash"])
    check_equal((first["bytes"], second["bytes"]), (str(len(content)),) * 2)
    try:
        import xxhash
        check_equal(first["hash"], xxhash.xxh3_64_hexdigest(content))
    except ImportError:
        pass


def test_identity_of_field(case):
    sink = Sink(case)
    client = sink.client()
    content = b"Received: by relay\r\nX-Postern-Load: " + RUN.encode() + b".77\r\n" + mail(1)
    check_equal(client.deliver(rcpts(1), content).code, 250)
    check_equal(client.deliver(rcpts(1), b"Subject: none\r\n\r\nx\r\n").code, 250)
    client.quit()
    sink.stop()
    check_equal([(a["run"], a["seq"]) for a in sink.ledger()], [(RUN, "77"), ("-", "-")])


def test_maildir(case):
    store = os.path.join(case.dir, "box")
    sink = Sink(case, "--store", "maildir:" + store, rules=["dot seq=2 -> reply 451"])
    client = sink.client()
    content = mail(1, b".\r\n.. x\r\n" + b"y" * 70000 + b"\r\n")
    check_equal(client.deliver(rcpts(2), content).code, 250)
    check_equal(client.deliver(rcpts(1), mail(2)).code, 451)
    client.envelope(rcpts(1))
    client.command("DATA", 354)
    client.send(b"half")
    client.close()
    sink.stop()
    files = harness.read_files(store)
    check_equal([(name.split("/")[0], data) for name, data in files.items()], [("new", content)])


def test_once_and_max_messages(case):
    sink = Sink(case, "--once")
    client = sink.client()
    client.deliver(rcpts(1), mail())
    client.quit()
    sink.ends()
    check(not os.path.exists(sink.unix), "the socket is left")
    sink = Sink(case, "--max-messages", "2", name="two")
    client = sink.client()
    for i in range(2):
        check_equal(client.deliver(rcpts(1), mail(i)).code, 250)
    client.expect(421)
    sink.ends()
    check_equal(len(sink.ledger()), 2)


def test_sigterm_lets_a_message_end(case):
    sink = Sink(case, rules=["dot -> delay 0.3s"])
    idle = sink.client()
    client = sink.client()
    begin(client, rcpts(1))
    harness.wait_until(lambda: usr1(sink).get("messages") == 1, "the dot was seen")
    sink.process.send_signal(signal.SIGTERM)
    idle.expect(421)
    client.expect(250)
    client.expect(421)
    sink.ends()
    check_equal([f[:2] for f in sink.fates()], [("r1@mx.test.example", 250)])


def usr1(sink):
    before = len(sink.text())
    sink.process.send_signal(signal.SIGUSR1)
    harness.wait_until(lambda: "replies spoiled" in sink.text()[before:], "counters")
    return {name: int(value) for name, value in
            re.findall(r"^  (\S.*?) +(\d+)$", sink.text()[before:], re.MULTILINE)}


def test_wrong_usage(case):
    program = harness.own_program("POSTERN_SINK")
    url = "smtp://127.0.0.1:0"
    for arguments, said in (
            ([], "--listen is missing"),
            (["-l", "http://127.0.0.1:0"], "--listen http://127.0.0.1:0: expected smtp://"),
            (["-l", "smtp://127.0.0.1"], "--listen smtp://127.0.0.1: expected "),
            (["-l", "lmtp+unix:"], "--listen lmtp+unix:: expected "),
            (["-l", url] * 65, f"--listen {url}: expected at most 64 of them"),
            (["-l", url, "word"], "word: not an option; see --help"),
            (["-x"], "-x: not an option; see --help"),
            (["--quie"], "--quie: not an option; see --help"),
            (["--once=1"], "--once takes no value"),
            (["-qw"], "--workers needs a value: N"),
            (["-w65"], "--workers 65: expected a number from 1 to 64"),
            (["--size", "0"], "--size 0: expected a size"),
            (["--rcvbuf", "2G"], "--rcvbuf 2G: expected a size"),
            (["--capacity", "0"], "--capacity 0: expected a number from 1"),
            (["--slowdown", "-1"], "--slowdown -1: expected a number from 0 to 1000"),
            (["--slowdown", "nan"], "--slowdown nan: expected a number from 0 to 1000"),
            (["--idle", "0s"], "--idle 0s: expected a time: 250ms, 30s, 5m (1ms to 24h)"),
            (["--grace", "25h"], "--grace 25h: expected a time: 250ms, 30s, 5m (at most 24h)"),
            (["--store", "mbox:x"], "--store mbox:x: expected maildir:DIR"),
            (["--hostname", ""], "--hostname : expected a host name"),
            (["--banner", "x" * 600], "--banner: the text is too long"),
            (["--offer", "DSN,X"], "--offer: X is not an EHLO keyword of ours"),
            (["--rule", "dot -> jump"], "jump"),
            (["--script", "/nonexistent"], "/nonexistent: "),
            (["--delay-dot", "1" * 128], "--delay-dot: the value is too long"),
            (["--delay-dot=1s"] * 17, "too many options for delays and refusals"),
            (["-l", url, "--refuse-rcpt", "0.5:45"], '"45" is not a code')):
        text = harness.run([program, *arguments], status=2)
        check(text.startswith("postern-sink: ") and said in text, text, said)
        check_equal(text.count("\n"), 1, text)
    help_text = harness.run([program, "--help"])
    check(len(help_text.split("\n")) <= 50, "help does not fit")
    script = os.path.join(case.dir, "script")
    with open(script, "w", encoding="utf-8") as f:
        f.write("# fine\n\nrcpt -> reply 999\n")
    text = harness.run([program, "--script", script], status=2)
    check(f"{script}:3: " in text, text)


# --- verdicts and delays ----------------------------------------------------------------------


def test_verdicts(case):
    sink = Sink(case, rules=[
        "rcpt rcpt=bad*@* -> reply 550 5.1.1 No such user; stop",
        "rcpt rcpt=fwd@* -> reply 251 2.1.5 Forwarded",
        "mail from=spam@* -> reply 451 4.7.1 Not now",
        "data count=3 -> reply 452 4.3.1 Not three",
        "dot size=500- -> reply 552 5.3.4 Too long",
        "each rcpt=later@* -> reply 450 4.2.1 Later"])
    client = sink.client()
    reply = client.command("MAIL FROM:<spam@x.example>", 451)
    check_equal(reply.text, "4.7.1 Not now")
    client.command("MAIL FROM:<good@x.example>", 250)
    check_equal(client.command("RCPT TO:<BADly@x.example>", 550).text, "5.1.1 No such user")
    check_equal(client.command("RCPT TO:<fwd@x.example>", 251).text, "2.1.5 Forwarded")
    check_equal(client.data(mail(1))[0].code, 250)
    check_equal(client.deliver(rcpts(1), mail(2, b"x" * 500 + b"\r\n")).code, 552)
    client.envelope(rcpts(3))
    client.command("DATA", 452)
    client.command("RSET", 250)
    client.envelope(["later@x.example", "r1@x.example"], params="PRDR")
    check_equal([r.code for r in client.data(mail(3), 4)], [353, 450, 250, 250])
    client.quit()
    client = sink.client(sink.lmtp, "LHLO")
    client.envelope(["r1@x.example", "later@x.example"])
    check_equal([r.code for r in client.data(mail(4), 2)], [250, 450])
    client.quit()
    sink.stop()
    check_equal([(a["seq"], a["address"], a["code"], a["rcpt"]) for a in sink.ledger()],
                [("1", "fwd@x.example", "250", "1"), ("3", "r1@x.example", "250", "1"),
                 ("4", "r1@x.example", "250", "0")])


def test_conditions(case):
    sink = Sink(case, "--seed", "7", rules=[
        "rcpt conn=1 every=3 -> reply 450",
        "connect client=10.0.0.0/8 -> reply 554",
        "connect client=127.0.0.0/8 conn=2 -> reply 554 5.7.1 Second",
        "dot seq=10-19 attempt=1 -> reply 451",
        "dot seq=30- p=100% -> reply 550",
        "dot seq=30- p=0 -> reply 421"])
    client = sink.client()
    codes = [client.command("MAIL FROM:<a@b.example>", 250).code]
    codes = [client.command(f"RCPT TO:<r{i}@x.example>").code for i in range(6)]
    check_equal(codes, [250, 250, 450, 250, 250, 450])
    client.command("RSET", 250)
    refused = sink.client(greet=False, hello=None)
    check_equal(refused.expect(554).text, "Second")
    client.quit()
    client = sink.client()
    for seq, code in ((9, 250), (10, 451), (10, 250), (10, 250), (19, 451), (20, 250), (30, 550)):
        check_equal(client.deliver(rcpts(1), mail(seq)).code, code, seq)
    client.quit()
    sink.stop()


def test_shorthands(case):
    sink = Sink(case, "--delay-greeting", "0.1s", "--refuse-rcpt", "100%:551", "--seed", "3")
    took, client = seconds_of(sink.client)
    check(took >= 0.1, took)
    client.envelope(rcpts(1), rcpt_codes=(551,))
    client.command("RSET", 250)
    sink.stop()


def test_sequential_decisions(case):
    """T0 and Tr: each recipient's reply leaves as it is decided."""
    sink = Sink(case, "--delay-dot", "0.3s", "--delay-each", "0.2s")
    client = sink.client(sink.lmtp, "LHLO")
    start = time.monotonic()
    begin(client, rcpts(3))
    times = []
    for _ in range(3):
        client.expect(250)
        times.append(time.monotonic() - start)
    check(all(t >= 0.49 + 0.2 * i for i, t in enumerate(times)), times)
    client.quit()
    client = sink.client()
    start = time.monotonic()
    begin(client, rcpts(2), params="PRDR")
    client.expect(353)
    client.expect(250)
    check(time.monotonic() - start >= 0.49, "the first of two, by PRDR")
    client.expect(250)
    client.expect(250)
    start = time.monotonic()
    begin(client, rcpts(2))
    client.expect(250)
    check(time.monotonic() - start >= 0.69, "one reply for two")
    client.quit()
    sink.stop()


def test_one_at_a_time(case):
    """One place for all workers: whoever comes meanwhile waits in line, on whatever thread; and who
    leaves the line costs the others nothing."""
    sink = Sink(case, "--workers", "3", "--capacity", "1",
                rules=["dot seq=1 -> delay 1s", "dot -> gone stop"])
    clients = [sink.client() for _ in range(8)]
    for seq, client in enumerate(clients, 1):
        begin(client, rcpts(1), seq)
        harness.wait_until(lambda: usr1(sink)["messages"] == seq, "the dot was seen")
    clients[3].close()
    for client in clients[:3] + clients[4:]:
        client.expect(250)
        client.quit()
    times = {int(a["seq"]): int(a["time_us"]) for a in sink.ledger()}
    check_equal(sorted(times), [1, 2, 3, 5, 6, 7, 8])
    check_equal(min(times, key=times.get), 1, times)
    check_equal(sink.stop()["recipients taken"], 7)


def test_all_at_once_within_a_budget(case):
    """Replies leave in order; who is not decided in time is deferred in his place."""
    sink = Sink(case, rules=["dot -> order concurrent; budget 2s", "each index=2 -> delay 1h",
                             "each index=4 -> reply 550; delay 20ms"])
    client = sink.client(sink.lmtp, "LHLO")
    begin(client, rcpts(4))
    for code in (250, 451, 250, 550):
        client.expect(code)
    client.quit()
    sink.stop()
    check_equal([a["address"] for a in sink.ledger()], [rcpts(4)[0], rcpts(4)[2]])


def test_replies_wait_for_nobody_behind(case):
    """A reply leaves when it is decided, though the next takes an hour; 353 waits for nothing."""
    sink = Sink(case, rules=["each seq=1-2 index=3 -> delay 1h", "dot seq=3 -> delay 1h"])
    for seq, address, hello, codes in ((1, sink.lmtp, "LHLO", (250, 250)),
                                       (2, sink.smtp, "EHLO", (353, 250, 250)),
                                       (3, sink.smtp, "EHLO", (353,))):
        client = sink.client(address, hello)
        begin(client, rcpts(3), seq, "PRDR" if hello == "EHLO" else "")
        for code in codes:
            client.expect(code)
        check_equal(client.buffer, b"", "a reply that takes an hour")


def test_delays_of_commands(case):
    sink = Sink(case, rules=["helo -> delay 0.1s", "mail -> delay 0.1s", "rcpt -> delay 0.1s",
                             "data -> delay 0.1s", "quit -> delay 0.1s"])
    client = sink.client(hello=None)
    for line, code in (("EHLO a.example", 250), ("MAIL FROM:<>", 250), ("RCPT TO:<a@b.c>", 250),
                       ("DATA", 354)):
        took, _ = seconds_of(lambda l=line, c=code: client.command(l, c))
        check(took >= 0.1, line, took)
    client.send(harness.stuffed(mail()))
    client.expect(250)
    # pipelined, one after another
    start = time.monotonic()
    client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nRCPT TO:<b@b.c>\r\nQUIT\r\n")
    for code in (250, 250, 250, 221):
        client.expect(code)
    check(time.monotonic() - start >= 0.4, "pipelined commands")
    check(client.is_closed())
    sink.stop()


# --- drops and commits ------------------------------------------------------------------------


def test_drops_at_commands(case):
    points = ["connect", "helo", "mail", "rcpt", "data", "quit"]
    rules = [f"{point} conn={i + 1} -> drop{' reset' if i % 2 else ''}"
             for i, point in enumerate(points)]
    sink = Sink(case, rules=rules)
    lines = {"helo": "EHLO a.example", "mail": "MAIL FROM:<>", "rcpt": "RCPT TO:<a@b.c>",
             "data": "DATA", "quit": "QUIT"}
    for point in points:
        if point == "connect":
            check_equal(sink.client(greet=False, hello=None).rest(), b"")
            continue
        client = sink.client(hello=None)
        for name, line in lines.items():
            client.send(line.encode() + b"\r\n")
            if name == point:
                check_equal(client.rest(), b"", point)
                break
            if name == "data":
                client.expect(354)
                client.send(b"x\r\n.\r\n")
            client.reply()
    check_equal(sink.stop()["connections dropped"], len(points))
    check_equal(len(sink.ledger()), 1)


def test_drop_in_content(case):
    sink = Sink(case, rules=["data -> drop-content 1k reset"])
    client = sink.client()
    client.envelope(rcpts(1))
    client.command("DATA", 354)
    client.send(b"x" * 1000)
    time.sleep(0.1)
    check(client.socket.getpeername(), "still there")
    try:
        for _ in range(200):
            client.send(b"y" * 10000)
        check(False, "all was taken")
    except Closed:
        pass
    counters = sink.stop()
    check_equal((counters["connections dropped"], counters["messages"]), (1, 0))
    check_equal(sink.ledger(), [])


def test_drop_after_the_dot(case):
    """With and without having taken it; the ledger says that no reply arrived."""
    sink = Sink(case, rules=[
        "dot seq=1 -> drop reset",
        "dot seq=2 -> gone stop; drop reset",
        "dot seq=3 -> commit dot; drop close",
        "dot seq=4 -> commit never; drop",
        "dot seq=5 -> commit never",
        "dot seq=6 -> commit always; reply 451 4.3.0 Taken all the same",
        "dot seq=7 -> commit after",
        "dot seq=8 -> commit after; drop reset"])
    for seq in range(1, 9):
        client = sink.client()
        begin(client, rcpts(2), seq)
        if seq in (5, 7):
            client.expect(250)
            client.quit()
        elif seq == 6:
            client.expect(451)
            client.quit()
        else:
            check_equal(client.rest(), b"", seq)
    sink.stop()
    seen = sorted({(int(a["seq"]), a["code"], a["delivered"]) for a in sink.ledger()})
    check_equal(seen, [(1, "250", "no"), (3, "250", "no"), (6, "451", "yes"), (7, "250", "yes")])
    check_equal(len(sink.ledger()), 8)


def test_drop_after_replies(case):
    """k of n replies leave; a server that goes on takes all, one that stops takes k."""
    for gone, taken in (("run", 4), ("stop", 2)):
        sink = Sink(case, rules=[f"dot -> drop-after 2 reset; gone {gone}"], name=gone)
        client = sink.client(sink.lmtp, "LHLO")
        begin(client, rcpts(4))
        check_equal(client.rest().count(b"250 "), 2)
        sink.stop()
        fates = sink.fates()
        check_equal([f[0] for f in fates], rcpts(taken))
        check_equal([f[2] for f in fates[2:]], ["no"] * (taken - 2))
        check(all(f[2] != "yes" for f in fates), fates)


KEYWORDS = ["PRDR", "DEFERRALS", "INLINE-DSN", "XEXDATA", "EXDATA", "XRCPT250", "XRCPT250B",
            "XPRDR1",
            "ADAT"]


def test_offers(case):
    sink = Sink(case, "--offer", "all")
    said = sink.client(hello=None).hello().lines
    check_equal([k for k in KEYWORDS if k not in said], [], said)
    said = sink.client(sink.lmtp, hello=None).hello("LHLO").lines
    check_equal([k for k in KEYWORDS if k in said], [], "LMTP has its own way")
    sink = Sink(case, "--offer", "pipelining,xrcpt250,xprdr1", name="some")
    said = sink.client(hello=None).hello().lines
    check_equal(said[1:], ["PIPELINING", "XRCPT250"], "XPRDR1 needs ENHANCEDSTATUSCODES")


def test_drop_replies(case):
    """Behind so many octets, wherever that is; who was answered whole is not \"no\"."""
    whole = (b"558-250 2.0.0 stored\r\n558-250 2.0.0 stored\r\n558 550 5.7.1 No\r\n")
    for octets in (0, 10, 21, 22, 23, 50, len(whole)):
        sink = Sink(case,
                    rules=[f"dot -> drop-replies {octets}", "each index=3 -> reply 550 5.7.1 No"],
                    name=str(octets))
        client = sink.client()
        client.envelope(rcpts(3), params="EXDATA")
        client.command("DATA", 354)
        client.send(harness.stuffed(mail(1)))
        check_equal(client.rest(), whole[:octets])
        client.close()
        sink.stop()
        done = min(whole[:octets].count(b"\r\n"), 2)
        check_equal([f[2] == "no" for f in sink.fates()], [False] * done + [True] * (2 - done))


def test_pacing_and_decide(case):
    """All replies at the end, or each when its time has come; who is told at RCPT has none."""
    sink = Sink(case, rules=["each -> delay 0.3s", "rcpt rcpt=r1* -> decide now",
                             "dot seq=2 -> pacing buffer"])
    for seq, least in ((1, 0.0), (2, 0.9)):
        client = sink.client()
        codes = client.envelope(rcpts(3), params="DEFERRALS", rcpt_codes=(250, 352))
        check_equal([r.code for r in codes], [250, 352, 352])
        client.command("DATA", 354)
        start = time.monotonic()
        client.send(harness.stuffed(mail(seq)))
        reply = client.reply()
        took = time.monotonic() - start
        check(took >= least, took)
        if seq == 1:  # all agree, so that buffered it is one reply
            check_equal(reply.code, 353)
            check_equal([client.reply().code for _ in range(3)], [250, 250, 250])
        else:
            check_equal(reply.code, 250)
        client.quit()
    sink.stop()
    check_equal([f[2] for f in sink.fates()], ["yes"] * 6)


def test_life(case):
    sink = Sink(case, "--offer", "all", rules=["each seq=1 -> delay 0.3s", "each seq=2 -> delay 1h",
                                               "dot -> life 0.1s"])
    client = sink.client()
    begin(client, rcpts(1), 1, params="XRCPT250")
    lines = client.reply().lines
    check_equal(lines[0], "2.0.0 +RCPT 1")
    check_equal([l for l in lines[1:] if l != "000 working"], ["250 2.0.0 stored", "2.0.0 +END"])
    begin(client, rcpts(1), 2, params="XRCPT250")
    check_equal([client.line() for _ in range(4)], ["250-2.0.0 +RCPT 1"] + ["250-000 working"] * 3)


def test_drop_after_replies_prdr_and_smtp(case):
    sink = Sink(case, rules=["dot count=3 -> drop-after 1 reset",
                             "dot count=2 -> drop-after 2",
                             "dot count=1 -> drop-after 0",
                             "each count=4 index=3 -> drop"])
    for count, params, expected in (
            (3, "PRDR", [b"353", b"250"]), (2, "PRDR", [b"353", b"250", b"250"]),
            (4, "PRDR", [b"353", b"250", b"250"]), (3, "", [b"250"]), (1, "", [])):
        client = sink.client()
        begin(client, rcpts(count), count, params)
        got = [line[:3] for line in client.rest().split(b"\r\n") if line]
        check_equal(got, expected, (count, params))
    sink.stop()
    check_equal(len(sink.ledger()), 3 + 2 + 4 + 3 + 1)
    check_equal({a["delivered"] for a in sink.ledger() if a["via"] == "prdr"}, {"no"})


def test_reset_behind_replies(case):
    """What left ahead of a reset may have been read: only what never left cannot."""
    sink = Sink(case, rules=["dot -> drop-after 2 reset"])
    client = sink.client(sink.lmtp, hello="LHLO")
    begin(client, rcpts(3))
    check_equal([client.reply().code, client.reply().code], [250, 250])
    check_equal(client.rest(), b"")
    check_equal(sink.stop()["replies not arrived"], 1)
    check_equal([a["delivered"] for a in sink.ledger()], ["-", "-", "no"])


def test_reply_to_who_has_gone(case):
    """The client gives up during the delay: the server goes on, or it looks and stops."""
    sink = Sink(case, rules=["dot seq=1-2 -> delay 4s", "dot seq=3-4 -> delay 4s; gone stop"])
    clients = {}
    for seq in (3, 4, 1, 2):
        clients[seq] = sink.client()
        begin(clients[seq], rcpts(1), seq)
    harness.wait_until(lambda: usr1(sink)["messages"] == 4, "the dots were seen")
    for seq, client in clients.items():
        client.reset() if seq % 2 else client.close()
    harness.wait_until(lambda: usr1(sink)["connections lost"] >= 3, "all have gone")
    harness.wait_until(lambda: len(sink.ledger()) == 2, "two are taken")
    sink.stop()
    check_equal([(a["seq"], a["delivered"]) for a in sink.ledger()], [("1", "no"), ("2", "no")])


def test_half_close_is_answered(case):
    sink = Sink(case, rules=["dot -> delay 0.2s"])
    client = sink.client()
    client.envelope(rcpts(1))
    client.command("DATA", 354)
    client.send(harness.stuffed(mail()) + b"QUIT\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    client.expect(250)
    client.expect(221)
    check(client.is_closed())
    sink.stop()
    check_equal([f[2] for f in sink.fates()], ["-"])


def test_later_command_proves_the_reply(case):
    sink = Sink(case)
    client = sink.client()
    check_equal(client.deliver(rcpts(1), mail(1)).code, 250)
    check_equal(sink.ledger(), [], "not known yet")
    client.command("NOOP", 250)
    harness.wait_until(lambda: len(sink.ledger()) == 1, "known at the next command")
    check_equal(client.deliver(rcpts(1), mail(2)).code, 250)
    client.close()
    harness.wait_until(lambda: len(sink.ledger()) == 2, "known at the end")
    # QUIT that came along with the dot proves nothing
    client = sink.client()
    client.envelope(rcpts(1))
    client.command("DATA", 354)
    client.send(harness.stuffed(mail(3)) + b"QUIT\r\n")
    client.expect(250)
    client.expect(221)
    check(client.is_closed())
    sink.stop()
    check_equal([a["delivered"] for a in sink.ledger()], ["yes", "-", "-"])


def test_421(case):
    sink = Sink(case, rules=["helo conn=1 -> reply 421 4.3.2 Not you",
                             "rcpt conn=2 index=2 -> reply 421 4.7.0 Enough",
                             "dot conn=3 -> reply 421",
                             "each conn=4 index=2 -> reply 421 4.3.0 Half"])
    client = sink.client(hello=None)
    client.send(b"EHLO a.example\r\n")
    lines = client.rest()
    check(lines.endswith(b"421 4.3.2 Not you\r\n"), lines)
    client = sink.client()
    client.command("MAIL FROM:<>", 250)
    client.command("RCPT TO:<a@b.c>", 250)
    check_equal(client.command("RCPT TO:<a@b.c>", 421).text, "4.7.0 Enough")
    check(client.is_closed())
    client = sink.client()
    begin(client, rcpts(1))
    client.expect(421)
    check(client.is_closed())
    client = sink.client(sink.lmtp, "LHLO")
    begin(client, rcpts(3))
    got = [line[:3] for line in client.rest().split(b"\r\n") if line]
    check_equal(got, [b"250", b"451", b"451", b"421"])
    sink.stop()
    check_equal(len(sink.ledger()), 1)


# --- limits, stalls, offers -------------------------------------------------------------------


def test_source_limits(case):
    sink = Sink(case, "--source-conns", "2", "--source-rate", "1")
    one, two = sink.client(), sink.client()
    refused = sink.client(greet=False, hello=None)
    check("too many connections" in refused.expect(421).text)
    check(refused.is_closed())
    check_equal(one.deliver(rcpts(1), mail(1)).code, 250)

    def is_refused():
        """One after the other within a second; so that it is not the second's own rate, it
        rests."""
        one.command("MAIL FROM:<>")
        one.command("RSET", 250)
        reply = two.command("MAIL FROM:<>")
        if reply.code == 450:
            return "too many messages" in reply.text
        two.command("RSET", 250)
        time.sleep(1.1)
        return False

    harness.wait_until(is_refused, "450 for the second message within a second")
    two.quit()
    harness.wait_until(lambda: try_greeting(sink), "a place is free")
    check_equal(sink.stop()["connections refused"] >= 1, True)


def try_greeting(sink):
    client = sink.client(greet=False, hello=None)
    code = client.reply().code
    client.close()
    return code == 220


def test_offers_size_banner(case):
    sink = Sink(case, "--no-offer", "PIPELINING,CHUNKING", "--size", "1k", "--banner",
                "odd.example ESMTP of its own", "--hostname", "own.example", "--rcpt-max", "2")
    client = sink.client(hello=None)
    check_equal(client.greeting.text, "odd.example ESMTP of its own")
    lines = client.hello().lines
    check_equal(lines[0], "own.example")
    check("PIPELINING" not in lines and "CHUNKING" not in lines and "PRDR" not in lines, lines)
    check("SIZE 1024" in lines and "8BITMIME" in lines, lines)
    client.command("MAIL FROM:<> SIZE=2000", 552)
    check_equal(client.deliver(rcpts(1), mail(1, b"x" * 900 + b"\r\n" + b"x" * 900)).code, 552)
    client.command("MAIL FROM:<>", 250)
    check_equal([client.command(f"RCPT TO:<{r}>").code for r in rcpts(3)], [250, 250, 452])
    client.quit()
    sink.stop()
    sink = Sink(case, "--offer", "none", name="none")
    check_equal(len(sink.client(hello=None).hello().lines), 1)
    sink.stop()


def test_stalls(case):
    sink = Sink(case, "--rcvbuf", "4k", rules=[
        "data conn=1 -> stall-read 0.5s 10k", "rcpt conn=2 -> stall-write 0.3s",
        "connect conn=3 -> rcvbuf 2k; stall-read 0.3s"])
    client = sink.client()
    client.envelope(rcpts(1))
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    body = (b"x" * 998 + b"\r\n") * 500
    start = time.monotonic()
    client.command("DATA", 354)
    client.send(harness.stuffed(mail(1, body)))
    took = time.monotonic() - start
    check(took >= 0.45, "sent although nothing was read:", took)
    client.expect(250)
    client = sink.client()
    client.command("MAIL FROM:<>", 250)
    took, _ = seconds_of(lambda: client.command("RCPT TO:<a@b.c>", 250))
    check(took >= 0.3, took)
    took, _ = seconds_of(sink.client)
    check(took >= 0.25, took)
    sink.stop()
    check_equal([a["bytes"] for a in sink.ledger()], [str(len(mail(1, body)))])


def test_framing_rules_hold(case):
    sink = Sink(case)
    client = sink.client()
    client.envelope(rcpts(1))
    client.command("DATA", 354)
    client.send(b"Subject: x\r\n\r\nsmuggled\n.\nMAIL FROM:<evil@x.example>\r\n.\r\n")
    client.expect(550)
    client.command("NOOP", 250)
    client.quit()
    sink.stop()
    check_equal(sink.ledger(), [])


def test_many_connections(case):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(1500, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 200)), hard))
    sink = Sink(case, "--workers", "2", rules=["dot -> delay uniform:0.05s-0.2s"])
    clients = []
    for _ in range(count):
        client = Client(sink.smtp, greet=False)
        clients.append(client)
        client.send(b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")
    for i, client in enumerate(clients):
        client.send(harness.stuffed(mail(i)) + b"QUIT\r\n")
    for client in clients:
        for code in (220, 250, 250, 250, 354, 250, 221):
            client.expect(code)
        client.close()
    check_equal(sink.stop()["messages taken"], count)
    check_equal(len({a["seq"] for a in sink.ledger()}), count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- what no server should do -----------------------------------------------------------------


def test_spoiled_replies(case):
    sink = Sink(case, rules=[
        "mail conn=1 -> garbage 40", "mail conn=2 -> endless 100k", "mail conn=3 -> code 299",
        r"mail conn=4 -> surplus 250 more\r\n", "mail conn=5 -> missing", "data conn=6 -> early",
        r"mail conn=7 -> raw 250-one\r\n250 two\x21\r\n", "helo conn=8 -> code 999",
        r"each conn=9 index=2 -> raw 451 4.0.0 a\; b\r\n", "quit conn=10 -> missing"])
    client = sink.client()
    client.send(b"NOOP\r\n")
    noop = client.line().encode() + b"\r\n"
    client.send(b"MAIL FROM:<>\r\nNOOP\r\n")
    while len(client.buffer) < 40 + len(noop):
        client.fill()
    check_equal(client.buffer[40:], noop)
    check(not client.buffer.startswith(b"250"), client.buffer)
    client = sink.client()
    client.send(b"MAIL FROM:<>\r\nNOOP\r\n")
    while client.buffer.count(b"\n") < 2:
        client.fill()
    first, second, _ = client.buffer.split(b"\r\n")
    check_equal((len(first), first[:6], second[:3]), (100 * 1024 + 4, b"250 xx", b"250"))
    client = sink.client()
    check_equal(client.command("MAIL FROM:<>").code, 299)
    client.command("RCPT TO:<a@b.c>", 250)
    client = sink.client()
    client.command("MAIL FROM:<>", 250)
    check_equal(client.expect(250).text, "more")
    client = sink.client()
    client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\n")
    check("2.1.5" in client.expect(250).text, "the reply to MAIL was not left out")
    client = sink.client()
    client.envelope(rcpts(1))
    client.command("DATA", 354)
    client.expect(250)  # before the content
    client.send(harness.stuffed(mail(6)) + b"VRFY a\r\n")
    client.expect(252)
    client = sink.client()
    check_equal(client.command("MAIL FROM:<>", 250).lines, ["one", "two!"])
    client = sink.client(hello=None)
    client.send(b"EHLO a\r\n")
    check(client.line().startswith("999-"), "EHLO")
    client = sink.client(sink.lmtp, "LHLO")
    begin(client, rcpts(3), 9)
    check_equal([(r.code, r.text[:11])
                 for r in (client.reply(), client.reply(), client.reply())][1],
                (451, "4.0.0 a; b"))
    client = sink.client()
    client.send(b"QUIT\r\n")
    check_equal(client.rest(), b"")
    sink.stop()
    ledger = {(a["seq"], a["address"]): a["delivered"] for a in sink.ledger()}
    check_equal(ledger[("9", "r2@mx.test.example")], "no", "a spoiled reply")


# --- faults -----------------------------------------------------------------------------------


def test_ledger_disk_full(case):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))

    sink = Sink(case, preexec=limit)
    client = sink.client()
    try:
        for i in range(50):
            client.deliver(rcpts(5), mail(i))
        check(False, "the sink has not noticed")
    except (Closed, harness.Failure):
        pass
    sink.ends(1)
    check("nothing more is taken" in sink.text(), sink.text())
    check("arrivals could not be written" in sink.text(), sink.text())


def test_store_disk_full(case):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    store = os.path.join(case.dir, "box")
    sink = Sink(case, "--store", "maildir:" + store, preexec=limit)
    client = sink.client()
    check_equal(client.deliver(rcpts(2), mail(1)).code, 250)
    client.envelope(rcpts(1))
    client.command("DATA", 354)
    client.send(harness.stuffed(mail(2, (b"x" * 78 + b"\r\n") * 1000)))
    got = client.rest()
    check(got[:3] in (b"421", b"451"), got)
    sink.ends(1)
    check("box: File too large" in sink.text(), sink.text())
    check_equal(list(harness.read_files(store).values()), [mail(1)])
    check_equal({a["seq"] for a in sink.ledger()}, {"1"})


def test_ledger_is_kept(case):
    sink = Sink(case)
    client = sink.client()
    client.deliver(rcpts(1), mail(1))
    client.quit()
    sink.stop()
    again = Sink(case)
    client = again.client()
    client.deliver(rcpts(1), mail(2))
    client.quit()
    again.stop()
    check_equal([a["seq"] for a in again.ledger()], ["1", "2"])
    other = os.path.join(case.dir, "other")
    with open(other, "w", encoding="utf-8") as f:
        f.write("something else\n")
    text = harness.run([harness.own_program("POSTERN_SINK"), "--listen", "smtp://127.0.0.1:0",
                        "--ledger", other], status=1)
    check("not a ledger" in text, text)


def test_idle_clients_are_ended(case):
    sink = Sink(case, "--idle", "0.2s")
    client = sink.client(hello=None)
    client.expect(421)
    check(client.is_closed())
    check_equal(sink.stop()["timeouts"], 1)


harness.main(globals())
