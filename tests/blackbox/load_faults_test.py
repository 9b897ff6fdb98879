# SPDX-License-Identifier: Apache-2.0
"""postern-load against servers that are silent, wrong, gone or slow: each fault is counted as what
it is, nothing hangs, and every message is accounted for."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from harness import check, check_equal, own_program, run


class BadServer:
    """Serves each connection on a thread of its own: talk(connection) speaks, or does not."""

    def __init__(self, talk):
        self.talk = talk
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"smtp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.taken = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                thread = threading.Thread(target=self.one, args=(connection,), daemon=True)
                self.taken.append((connection, thread))
                thread.start()

    def one(self, connection):
        with contextlib.suppress(OSError):
            self.talk(connection)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        harness.close_listener(self.listener, self.thread)
        for connection, thread in self.taken:
            harness.shut(connection)
            thread.join(harness.STEP_SECONDS)
            connection.close()


def dialogue(connection, answers, after_dot=b"250 2.0.0 ok\r\n"):
    """Answers by verb; what is not listed gets 250. Ends with the connection."""
    lines = connection.makefile("rb")
    connection.sendall(answers.get(b"", b"220 bad.example\r\n"))
    for line in lines:
        verb = line[:4].strip().upper()
        if verb == b"DATA" and verb not in answers:
            connection.sendall(b"354 go\r\n")
            while lines.readline() not in (b".\r\n", b""):
                pass
            if after_dot is None:
                return
            connection.sendall(after_dot)
        else:
            connection.sendall(answers.get(verb, b"250 ok\r\n"))


def silent(connection):
    connection.recv(1)


def endless(connection):
    connection.sendall(b"220 bad.example\r\n")
    while True:
        connection.sendall(b"x" * 4096)


def reset(connection):
    dialogue(connection, {}, after_dot=None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def cut(connection):
    dialogue(connection, {}, after_dot=None)
    connection.shutdown(socket.SHUT_RDWR)


def load(case, url, *arguments, status=1):
    """Runs it; what its report says."""
    path = os.path.join(case.dir, "report.json")
    run([own_program("POSTERN_LOAD"), "--quiet", "--json", path, "--connections", "4", *arguments,
         url], status=status)
    with open(path, encoding="utf-8") as f:
        return json.load(f)["counters"]


def check_unknown(counters, count, cause):
    check_equal(counters["finished"], count)
    check_equal(counters["rcpts"]["unknown"], count)
    check_equal(counters["causes"][cause], count)
    check_equal(counters["gave_up"], count)


def test_silent(case):
    with BadServer(silent) as server:
        counters = load(case, server.url, "--count", "8", "--timeout", "greeting=200ms")
    check_unknown(counters, 8, "timeout")
    check_equal(counters["timeouts"]["greeting"], 8)


def test_no_reply_after_the_dot(case):
    with BadServer(lambda c: dialogue(c, {}, after_dot=b"")) as server:
        counters = load(case, server.url, "--count", "8", "--timeout", "done=200ms:total")
    check_unknown(counters, 8, "timeout")
    check_equal(counters["timeouts"]["done"], 8)


def test_garbage(case):
    answers = ({b"": b"hello\r\n"}, {b"MAIL": b"354 what\r\n"}, {b"RCPT": b"\x00\xff\r\n"},
               {b"EHLO": b"250-a\r\n550 b\r\n"}, {b"RCPT": b"250 no line end\n"})
    for answer in answers:
        with BadServer(lambda c, a=answer: dialogue(c, a)) as server:
            counters = load(case, server.url, "--count", "8")
        check_unknown(counters, 8, "protocol")
        check_equal(counters["protocol_errors"], 8, answer)


def test_endless_line(case):
    with BadServer(endless) as server:
        counters = load(case, server.url, "--count", "8")
    check_unknown(counters, 8, "protocol")


def test_surplus_reply(case):
    with BadServer(lambda c: dialogue(c, {}, after_dot=b"250 ok\r\n250 more\r\n")) as server:
        counters = load(case, server.url, "--count", "8", status=0)
    check_equal(counters["rcpts"]["accepted"], 8)
    check_equal(counters["protocol_errors"], 8)


def test_lost(case):
    for talk, resets in ((cut, 0), (reset, 8)):
        with BadServer(talk) as server:
            counters = load(case, server.url, "--count", "8")
        check_unknown(counters, 8, "lost")
        check_equal(counters["resets"], resets)


def test_refused(case):
    counters = load(case, f"smtp://127.0.0.1:{harness.free_port()}", "--count", "8")
    check_unknown(counters, 8, "connect")
    check_equal(counters["connects_refused"], 8)


def test_greeting_refuses(case):
    with BadServer(lambda c: c.sendall(b"554 5.7.1 no\r\n")) as server:
        counters = load(case, server.url, "--count", "8")
    check_equal(counters["rcpts"]["refused"], 8)
    check_equal(counters["gave_up"], 0)


def test_overload_is_no_result(case):
    """A plan that the server cannot follow: what was planned and never begun is said."""
    def slow(connection):
        lines = connection.makefile("rb")
        connection.sendall(b"220 slow\r\n")
        for line in lines:
            time.sleep(0.2)
            connection.sendall(b"421 later\r\n" if line[:4] != b"EHLO" else b"250 hi\r\n")
    with BadServer(slow) as server:
        counters = load(case, server.url, "--rate", "500/s", "--duration", "1s", "--drain", "300ms",
                        status=3)
    check_equal(counters["planned"], 500)
    check(counters["started"] < 100 and counters["cap_hits"] > 400, counters)


def attempts_of(path):
    with open(path, encoding="ascii") as f:
        return [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]


def test_server_is_killed(case):
    """Once it has taken something; one in fifty waits for an answer until then, so that the run
    does not end before, and there are connections left for the others."""
    server = case.server(arguments=("--durability", "none"), config="""
        {listeners}
        class "never" { delay = 1h; }
        domain "mx.test.example" { recipients = ["user7 never", any]; }
        """)
    path = os.path.join(case.dir, "attempts")

    def kill():
        server.wait_log("transaction", 30)
        server.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    counters = load(case, f"smtp://127.0.0.1:{server.smtp[1]}", "--rate", "300/s",
                    "--duration", "2s", "--to", "user%n@mx.test.example", "--users", "50",
                    "--connections", "50",
                    "--retry", "fixed:100ms,1", "--attempts", path, status=(1, 3))
    killer.join()
    rows = attempts_of(path)
    check_equal(len(rows), counters["finished"])
    check_equal(len({r[0] for r in rows}), counters["planned"], "each message is in the log")
    fates = [r[7] for r in rows]
    check_equal(fates.count("accepted"), counters["rcpts"]["accepted"])
    check_equal(fates.count("unknown"), counters["rcpts"]["unknown"])
    check_equal(sum(r[15] == "end" and r[7] == "unknown" for r in rows), counters["gave_up"])
    check(counters["rcpts"]["accepted"] > 0 and counters["gave_up"] > 0, counters)


def test_interrupted(case):
    path = os.path.join(case.dir, "report.json")
    with BadServer(silent) as server:
        process = subprocess.Popen([own_program("POSTERN_LOAD"), "--quiet", "--json", path,
                                    "--count", "100", server.url], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        harness.wait_until(lambda: server.taken, "connections")
        process.send_signal(signal.SIGINT)
        check_equal(process.wait(timeout=harness.STEP_SECONDS), 130)
    with open(path, encoding="utf-8") as f:
        report = json.load(f)
    check(report["is_interrupted"], report)
    check_equal(report["counters"]["causes"]["stopped"], report["counters"]["finished"])


def test_full_disk(case):
    server = case.server(arguments=("--durability", "none"))
    target = f"smtp://127.0.0.1:{server.smtp[1]}"
    program = own_program("POSTERN_LOAD")
    text = run([program, "--quiet", "--count", "10", "--attempts", "/dev/full", target], status=1)
    check("No space left" in text, text)
    text = run([program, "--quiet", "--count", "10", "--json", "/dev/full/x", target], status=1)
    check("/dev/full/x" in text, text)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([program, "--quiet", "--count", "10", target], stdout=full,
                              stderr=subprocess.PIPE, timeout=60 * harness.SLOW, check=False)
    check_equal(done.returncode, 1)
    check(b"No space left" in done.stderr, done.stderr)


def test_compare(case):
    """Help is an answer, wrong use is not; a report that cannot be read is named."""
    program, report = own_program("POSTERN_LOAD"), os.path.join(case.dir, "a.json")
    for words in (("--help",), ("-h",), (report, "--help")):
        done = subprocess.run([program, "compare", *words], capture_output=True, check=False)
        check_equal((done.returncode, done.stderr), (0, b""), words)
        check(done.stdout.startswith(b"usage: postern-load compare A.json"), done.stdout)
    for words in ((), (report,), (report,) * 4):
        done = subprocess.run([program, "compare", *words], capture_output=True, check=False)
        check_equal((done.returncode, done.stdout), (2, b""), words)
        check(b"usage: postern-load compare A.json" in done.stderr, done.stderr)
    with BadServer(lambda connection: dialogue(connection, {})) as server:
        load(case, server.url, "--count", "1", status=0)
    os.rename(os.path.join(case.dir, "report.json"), report)
    said = run([program, "compare", report, "/nonexistent/b.json"], status=1)
    check_equal(said, "postern-load: /nonexistent/b.json: No such file or directory\n")
    check("The setups are the same" in run([program, "compare", report, report]))


harness.main(globals())
