# SPDX-License-Identifier: Apache-2.0
"""A server in Python, SMTP or LMTP with every dialect and STARTTLS, that keeps the rules that
postern-probe tests, except those that it is told to break.

    with Server(Fault(replace=say("NOOP", "500 5.5.2 no"))) as server: ...

Every reply has a tag: the verb in capitals, or greeting, unknown, empty, long, opener (353, 355),
each (a recipient's), final, single (one reply for the content of all). Fault.replace sees session,
tag and text of each, and gives what is said instead: text with LF for line ends, octets as they
are, or None for silence. Flags change what no other reply could show.

Recipients: unknown* is refused at RCPT, refused* behind the content, delayed* deferred there."""

import contextlib
import re
import socket
import ssl
import threading

import harness

SIZE = 65536
RCPT_MAX = 150
KEYWORDS = ["PIPELINING", f"SIZE {SIZE}", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8",
            "CHUNKING", "BINARYMIME", f"LIMITS RCPTMAX={RCPT_MAX}"]
DIALECTS = ["PRDR", "DEFERRALS", "INLINE-DSN", "EXDATA", "XEXDATA", "XPRDR1", "XRCPT250", "ADAT"]
MAIL_PARAMS = {"BODY": r"7BIT|8BITMIME|BINARYMIME", "SIZE": r"\d{1,20}", "SMTPUTF8": None,
               "RET": "FULL|HDRS", "ENVID": r"\S+", **dict.fromkeys(DIALECTS[:-1])}
RCPT_PARAMS = {"NOTIFY": r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*",
               "ORCPT": r"\S+;\S+"}
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
TRUE_END = rb"\r\n\.\r\n"


class Fault:
    """What is broken: how replies are replaced, flags, another end of the content."""

    def __init__(self, replace=None, flags="", ends=None):
        self.replace = replace or (lambda session, tag, text: text)
        self.flags = set(flags.split())
        self.ends = re.compile(ends + b"|" + TRUE_END if ends else TRUE_END)


def say(tag, text, when=None):
    """Instead of a reply with such a tag; @when: a regular expression for what it would have been,
    or a condition of the session."""
    def replace(session, seen_tag, seen):
        if not re.fullmatch(tag, seen_tag):
            return seen
        if isinstance(when, str) and not re.match(when, seen):
            return seen
        if callable(when) and not when(session):
            return seen
        return text(session, seen) if callable(text) else text

    return replace


def sub(tag, pattern, replacement):
    return say(tag, lambda session, seen: re.sub(pattern, replacement, seen))


class Ended(Exception):
    """The conversation is over."""


class Session:
    def __init__(self, server, connection):
        self.server = server
        self.fault = server.fault
        self.is_lmtp = server.is_lmtp
        self.connection = connection
        self.buffer = b""
        self.hello = None
        self.line = ""
        self.is_tls = False
        self.said = {}  # tag: how often
        self.reset()

    def reset(self):
        self.in_mail = False
        self.dialect = None
        self.params = {}
        self.rcpts = []  # accepted: (address, was 352)
        self.chunks = None
        self.is_failed = False
        self.naming = None  # DRCPs accepted

    # --- octets ---

    def has(self, flag):
        return flag in self.fault.flags

    def fill(self):
        data = self.connection.recv(65536)
        if not data:
            raise Ended
        self.buffer += data

    def read_line(self):
        end = b"\n" if self.has("lf-line") else b"\r\n"
        length = 0
        while end not in self.buffer:
            if len(self.buffer) > 4096:
                length += len(self.buffer) - 1
                self.buffer = self.buffer[-1:]
            self.fill()
        line, self.buffer = self.buffer.split(end, 1)
        line = line.removesuffix(b"\r")
        return line, length + len(line)

    def read_exact(self, count):
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_content(self):
        self.buffer = b"\r\n" + self.buffer
        while True:
            found = self.fault.ends.search(self.buffer)
            if found:
                content, self.buffer = self.buffer[2:found.end()], self.buffer[found.end():]
                return content
            self.fill()

    def reply(self, tag, text):
        self.said[tag] = self.said.get(tag, 0) + 1
        text = self.fault.replace(self, tag, text)
        if text is not None:
            data = text
            if not isinstance(text, bytes):
                data = (text.replace("\n", "\r\n") + "\r\n").encode()
            self.connection.sendall(data)

    # --- commands ---

    def run(self):
        self.reply("greeting", "220 mx.test.example ESMTP")
        while True:
            line, length = self.read_line()
            if length > 2046:
                self.reply("long", "500 5.5.2 line too long")
                continue
            self.line = line.decode("utf-8", "surrogateescape")
            verb, _, rest = self.line.partition(" ")
            verb = verb.upper()
            if self.line == "":
                self.reply("empty", "500 5.5.2 empty line")
            elif "\n" in self.line or "\r" in self.line or verb not in self.VERBS:
                self.reply("unknown", "500 5.5.2 what?")
            else:
                self.VERBS[verb](self, rest)

    def ehlo(self, rest):
        verb = self.line[:4].upper()
        if (verb == "LHLO") != self.is_lmtp:
            self.reply(verb, "500 5.5.1 wrong protocol")
        elif not rest:
            self.reply(verb, "501 5.5.4 name?")
        else:
            self.reset()
            self.hello = verb
            keywords = KEYWORDS + ([] if self.is_lmtp else DIALECTS)
            if self.server.context and not self.is_tls:
                keywords = keywords + ["STARTTLS"]
            if verb == "HELO":
                keywords = []
            lines = ["mx.test.example"] + keywords
            self.reply(verb, "\n".join(f"250{' ' if i + 1 == len(lines) else '-'}{text}"
                                       for i, text in enumerate(lines)))

    def parameters(self, words, known):
        """An error, or {name: value}."""
        found = {}
        for word in words:
            name, _, value = word.partition("=")
            name = name.upper()
            if name not in known or (name in DIALECTS and self.hello != "EHLO"):
                return "555 5.5.4 unknown parameter"
            pattern = known[name]
            good = not value and "=" not in word if pattern is None else \
                re.fullmatch(pattern, value, re.IGNORECASE)
            if not good or name in found:
                return "501 5.5.4 bad parameter"
            found[name] = value
        if sum(name in DIALECTS for name in found) > 1:
            return "501 5.5.4 one dialect at a time"
        return found

    def path(self, text, word):
        """(address, words behind it), or None."""
        found = re.fullmatch(word + r':<((?:@[^<>: ]+:)?(?:"(?:\\.|[^"\\])*"|[^<>" ]*)'
                             r"(?:@[^<>@ ]+)?)>((?: \S+)*)", text, re.IGNORECASE)
        return found and (found[1], found[2].split())

    def mail(self, rest):
        path = self.path(rest, "FROM")
        params = path and self.parameters(path[1], MAIL_PARAMS)
        if self.hello is None or self.in_mail:
            self.reply("MAIL", "503 5.5.1 not now")
        elif path is None:
            self.reply("MAIL", "501 5.5.4 syntax")
        elif isinstance(params, str):
            self.reply("MAIL", params)
        elif not path[0].isascii() and "SMTPUTF8" not in params:
            self.reply("MAIL", "553 5.6.7 needs SMTPUTF8")
        elif int(params.get("SIZE", 0)) > SIZE:
            self.reply("MAIL", "552 5.3.4 too big")
        else:
            sticky = self.dialect if self.has("sticky") else None
            self.reset()
            self.in_mail = True
            self.params = params
            asked = [name for name in params if name in DIALECTS]
            self.dialect = asked[0] if asked else sticky or next(
                (name for name in DIALECTS if self.has("unasked-" + name)), None)
            self.reply("MAIL", "250 2.1.0 ok")

    def rcpt(self, rest):
        path = self.path(rest, "TO")
        if not self.in_mail or self.chunks is not None:
            self.reply("RCPT", "503 5.5.1 not now")
        elif path is None or path[0] == "":
            self.reply("RCPT", "501 5.5.4 syntax")
        elif isinstance(params := self.parameters(path[1], RCPT_PARAMS), str):
            self.reply("RCPT", params)
        elif path[0].startswith("unknown"):
            self.reply("RCPT", "550 5.1.1 unknown")
        elif len(self.rcpts) == RCPT_MAX:
            self.reply("RCPT", "452 4.5.3 too many")
        else:
            address = path[0].rpartition(":")[2]
            waits = self.dialect in ("DEFERRALS", "INLINE-DSN") and not address.startswith("ann")
            self.rcpts.append((address, waits))
            self.server.is_dead = self.has("dies")
            self.reply("RCPT", "352 later" if waits else "250 2.1.5 ok")

    def data(self, rest):
        if rest:
            self.reply("DATA", "501 5.5.4 no argument")
        elif not self.in_mail or self.chunks is not None or self.params.get("BODY") == "BINARYMIME":
            self.reply("DATA", "503 5.5.1 not now")
        elif not self.rcpts and not self.has("354-anyway"):
            self.reply("DATA", "503 5.5.1 no recipient")
        else:
            self.reply("DATA", "354 go on")
            content = self.read_content()
            self.judge(re.sub(rb"(?m)^\.", b"", content[:-3]), len(content))

    def bdat(self, rest):
        found = re.fullmatch(r"(\d{1,9})( LAST)?", rest, re.IGNORECASE)
        if not found:
            self.reply("BDAT", "501 5.5.4 count?")
            raise Ended
        count, is_last = int(found[1]), bool(found[2])
        tag = "LAST" if is_last else "BDAT"
        if not self.in_mail or not self.rcpts or self.is_failed:
            if not self.has("undrained"):
                self.read_exact(count)
            if is_last and self.in_mail and self.is_lmtp:
                for i in range(len(self.rcpts)):
                    self.each(i, "503 5.5.1 a chunk was refused")
                if self.has("zero-503") and not self.rcpts:
                    self.reply(tag, "503 5.5.1 nobody")
                self.reset()
            else:
                self.reply(tag, "503 5.5.1 not now")
            return
        self.chunks = (self.chunks or b"") + self.read_exact(count)
        if not is_last and len(self.chunks) > SIZE:
            self.is_failed = True
            self.reply(tag, "552 5.3.4 too big")
        elif is_last:
            self.judge(self.chunks, len(self.chunks))
        else:
            self.reply(tag, f"250 2.0.0 {count} octets")

    # --- the content ---

    def whole(self, content, length):
        """What refuses it for everybody; None: nothing does."""
        if length > SIZE:
            return "552 5.3.4 too big"
        if (self.params.get("BODY") != "BINARYMIME" and
                re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content)):
            return "550 5.5.2 line ends"
        if GTUBE in content:
            return "550 5.7.1 GTUBE"
        return "554 5.4.6 loop" if content.count(b"Received:") > 100 else None

    @staticmethod
    def verdict(address):
        if address.startswith("refused"):
            return "550 5.7.1 not wanted"
        return "450 4.2.0 later" if address.startswith("delayed") else "250 2.1.5 taken"

    def each(self, idx, text):
        self.idx = idx
        self.reply("each", text)

    def judge(self, content, length):
        self.content = content
        whole = self.whole(content, length)
        listed = [a for a, waits in self.rcpts
                  if waits or self.dialect not in ("DEFERRALS", "INLINE-DSN")]
        verdicts = [whole or self.verdict(a) for a in listed]
        rcpts = [whole or self.verdict(a) for a, _ in self.rcpts]
        if self.dialect is None and not self.is_lmtp:
            self.reply("single", worst(rcpts))
        elif self.is_lmtp:
            for i, text in enumerate(rcpts[:1] if whole and self.has("one-for-all") else rcpts):
                self.each(i, text)
        elif len({v[:1] for v in rcpts}) == 1 and self.dialect != "XPRDR1":
            self.reply("single", rcpts[0] if rcpts[0][0] != "2" else "250 2.0.0 stored")
        else:
            self.block(verdicts, worst(rcpts) if self.dialect != "INLINE-DSN" else "250 2.0.0 end")
        self.reset_after()

    def reset_after(self):
        dialect = self.dialect
        self.reset()
        self.dialect = dialect if self.has("sticky") else None

    def block(self, verdicts, final):
        if self.dialect in ("EXDATA", "XEXDATA", "XRCPT250"):
            is_558 = self.dialect != "XRCPT250"
            outer = "558" if is_558 else "250"
            lines = [] if is_558 else [f"2.0.0 +RCPT {len(verdicts)}"]
            lines += verdicts + ([] if is_558 else ["2.0.0 +END"])
            self.reply("single", "\n".join(f"{outer}{' ' if i + 1 == len(lines) else '-'}{text}"
                                           for i, text in enumerate(lines)))
            return
        if self.dialect != "XPRDR1":
            self.reply("opener", "353 one by one")
        for i, text in enumerate(verdicts):
            self.each(i, text)
        self.reply("final", final)

    def adat(self, rest):
        if not self.in_mail or self.rcpts or not re.fullmatch(r"\d*", rest):
            self.reply("ADAT", "503 5.5.1 not now")
            return
        self.reply("ADAT", "354 go on")
        self.read_content()
        self.naming = 0
        self.reply("opener", "355 to whom?")

    def drcp(self, rest):
        path = self.path(rest, "TO")
        if self.naming is None:
            self.reply("DRCP", "503 5.5.1 not now")
            return
        text = self.verdict(path[0])
        self.naming += text[0] == "2"
        self.reply("DRCP", text)

    def ercp(self, rest):
        if self.naming is None:
            self.reply("ERCP", "503 5.5.1 not now")
        elif rest and int(rest) != self.naming:
            self.reset()
            self.reply("ERCP", "554 5.5.0 another count")
        else:
            self.reset()
            self.reply("ERCP", "250 2.0.0 stored")

    # --- the rest ---

    def rset(self, rest):
        if rest:
            self.reply("RSET", "501 5.5.4 no argument")
            return
        dialect = self.dialect
        self.reset()
        self.dialect = dialect if self.has("sticky") else None
        self.reply("RSET", "250 2.0.0 ok")

    def noop(self, rest):
        del rest
        if self.has("closes"):
            raise Ended
        self.reply("NOOP", "250 2.0.0 ok")

    def other(self, rest):
        del rest
        texts = {"VRFY": "252 2.1.5 try", "HELP": "214 2.0.0 none", "EXPN": "502 5.5.1 no"}
        verb = self.line[:4].upper()
        self.reply(verb, texts[verb])

    def quit(self, rest):
        if rest:
            self.reply("QUIT", "501 5.5.4 no argument")
            return
        if self.has("eof-kills"):
            self.connection.settimeout(0.2)
            with contextlib.suppress(socket.timeout):
                self.fill()
        self.reply("QUIT", "221 2.0.0 bye")
        if self.has("stays"):
            self.fill()
        raise Ended

    def starttls(self, rest):
        if rest:
            self.reply("STARTTLS", "501 5.5.4 no argument")
        elif self.is_tls or not self.server.context:
            self.reply("STARTTLS", "503 5.5.1 not now")
        elif self.has("refuses-behind") and self.buffer:
            self.reply("STARTTLS", "501 5.5.4 something stands behind it")
        elif self.has("ends-behind") and self.buffer:
            raise Ended
        else:
            self.reply("STARTTLS", "220 2.0.0 go on")
            if self.has("no-tls"):
                return
            if self.has("no-handshake"):
                raise Ended
            has_more = bool(self.buffer)
            if not self.has("keeps-buffer"):
                self.buffer = b""
            self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
            if self.has("drops-behind") and has_more:
                raise Ended
            self.is_tls = True
            if not self.has("keeps-transaction"):
                self.hello = None
                self.reset()

    VERBS = {"EHLO": ehlo, "HELO": ehlo, "LHLO": ehlo, "MAIL": mail, "RCPT": rcpt, "DATA": data,
             "BDAT": bdat, "ADAT": adat, "DRCP": drcp, "ERCP": ercp, "RSET": rset, "NOOP": noop,
             "VRFY": other, "HELP": other, "EXPN": other, "QUIT": quit, "STARTTLS": starttls}


def worst(verdicts):
    """One reply for all: stored when somebody takes it (the copy of who refuses is held)."""
    if not verdicts or any(v[0] == "2" for v in verdicts):
        return "250 2.0.0 stored"
    return next((v for v in verdicts if v[0] == "4"), verdicts[0])


class Server:
    """Listens until the with statement ends; each connection has a thread."""

    def __init__(self, fault=None, is_lmtp=False, certificate=None, address=("127.0.0.1", 0),
                 is_tls=False):
        self.fault = fault or Fault()
        self.is_lmtp = is_lmtp
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.is_dead = False
        self.is_tls = is_tls  # from the first octet
        self.listener = socket.create_server(address, backlog=64)
        host, port = self.listener.getsockname()
        self.url = f"{'lmtp' if is_lmtp else 'smtps' if is_tls else 'smtp'}://{host}:{port}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.is_dead:
                    connection.close()
                    continue
                threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        session = Session(self, connection)
        try:
            if self.is_tls:
                session.connection = self.context.wrap_socket(connection, server_side=True)
                session.is_tls = True
            session.run()
        except (Ended, OSError):
            pass
        with contextlib.suppress(OSError):
            session.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        harness.close_listener(self.listener, self.thread)
