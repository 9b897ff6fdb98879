# SPDX-License-Identifier: Apache-2.0
"""What clients must not do: smuggling (CORE-41), too much of everything, commands out of order,
garbage, one byte a second, replies that are never read, connections lost at every byte.

Each gets a clear reply or a closed connection, and a counter; beside each a bystander's session
goes on as if nothing happened, and the server's own memory stays within its limits."""

import contextlib
import random
import threading
import time

import harness
from harness import check, check_equal, message

RECIPIENT = "ann@mx.test.example"
MIB = 1 << 20
# Small limits, so that a server at them shows it soon. Every shard has these.
LIMITS = """
limits {{ connections = 2000; transactions = 256; buffers = 64; message_memory = 16mb; }}
listener "smtp" {{ address = "{{smtp}}"; size_max = 1mb; {extra} }}
listener "lmtp" {{ address = "{{lmtp}}"; size_max = 1mb; {extra} }}
listener "apart" {{ address = "{{unix}}"; }}
domain "*" {{ recipients = any }}
"""
# Buffers, message memory, and what the process needs besides, for two shards.
MEMORY_MAX = 2 * (64 * 65536 + 16 * MIB) + 96 * MIB

# CORE-41: bytes that servers took for an end of data, or that others turn into one.
SMUGGLING = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n.\r",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n",
]


class Bystander:
    """A well-behaved session that sends a message again and again; each must be accepted."""

    def __init__(self, case, server, is_apart):
        self.client = harness.Client(server.unix if is_apart else server.smtp).of(case)
        self.client.hello("LHLO" if is_apart else "EHLO")
        self.count = 0
        self.error = None
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        try:
            while not self.is_over.is_set():
                reply = self.client.deliver([RECIPIENT], message("bystander"))
                check_equal(reply.code, 250, "a bystander's message")
                self.count += 1
                time.sleep(0.02)
            self.client.quit()
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def end(self):
        self.is_over.set()
        self.thread.join()
        if self.error is not None:
            raise self.error
        check(self.count >= 1, "the bystander did nothing")


@contextlib.contextmanager
def attack(case, extra="", is_apart=False, **named):
    """A server with small limits and a bystander; both must be well afterwards. Apart, the
    bystander has a listener of his own: where times are so short that he might be too slow
    himself."""
    server = case.server(config=LIMITS.format(extra=extra), **named)
    before = server.rss_anon()
    bystander = Bystander(case, server, is_apart)
    try:
        yield server
    finally:
        try:
            bystander.end()
        except Exception as error:
            case.note(f"bystander: {error!r}")
            raise
    check(server.is_alive(), "the server is gone")
    server.wait_counter("connections_open", lambda n: n == 0)
    after = server.rss_anon()
    if not harness.SANITIZED:
        check(after < MEMORY_MAX, f"anonymous memory: {before >> 20} MiB, then {after >> 20} MiB")
    check_equal(server.counters()["log_lines_dropped_total"], 0)
    contents = server.stored().values()
    for stored in contents:
        check(b"evil" not in stored.content or b"innocent" in stored.content, "smuggled:",
              stored.content)


def connect(case, server, hello="EHLO"):
    client = server.client() if hello != "LHLO" else server.lmtp_client()
    client.hello(hello)
    return client


def test_smuggling(case):
    """Content or an error, never an end; one refusal, and still in step (CORE-42, CORE-43)."""
    with attack(case) as server:
        for hello, params in (("EHLO", ""), ("EHLO", "PRDR"), ("LHLO", "")):
            for i, end in enumerate(SMUGGLING, 1):
                client = connect(case, server, hello)
                client.envelope([RECIPIENT, RECIPIENT], params=params)
                client.command("DATA", 354)
                client.send(b"Subject: innocent\r\n\r\ntext" + end +
                            b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<evil@mx.test.example>\r\n"
                            b"DATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\nNOOP\r\n")
                reply = client.reply()
                check_equal((reply.code, reply.enhanced), (550, "5.5.2"), f"{hello} row {i}")
                if hello == "LHLO":
                    check_equal(client.reply().code, 550, f"row {i}, second recipient")
                check_equal(client.reply().code, 250, f"row {i}: NOOP")
                client.quit()
        check_equal(server.counters()["bad_line_endings_total"], 3 * len(SMUGGLING))


def test_smuggling_bytewise_and_in_chunks(case):
    with attack(case) as server:
        for i, end in enumerate(SMUGGLING, 1):
            client = connect(case, server)
            client.envelope([RECIPIENT])
            client.command("DATA", 354)
            for byte in b"innocent" + end + b"MAIL FROM:<evil@client.example>\r\n.\r\n":
                client.send(bytes([byte]))
            check_equal(client.reply().code, 550, f"row {i}, byte by byte")
            client.envelope([RECIPIENT])  # CORE-44: the same for BDAT
            check_equal(client.bdat(b"innocent" + end + b"evil\r\n", chunk=3)[0].code, 550,
                        f"row {i}, BDAT")
            client.quit()


def test_normalize(case):
    """bare_newline = normalize: a bare LF becomes CRLF and ends nothing; the rest is refused."""
    with attack(case, "bare_newline = normalize;") as server:
        for i, end in enumerate(SMUGGLING, 1):
            client = connect(case, server)
            client.envelope([RECIPIENT])
            client.command("DATA", 354)
            client.send(b"innocent" + end + b"MAIL FROM:<evil@client.example>\r\n.\r\n")
            has_other = b"\0" in end or b"\r" in end.replace(b"\r\n", b"")
            reply = client.reply()
            check_equal(reply.code, 550 if has_other else 250, f"row {i}")
            check_equal(client.command("NOOP").code, 250)
            if not has_other:
                content = server.stored()[reply.queue_id].content
                check(content.startswith(b"innocent\r\n"), content)
                check(content.endswith(b"MAIL FROM:<evil@client.example>\r\n"), content)
            client.quit()


def test_command_lines(case):
    with attack(case) as server:
        client = connect(case, server)
        for length in (513, 2048, 2049, 4096, 65536, 3 * MIB):
            client.send(b"NOOP " + b"x" * (length - 7) + b"\r\n")
            check_equal(client.reply().code, 500, f"a line of {length}")
            check_equal(client.command("NOOP " + "x" * 505).code, 250, "still in step")
        check_equal(client.command("NO\0OP").code, 500)  # binary, but the lines are whole
        client.quit()
        for bad in (b"NOOP\n", b"NOOP\rNOOP\r\n", b"MAIL FROM:<a@b.example>\nQUIT\r\n"):
            client = connect(case, server)
            client.send(bad)
            reply = client.reply()
            check_equal(reply.code, 521, bad)
            check(client.is_closed(), "open after", bad)
        # A line that never ends costs no memory.
        client = connect(case, server)
        with contextlib.suppress(harness.Closed):
            for _ in range(200):
                client.send(b"x" * 262144)
        client.close()


def test_big_messages(case):
    with attack(case) as server:
        client = connect(case, server)
        line = b"0123456789abcdef" * 60 + b"\r\n"
        big = message(body=line * 1200)
        for params, count in (("", 1), ("PRDR", 1)):
            client.envelope([RECIPIENT, RECIPIENT], params=params)
            reply = client.data(big, count)[0]
            check_equal((reply.code, reply.enhanced), (552, "5.3.4"), params)
        check_equal(client.command(f"MAIL FROM:<a@b.example> SIZE={2 * MIB}").code, 552)
        # BDAT says its size first: refused at once, its octets are read all the same.
        client.envelope([RECIPIENT])
        client.send(b"BDAT %d LAST\r\n" % (2 * MIB) + b"NOOP\r\n" * (2 * MIB // 6) + b"\r\n")
        check_equal(client.reply().code, 552)
        client.send(b"NOOP\r\n")
        # 2 MiB is no multiple of 6: the octets end in the middle of what was sent.
        check(client.reply().code in (250, 500), "in step")
        client.close()
        lmtp = connect(case, server, "LHLO")
        lmtp.envelope([RECIPIENT] * 3)
        check_equal([r.code for r in lmtp.data(big, 3)], [552] * 3)
        lmtp.envelope([RECIPIENT])
        check_equal(lmtp.data(message(body=b"x" * 400000 + b"\r\n"))[0].code, 250, "a long line")
        lmtp.quit()


def test_big_message_without_end(case):
    """More than any limit, and no end: memory stays where it is."""
    with attack(case) as server:
        client = connect(case, server)
        client.envelope([RECIPIENT])
        client.command("DATA", 354)
        before = server.rss_anon()
        for _ in range(64):
            client.send(b"y" * 998 + b"\r\n" + b"z" * MIB)
        after = server.rss_anon()
        check(harness.SANITIZED or after - before < 24 * MIB, before, after)
        client.reset()


def test_recipients(case):
    with attack(case) as server:
        client = connect(case, server)
        client.command("MAIL FROM:<sender@client.example>", 250)
        commands = b"".join(b"RCPT TO:<r%d@mx.test.example>\r\n" % i for i in range(1101))
        client.send(commands)
        codes = [client.reply() for _ in range(1101)]
        check_equal([r.code for r in codes], [250] * 1000 + [452] * 101)
        check_equal(codes[-1].enhanced, "4.5.3")
        check_equal(client.data(message())[0].code, 250)
        client.quit()
        lmtp = connect(case, server, "LHLO")
        lmtp.command("MAIL FROM:<sender@client.example>", 250)
        lmtp.send(commands)
        check_equal([lmtp.reply().code for _ in range(1101)].count(250), 1000)
        check_equal([r.code for r in lmtp.data(message(), 1000)], [250] * 1000)
        lmtp.quit()


def test_out_of_order(case):
    with attack(case, "errors_max = 1000;") as server:
        client = server.client()
        for line, code in (
                ("MAIL FROM:<a@b.example>", 503), ("RCPT TO:<a@b.example>", 503), ("DATA", 503),
                ("RSET", 250), ("NOOP", 250), ("LHLO client.example", 500), ("EHLO", 501),
                ("EHLO client.example", 250), ("RCPT TO:<a@b.example>", 503), ("DATA", 503),
                ("MAIL FROM:<a@b.example>", 250), ("MAIL FROM:<a@b.example>", 503), ("DATA", 503),
                ("RCPT FROM:<a@b.example>", 501), ("RCPT TO:<a@b.example> NOTIFY=MAYBE", 501),
                ("RCPT TO:<a@b.example> FOO=1", 555), ("RCPT TO:<>", 501), ("RCPT TO:a@b", 501),
                ("DATA now", 501), ("RSET now", 501), ("QUIT now", 501),
                ("RCPT TO:<a@b.example>", 250),
                ("EHLO client.example", 250), ("DATA", 503), ("MAIL FROM:<a@b.example> FOO", 555),
                ("MAIL FROM:<a@b.example> SIZE=x", 501), ("MAIL TO:<a@b.example>", 501),
                ("MAIL FROM:<" + "l" * 65 + "@b.example>", 501), ("STARTTLS", 502),
                ("AUTH PLAIN", 502),
                ("VRFY x", 252), ("EXPN x", 502), ("HELP", 214), ("WHATEVER", 500), ("", 500),
                ("MAIL FROM:<a@b.example> BODY=BINARYMIME", 250), ("RCPT TO:<a@b.example>", 250),
                ("DATA", 503), ("RSET", 250), ("MAIL FROM:<a@b.example>", 250)):
            check_equal(client.command(line).code, code, line)
        client.command("RCPT TO:<a@b.example>", 250)
        client.send(b"BDAT 5\r\nabc\r\n")
        client.expect(250)
        check_equal(client.command("DATA").code, 503)  # CORE-22
        check_equal(client.command("RSET").code, 250)
        client.send(b"BDAT 6 LAST\r\nNOOP\r\n")
        check_equal(client.reply().code, 503)
        check_equal(client.command("NOOP").code, 250)
        client.send(b"BDAT x LAST\r\n")
        check_equal(client.reply().code, 521)
        check(client.is_closed(), "open after a BDAT without size")


def test_early_talkers(case):
    """CORE-45."""
    with attack(case) as server:
        client = server.client(greet=False)
        client.send(b"EHLO client.example\r\nMAIL FROM:<a@b.example>\r\n")
        replies = client.rest()
        check(b"554 5.5.0" in replies, replies)
        client = connect(case, server)
        client.envelope([RECIPIENT])
        client.send(b"DATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\n")
        check(client.rest().startswith(b"554 5.5.0"), "content ahead of 354")


def test_too_many_errors(case):
    with attack(case) as server:
        client = connect(case, server)
        for _ in range(20):
            check_equal(client.command("NONSENSE").code, 500)
        check_equal(client.command("NONSENSE").code, 421)
        check(client.is_closed(), "open after 421")


def test_garbage(case):
    seed = random.randrange(1 << 32)
    case.note(f"seed {seed}")
    source = random.Random(seed)
    with attack(case) as server:
        for i in range(60):
            client = server.client() if i % 2 else connect(case, server)
            with contextlib.suppress(harness.Closed):
                client.send(source.randbytes(source.choice((1, 17, 512, 5000, 70000))))
                if i % 3 == 0:
                    client.send(b"\r\n" * 200)
            client.socket.settimeout(0.05)
            with contextlib.suppress(harness.Closed, harness.Failure):
                while True:
                    client.fill()
            if i % 2:
                client.reset()
            else:
                client.close()
        for start in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + source.randbytes(400) +
                      b"\r\n",
                      b"GET / HTTP/1.1\r\nHost: mx.test.example\r\n\r\n",
                      b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n"):
            client = server.client()
            with contextlib.suppress(harness.Closed):
                client.send(start)
                check(client.reply().code >= 400, "a reply to", start[:10])
            client.close()


def test_one_byte_a_second(case):
    """Progress of single bytes does not keep a command or a message alive."""
    extra = (f"command_timeout = {4 * harness.SLOW}s; block_timeout = 60s; "
             f"rate_grace = {3 * harness.SLOW}s; rate_min = 1kb;")
    with attack(case, extra, is_apart=True) as server:
        began = time.monotonic()
        content = connect(case, server)
        content.envelope([RECIPIENT])
        content.command("DATA", 354)
        clients = {"command": connect(case, server), "content": content,
                   "greeting": server.client()}
        ended = {}
        while len(ended) < len(clients) and time.monotonic() < began + 20 * harness.SLOW:
            time.sleep(0.5)
            for name, client in clients.items():
                if name in ended:
                    continue
                client.socket.settimeout(0.01)
                for step in (lambda c=client: c.send(b"x"), client.fill):
                    with contextlib.suppress(harness.Closed, harness.Failure):
                        step()
                if client.buffer.startswith(b"421"):
                    ended[name] = time.monotonic() - began
        check_equal(set(ended), set(clients), "sessions that ended with 421")
        check(min(ended.values()) >= 2.9 * harness.SLOW, "too early", ended)
        counters = server.counters()
        check(counters["connections_timed_out_total"] >= 2, counters)
        check(counters["connections_too_slow_total"] >= 1, counters)


def test_silent_content(case):
    with attack(case, "block_timeout = 2s;", is_apart=True) as server:
        client = connect(case, server)
        client.envelope([RECIPIENT])
        client.command("DATA", 354)
        client.send(b"Subject: and then nothing\r\n")
        check_equal(client.reply().code, 421)
        check(client.is_closed(), "open after 421")


def test_replies_never_read(case):
    """A client that pipelines and reads nothing is stopped by back pressure, then closed."""
    with attack(case, "send_timeout = 3s; command_timeout = 60s;") as server:
        clients = [connect(case, server) for _ in range(10)]
        before = server.rss_anon()
        deadline = time.monotonic() + 60 * harness.SLOW
        for client in clients:
            client.socket.settimeout(0.2)
        commands = b"HELP\r\n" * 10000
        alive = {client: 0 for client in clients}  # how much of the commands has been sent
        peak = before
        while alive and time.monotonic() < deadline:
            for client, sent in list(alive.items()):
                try:
                    alive[client] = (sent + client.socket.send(commands[sent:])) % len(commands)
                except TimeoutError:
                    pass
                except OSError:
                    del alive[client]
            peak = max(peak, server.rss_anon())
        check(not alive, f"{len(alive)} of {len(clients)} are still open")
        check_equal(server.counters()["connections_stuck_total"], len(clients))
        check(harness.SANITIZED or peak - before < 32 * MIB, before, peak)


CONTENT = b"Subject: x\r\n\r\n.\r\ntext\r\n"
TWO = b"RCPT TO:<gone@mx.test.example>\r\nRCPT TO:<away@mx.test.example>\r\n"
# What is sent, and the number of replies that are read before the next; None: those to the content.
SESSIONS = {
    "smtp": ((b"EHLO client.example\r\n", 1), (b"MAIL FROM:<sender@client.example>\r\n" + TWO, 3),
             (b"DATA\r\n", 1), (harness.stuffed(CONTENT), None), (b"QUIT\r\n", 1)),
    "prdr": ((b"EHLO client.example\r\n", 1),
             (b"MAIL FROM:<sender@client.example> PRDR\r\n" + TWO, 3),
             (b"BDAT 9\r\n" + CONTENT[:9], 1),
             (b"BDAT %d LAST\r\n" % len(CONTENT[9:]) + CONTENT[9:], None), (b"QUIT\r\n", 1)),
    "lmtp": ((b"LHLO client.example\r\n", 1), (b"MAIL FROM:<sender@client.example>\r\n" + TWO, 3),
             (b"DATA\r\n", 1), (harness.stuffed(CONTENT), None), (b"QUIT\r\n", 1)),
}


def is_accepted(client, name):
    """Reads the replies to the content; whether the message was taken."""
    first = client.reply()
    if name == "lmtp":
        return client.reply().code == first.code == 250
    if first.code != 353:
        return first.code == 250
    return [client.reply().code for _ in range(3)][-1] == 250


def cut_session(server, name, cut, has_reset):
    """The session up to its byte number @cut, then away. True when the message was acknowledged."""
    client = harness.Client(server.lmtp if name == "lmtp" else server.smtp)
    acknowledged = False
    try:
        for part, replies in SESSIONS[name]:
            client.send(part[:cut])
            cut -= len(part)
            if cut <= 0:
                break
            if replies is None:
                acknowledged = is_accepted(client, name)
            else:
                for _ in range(replies):
                    client.reply()
    except harness.Closed:
        pass
    finally:
        if has_reset:
            client.reset()
        else:
            client.close()
    return acknowledged


def disconnects(case, has_reset):
    """What was acknowledged is stored, what was not complete is not. (The one at the very last byte
    of the content was complete and nobody waited for its answer: either is right.)"""
    with attack(case) as server:
        for name, session in SESSIONS.items():
            before = count_cut(server)
            total = sum(len(part) for part, _ in session)
            acknowledged = 0
            for cut in range(total + 1):
                acknowledged += cut_session(server, name, cut, has_reset)
            server.wait_counter("connections_open", lambda n: n == 1)
            check_equal(acknowledged, len(b"QUIT\r\n"), name)
            stored = count_cut(server) - before
            check(acknowledged <= stored <= acknowledged + 1,
                  f"{name}: {acknowledged} acknowledged, {stored} stored")
        check(server.counters()["connections_lost_total"] > 0, "no counter")


def count_cut(server):
    return len([1 for m in server.stored().values() if m.content == CONTENT])


def test_closed_at_every_byte(case):
    disconnects(case, False)


def test_reset_at_every_byte(case):
    disconnects(case, True)


def test_too_many_connections(case):
    """A listener at its limit says 421; others are served."""
    with attack(case, "connections_max = 5;", shards=1) as server:
        clients = [connect(case, server) for _ in range(4)]  # and the bystander
        for _ in range(3):
            refused = server.client(greet=False)
            check(refused.rest().startswith(b"421 "), "no 421")
        lmtp = connect(case, server, "LHLO")
        lmtp.quit()
        for client in clients:
            client.quit()
        check_equal(server.counters()["connections_refused_total"], 3)


def test_transactions_at_the_limit(case):
    """Above the limit of messages in progress MAIL gets 452 4.3.0; room comes back. More content at
    once than there is memory for goes to the spool while it arrives: none is lost."""
    server = case.server(config=LIMITS.format(extra=""), shards=1)
    clients = []
    for _ in range(300):
        client = server.client()
        client.hello()
        clients.append(client)
    replies = [c.command("MAIL FROM:<sender@client.example>") for c in clients]
    check_equal([r.code for r in replies], [250] * 256 + [452] * 44)
    check_equal({r.enhanced for r in replies[256:]}, {"4.3.0"})
    clients[0].command("RSET", 250)
    check_equal(clients[299].command("MAIL FROM:<sender@client.example>").code, 250)
    busy = clients[1:256] + clients[299:]
    content = message(body=b"0123456789abcdef" * 60 + b"\r\n") + b"x" * 900 + b"\r\n"
    content += (b"0123456789abcdef" * 60 + b"\r\n") * 256
    for client in busy:
        client.command(f"RCPT TO:<{RECIPIENT}>", 250)
        client.command("DATA", 354)
    before = server.rss_anon()
    for i in range(0, len(content), 40000):
        for client in busy:
            client.send(content[i:i + 40000])
    peak = server.rss_anon()
    for client in busy:
        client.send(b".\r\n")
    check_equal({client.reply().code for client in busy}, {250})
    check(harness.SANITIZED or peak - before < 48 * MIB, before, peak)
    check_equal({m.content for m in server.stored().values()}, {content})
    check_equal(len(server.spool_list()), 256)


harness.main(globals(), seconds=150)
