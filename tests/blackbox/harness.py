# SPDX-License-Identifier: Apache-2.0
"""What black-box and crash tests share: a server in a scratch folder, a client that says exactly
what it is told to say, the spool as posternctl shows it, and the running of test functions.

A test file defines functions named test_*, each taking one argument, a Case, and ends with
harness.main(globals()). A function fails by an exception, is skipped by raising Skip, and
everything that it started is ended behind it. What failed is printed with the transcript of every
connection and the end of every server's log, and its name and reason again at the very end, which
is what the record of a CI run shows. Exit status: 0, 1 when something failed, 77 when nothing ran.

Tests run on machines that are busy with other things: any process may stand still for seconds. So a
test waits for what must happen and not for a time, and a time that it measures is a lower bound
that begins before what starts the clock. Where a program has to be given a time (a client's
patience, a limit), what must come in time and what must not are seconds apart.

The programs are those that POSTERND and POSTERNCTL name. POSTERN_SANITIZE tells which sanitizers
they were built with: every server's standard error is then searched for reports, and times are
longer.
"""

import atexit
import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

SKIP_STATUS = 77
SANITIZED = os.environ.get("POSTERN_SANITIZE", "none") != "none"
SLOW = 4 if SANITIZED else 1
STEP_SECONDS = 20 * SLOW  # for any single thing that is waited for
HOSTNAME = "mx.test.example"
QUEUE_ID = r"[0-9A-HJKMNP-TV-Z]{13}"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


class Skip(Exception):
    """The test cannot be run here; the text says why."""


class Failure(AssertionError):
    """What was seen is not what must be seen."""


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(w) for w in what))


def check_equal(seen, expected, what=""):
    if seen != expected:
        raise Failure(f"{what}: seen {shorten(seen)}, expected {shorten(expected)}")


def shorten(value, limit=1500):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"


def wait_until(condition, what, seconds=STEP_SECONDS):
    """The first true value of condition(), asked again and again."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def program(name):
    """Where a program is, or Skip."""
    path = shutil.which(name)
    if path is None and os.path.exists("/usr/sbin/" + name):
        path = "/usr/sbin/" + name
    if path is None:
        raise Skip(f"{name} is not installed")
    return path


def own_program(variable):
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        raise Skip(f"{variable} does not name a program that was built")
    return path


def shut(connection):
    """Wakes up who waits on a socket; for one that has ended nothing."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def close_listener(listener, thread):
    """Closes a socket behind the thread that accepts on it. Closing alone does not wake the thread
    up; and when it is about to accept, the number that it does so on may by then be another
    listener's, whose next connection it would take."""
    shut(listener)
    thread.join(STEP_SECONDS)
    listener.close()


# --- messages ---------------------------------------------------------------------------------


def crlf(content):
    """Every line end made CRLF: LF, CR and CRLF alike."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", content)


def stuffed(content):
    """Content as DATA wants it: ended by CRLF, dots doubled, with the end of data."""
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def message(subject="test", body=b"Hello.\r\n", message_id=None, header=()):
    lines = ["From: <sender@client.example>", "To: <someone@mx.test.example>",
             f"Subject: {subject}", "Date: Fri, 02 Jan 2026 03:04:05 +0000"]
    if message_id is not None:
        lines.append(f"Message-ID: {message_id}")
    lines.extend(header)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# --- client -----------------------------------------------------------------------------------


class Reply:
    def __init__(self, code, lines):
        self.code = code
        self.lines = lines

    @property
    def text(self):
        return "\n".join(self.lines)

    @property
    def enhanced(self):
        found = re.match(r"\d\.\d+\.\d+", self.lines[-1])
        return found.group(0) if found else None

    @property
    def queue_id(self):
        found = re.search(rf"stored as ({QUEUE_ID})", self.text)
        return found.group(1) if found else None

    def __repr__(self):
        return f"{self.code} {self.text!r}"


class Closed(Exception):
    """The server closed or reset the connection."""


class Client:
    """One connection, with its transcript. Nothing is repaired: what is given is what is sent."""

    def __init__(self, address, timeout=STEP_SECONDS, greet=True):
        self.transcript = []
        self.buffer = b""
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket(socket.AF_INET)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        if self.socket.family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.greeting = self.expect(220) if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def note(self, side, data):
        if len(self.transcript) < 400:
            self.transcript.append(f"{side} {shorten(data, 300)}")

    def send(self, data):
        self.note("C:", data)
        try:
            self.socket.sendall(data)
        except (ConnectionError, BrokenPipeError) as error:
            raise Closed(str(error)) from error

    def fill(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError as error:
            self.note("S:", "(reset)")
            raise Closed(str(error)) from error
        except socket.timeout as error:
            raise Failure("no reply in time") from error
        if not data:
            self.note("S:", "(closed)")
            raise Closed("end of stream")
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        self.note("S:", line + b"\n")
        check(line.endswith(b"\r"), "a reply line without CR:", line)
        check(len(line) + 1 <= 512, "a reply line over 512 octets:", line)
        return line[:-1].decode("ascii")

    def reply(self):
        lines = []
        while True:
            line = self.line()
            check(re.match(r"[2-5]\d\d([ -]|$)", line), "not a reply:", line)
            check(not lines or line[:3] == code, "codes differ in one reply:", line)
            code = line[:3]
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(int(code), lines)

    def expect(self, *codes):
        reply = self.reply()
        if reply.code not in codes:
            raise Failure(f"expected {codes}, got {reply}")
        return reply

    def command(self, line, *codes):
        self.send(line.encode() + b"\r\n")
        return self.expect(*codes) if codes else self.reply()

    def hello(self, word="EHLO"):
        return self.command(f"{word} client.example", 250)

    def envelope(self, recipients, sender="sender@client.example", params="", rcpt_codes=(250,)):
        """MAIL and RCPT, one at a time; the reply to each RCPT."""
        self.command(f"MAIL FROM:<{sender}>{' ' if params else ''}{params}", 250)
        return [self.command(f"RCPT TO:<{r}>", *rcpt_codes) for r in recipients]

    def data(self, content, count=1):
        """DATA and content; the replies that follow it."""
        self.command("DATA", 354)
        self.send(stuffed(content))
        return [self.reply() for _ in range(count)]

    def bdat(self, content, count=1, chunk=None):
        """The content in chunks, the last with LAST; the replies to the last."""
        chunk = chunk or max(len(content), 1)
        pieces = [content[i:i + chunk] for i in range(0, len(content), chunk)] or [b""]
        for piece in pieces[:-1]:
            self.send(b"BDAT %d\r\n" % len(piece) + piece)
            self.expect(250)
        self.send(b"BDAT %d LAST\r\n" % len(pieces[-1]) + pieces[-1])
        return [self.reply() for _ in range(count)]

    def deliver(self, recipients, content, **named):
        self.envelope(recipients, **named)
        return self.data(content)[0]

    def rest(self):
        """Everything up to the end of the stream, which must come."""
        try:
            while True:
                self.fill()
        except Closed:
            pass
        data, self.buffer = self.buffer, b""
        self.note("S:", data)
        return data

    def is_closed(self):
        return self.rest() == b""

    def quit(self):
        self.command("QUIT", 221)
        check(self.is_closed(), "bytes behind the reply to QUIT")
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes so that the server sees a reset and not an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


# --- server -----------------------------------------------------------------------------------

_reservations = []


def free_port():
    """A port of the loopback interface that no other test has: while this process lives, a name in
    the abstract socket space holds it. (The server binds with SO_REUSEPORT, so that two servers
    would share a port without noticing.)"""
    start = 20000 + (os.getpid() * 37) % 8000
    for i in range(8000):
        port = 20000 + (start + i) % 12000
        holder = socket.socket(socket.AF_UNIX)
        probe = socket.socket(socket.AF_INET)
        try:
            holder.bind(f"\0postern-test-port-{port}")
            probe.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
            continue
        finally:
            probe.close()
        _reservations.append(holder)
        return port
    raise Failure("no free port")


def parse_log_line(line):
    """A log line as pairs; a key that stands there more than once (rcpt) has a list."""
    pairs = []
    for key, quoted, plain in re.findall(r'([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))', line):
        value = re.sub(r"\\x([0-9A-Fa-f]{2})|\\(.)", unescape, quoted) if quoted else plain
        pairs.append((key, value))
    fields = {}
    for key, value in pairs:
        if key == "rcpt":
            fields.setdefault("rcpt", []).append(value)
        else:
            fields[key] = value
    return fields


def unescape(match):
    if match.group(1):
        return chr(int(match.group(1), 16))
    return {"n": "\n", "r": "\r", "t": "\t"}.get(match.group(2), match.group(2))


class Server:
    """A posternd of its own: smtp, lmtp (host and port) and unix (path) are its addresses.

    Without `config` it is started with --listen options; with it, the text may use {smtp}, {lmtp},
    {unix}, {dir} and {listeners}, which are three listeners named smtp, lmtp and unix."""

    def __init__(self, case, config=None, arguments=(), shards=2, name="server", spool=None,
                 environment=None, preexec=None, hostname=HOSTNAME, listener_extra=""):
        self.case = case
        self.name = name
        self.dir = os.path.join(case.dir, name)
        os.makedirs(self.dir, exist_ok=True)
        self.smtp = ("127.0.0.1", free_port())
        self.lmtp = ("127.0.0.1", free_port())
        self.unix = os.path.join(self.dir, "lmtp.sock")
        self.spool = spool or os.path.join(self.dir, "spool")
        self.stderr_path = os.path.join(self.dir, "stderr")
        self.config_path = None
        self.listener_extra = listener_extra
        self.process = None
        self.starts = 0
        self.preexec = preexec
        self.environment = dict(os.environ, **(environment or {}))
        self.environment.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1")
        self.environment.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
        os.makedirs(self.spool, exist_ok=True)
        urls = [f"smtp://127.0.0.1:{self.smtp[1]}", f"lmtp://127.0.0.1:{self.lmtp[1]}",
                f"lmtp+unix:{self.unix}"]
        self.command = [own_program("POSTERND"), "--spool", self.spool, "--shards", str(shards),
                        "--hostname", hostname]
        if config is None:
            for url in urls:
                self.command += ["--listen", url]
        else:
            self.config_path = os.path.join(self.dir, "postern.conf")
            self.write_config(config)
            self.command += ["--config", self.config_path]
        self.command += list(arguments)

    def write_config(self, text):
        listeners = "".join(
            f'listener "{n}" {{ address = "{a}"; {self.listener_extra} }}\n'
            for n, a in [("smtp", f"smtp://127.0.0.1:{self.smtp[1]}"),
                         ("lmtp", f"lmtp://127.0.0.1:{self.lmtp[1]}"),
                         ("unix", f"lmtp+unix:{self.unix}")])
        text = text.replace("{listeners}", listeners).replace("{dir}", self.dir)
        text = text.replace("{smtp}", f"smtp://127.0.0.1:{self.smtp[1]}")
        text = text.replace("{lmtp}", f"lmtp://127.0.0.1:{self.lmtp[1]}")
        text = text.replace("{unix}", f"lmtp+unix:{self.unix}")
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(text)

    def launch(self):
        self.starts += 1
        self.offset = os.path.getsize(self.stderr_path) if os.path.exists(self.stderr_path) else 0
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd=self.dir,
                env=self.environment, preexec_fn=self.preexec)
        return self

    def start(self):
        self.launch()

        def ready():
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended with {self.process.returncode} at start")
            return "postern: ready\n" in self.text()

        wait_until(ready, "postern: ready", 60 * SLOW)
        return self

    @property
    def pid(self):
        return self.process.pid

    def text(self, since_start=True):
        """What the server has written to standard error."""
        if not os.path.exists(self.stderr_path):
            return ""
        with open(self.stderr_path, "rb") as f:
            if since_start:
                f.seek(self.offset)
            return f.read().decode("utf-8", "replace")

    def log(self, event=None, path=None, **fields):
        """Log lines as dictionaries, those of this event and with these fields."""
        if path is None:
            text = self.text()
        else:
            with open(path, encoding="utf-8") as f:
                text = f.read()
        # A line that is being written while it is read has no end yet.
        whole = text[:text.rfind("\n") + 1]
        lines = [parse_log_line(line) for line in whole.split("\n") if line.startswith("time=")]
        return [l for l in lines if (event is None or l.get("event") == event) and
                all(l.get(k) == v for k, v in fields.items())]

    def wait_log(self, event, count=1, **fields):
        def found():
            lines = self.log(event, **fields)
            return lines if len(lines) >= count else None

        return wait_until(found, f"{count} log line(s) event={event} {fields}")

    def counters(self):
        """What SIGUSR1 prints."""
        before = len(self.text())
        os.kill(self.pid, signal.SIGUSR1)

        def printed():
            text = self.text()[before:]
            found = dict(re.findall(r"^postern_(\S+) (\d+)$", text, re.MULTILINE))
            rows = re.findall(r"^postern_\S+ \d+\n", text, re.MULTILINE)
            is_whole = any('status="unknown_parameter"' in row for row in rows)
            return {k: int(v) for k, v in found.items()} if is_whole else None

        return wait_until(printed, "counters on SIGUSR1")

    def wait_counter(self, name, condition):
        return wait_until(lambda: condition(self.counters().get(name, -1)), f"counter {name}")

    def rss_anon(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(r"RssAnon:\s+(\d+) kB", f.read()).group(1)) * 1024

    def client(self, greet=True, **named):
        return Client(self.smtp, greet=greet, **named).of(self.case)

    def lmtp_client(self, is_unix=False, **named):
        return Client(self.unix if is_unix else self.lmtp, **named).of(self.case)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def wait_end(self, seconds=60 * SLOW):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{self.name} has not ended after {seconds} s") from error

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)

    def stop(self):
        """SIGTERM, and an end with status 0."""
        self.terminate()
        status = self.wait_end()
        check_equal(status, 0, f"exit status of {self.name} after SIGTERM")
        self.check_reports()

    def kill(self):
        """SIGKILL: what a crash leaves."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()

    def check_reports(self):
        text = self.text(since_start=False)
        for sign in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                     "AddressSanitizer:DEADLYSIGNAL", "ASSERT"):
            check(sign not in text, f"{self.name} reported: {sign}")

    def end(self):
        """Behind a test: whatever it left running ends."""
        if not self.is_alive():
            return
        self.terminate()
        try:
            self.process.wait(10 * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()

    # --- the spool, as posternctl shows it ---

    def ctl(self, *arguments, status=0):
        return ctl(*arguments, status=status)

    def spool_list(self, *arguments):
        """Queue ids of the messages in the spool."""
        return spool_list(self.spool, *arguments)

    def spool_show(self, queue_id):
        return ctl("spool", "show", queue_id, "--spool", self.spool)

    def export(self, name="export", form="eml"):
        """The exported messages: {file name: bytes}."""
        return export(self.spool, os.path.join(self.dir, name), form)

    def stored(self, status=0):
        """{queue id: Message} of what is in the spool."""
        return stored(self.spool, status=status)


def of(client, case):
    case.clients.append(client)
    return client


Client.of = of


def run(command, status=0, seconds=120 * SLOW, **named):
    """Runs a program to its end; its output, standard error behind standard output."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds, check=False, **named)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{shlex.join(command)} has not ended: {error.output}") from error
    text = done.stdout.decode("utf-8", "replace")
    accepted = (status,) if isinstance(status, int) else status
    if accepted is not None and done.returncode not in accepted:
        raise Failure(f"{shlex.join(command)} ended with {done.returncode}, expected {status}:\n"
                      f"{text}")
    return text


def ctl(*arguments, status=0):
    return run([own_program("POSTERNCTL"), *arguments], status=status)


def spool_list(spool, *arguments, status=0):
    text = ctl("spool", "list", "--spool", spool, *arguments, status=status)
    return re.findall(rf"^({QUEUE_ID})\b", text, re.MULTILINE)


def read_files(folder):
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as f:
                found[os.path.relpath(os.path.join(root, name), folder)] = f.read()
    return found


def export(spool, folder, form="eml", status=0):
    ctl("spool", "export", "--spool", spool, "--format", form, "--to", folder, status=status)
    return read_files(folder)


class Message:
    """An exported message: its Return-Path, its Received field on top, and the content behind."""

    def __init__(self, data):
        found = re.match(rb"Return-Path: <([^\r\n]*)>\r\n"
                         rb"(Received: (?:[^\r\n]*\r\n[ \t])*[^\r\n]*\r\n)", data)
        check(found, "export does not begin with Return-Path and Received:", data[:400])
        self.return_path = found.group(1).decode()
        self.received = re.sub(r"\r\n[ \t]+", " ", found.group(2).decode()).strip()
        self.content = data[found.end():]
        self.queue_id = re.search(rf"\bid ({QUEUE_ID})\b", self.received).group(1)


def cheap_folder():
    """Where to sync costs nothing; None where there is no such place, or too little room in it."""
    if not os.access("/dev/shm", os.W_OK):
        return None
    room = os.statvfs("/dev/shm")
    return "/dev/shm" if room.f_bavail * room.f_frsize > 1 << 30 else None


def stored(spool, status=0):
    """{queue id: Message} of what is in a spool. Exports sync each file."""
    with tempfile.TemporaryDirectory(prefix="postern-export-", dir=cheap_folder()) as folder:
        messages = [Message(data) for data in export(spool, folder, status=status).values()]
    found = {m.queue_id: m for m in messages}
    check_equal(len(found), len(messages), "queue ids are not unique: files, ids")
    return found


# --- running tests ----------------------------------------------------------------------------


class Case:
    """One test function's scratch folder, servers and connections."""

    def __init__(self, folder):
        self.dir = folder
        self.servers = []
        self.clients = []
        self.cleanups = []
        self.notes = []

    def server(self, *arguments, start=True, **named):
        server = Server(self, *arguments, **named)
        self.servers.append(server)
        return server.start() if start else server

    def note(self, text):
        """Something for the report of a failure: a program's output, for instance."""
        self.notes.append(text)

    def tail(self):
        out = []
        for text in self.notes[-4:]:
            out.append("--- noted\n" + text[-6000:])
        for client in self.clients[-6:]:
            out.append("--- connection\n" + "\n".join(client.transcript[-40:]))
        for server in self.servers:
            if os.path.exists(server.stderr_path):
                text = server.text(since_start=False)
                out.append(f"--- {server.name}: {shlex.join(server.command)}\n" + text[-6000:])
        return "\n".join(out)

    def end(self):
        for client in self.clients:
            client.close()
        for server in self.servers:
            server.end()
        for cleanup in reversed(self.cleanups):
            cleanup()
        shutil.rmtree(self.dir, ignore_errors=True)


def shared_folder():
    """A folder of what several tests of a file use, and nobody else; removed at the end."""
    if not _shared:
        _shared.append(tempfile.mkdtemp(prefix="postern-test-"))
        atexit.register(shutil.rmtree, _shared[0], ignore_errors=True)
    return _shared[0]


_shared = []


def on_alarm(number, frame):
    raise Failure("the test has taken too long")


class Ended(BaseException):
    """SIGTERM: all tests of the file together have taken too long for whoever runs them."""


def on_term(number, frame):
    raise Ended("ended by SIGTERM")


def run_test(function, seconds):
    case = Case(tempfile.mkdtemp(prefix="postern-test-"))
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(seconds * SLOW)
    try:
        function(case)
        for server in case.servers:
            if server.is_alive():
                server.stop()
            server.check_reports()
        return "ok", ""
    except Skip as skip:
        return "skipped", str(skip)
    except (Exception, Ended) as error:  # pylint: disable=broad-except
        signal.alarm(0)
        return "FAILED", f"{error!r}\n{traceback.format_exc()}\n{case.tail()}"
    finally:
        signal.alarm(0)
        case.end()


def main(names, seconds=120):
    """Runs every test_* of a module, or those whose names stand on the command line."""
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    counts = {"ok": 0, "skipped": 0, "FAILED": 0}
    reasons = []
    signal.signal(signal.SIGTERM, on_term)
    for name, function in list(names.items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        began = time.monotonic()
        result, text = run_test(function, seconds)
        counts[result] += 1
        print(f"{name}: {result} ({time.monotonic() - began:.1f} s){': ' if text else ''}{text}",
              flush=True)
        if result == "FAILED":
            reason = text.split("\n", 1)[0]
            shown = reason if len(reason) <= 1000 else reason[:1000] + " ..."
            reasons.append(f"{name} FAILED: {shown}")
            if reason.startswith("Ended("):
                break
    print(f"{counts['ok']} ok, {counts['FAILED']} failed, {counts['skipped']} skipped")
    for reason in reasons:
        print(reason)
    if counts["FAILED"] > 0:
        sys.exit(1)
    sys.exit(0 if counts["ok"] > 0 else SKIP_STATUS)
