# SPDX-License-Identifier: Apache-2.0
"""The 103 messages of tests/corpus: in over DATA and over BDAT, out as eml, mbox and Maildir, with
Return-Path and Received in front (CORE-50 to CORE-52) and nothing else changed.

What is sent is the file with every line end made CRLF, and CRLF added at its end for DATA; no file
has a CR without LF after that, or a NUL, so every one must be accepted. The files as they are, bare
LF included, go over BODY=BINARYMIME, where they must come out unchanged; and over DATA, where those
with a bare LF are refused (CORE-42), or come out with CRLF when bare_newline is normalize."""

import email.utils
import glob
import os
import re

import harness
from harness import check, check_equal, crlf

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "corpus")
SENDER = "sender@client.example"
RECIPIENT = "ann@mx.test.example"


def corpus():
    paths = sorted(glob.glob(os.path.join(FOLDER, "*.eml")))
    check_equal(len(paths), 103, "messages in tests/corpus")
    found = {}
    for path in paths:
        with open(path, "rb") as f:
            found[os.path.basename(path)] = f.read()
    return found


def ended(content):
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def check_trace(stored, protocol):
    check_equal(stored.return_path, SENDER)
    pattern = (r"Received: from client\.example \(\[127\.0\.0\.1\]\) by mx\.test\.example with "
               rf"{protocol} id {stored.queue_id} for <{re.escape(RECIPIENT)}>; (.*)")
    found = re.fullmatch(pattern, stored.received)
    check(found, "not the Received field that was expected:", stored.received)
    date = email.utils.parsedate_to_datetime(found.group(1))
    check(date.utcoffset() is not None, "no numeric offset in", found.group(1))


def send_all(client, how, files):
    """Sends every message by how(client, content); {queue id: name}."""
    names = {}
    for name, content in files.items():
        reply = how(client, content)
        check_equal(reply.code, 250, f"{name}: {reply}")
        names[reply.queue_id] = name
    check_equal(len(names), len(files), "queue ids")
    return names


def by_data(client, content):
    return client.deliver([RECIPIENT], content, params="BODY=8BITMIME")


def by_bdat(chunk):
    def send(client, content):
        client.envelope([RECIPIENT], params="BODY=8BITMIME")
        return client.bdat(content, chunk=chunk)[0]

    return send


def check_stored(stored, names, files, protocol):
    check_equal(len(stored), len(files), "messages that were exported")
    for queue_id, item in stored.items():
        check(queue_id in names, "a message that nobody sent:", queue_id)
        expected = files[names[queue_id]]
        check_equal(item.content, expected, names[queue_id])
        check_trace(item, protocol)


def one_way(case, how, files):
    server = case.server()
    client = server.client()
    client.hello()
    names = send_all(client, how, files)
    client.quit()
    check_stored(server.stored(), names, files, "ESMTP")
    server.stop()
    check_stored(server.stored(), names, files, "ESMTP")


def test_data(case):
    one_way(case, by_data, {n: ended(crlf(c)) for n, c in corpus().items()})


def test_bdat_whole(case):
    one_way(case, by_bdat(None), {n: crlf(c) for n, c in corpus().items()})


def test_bdat_chunks(case):
    one_way(case, by_bdat(509), {n: crlf(c) for n, c in corpus().items()})


def test_binarymime(case):
    def send(client, content):
        client.envelope([RECIPIENT], params="BODY=BINARYMIME")
        return client.bdat(content)[0]

    server = case.server()
    client = server.client()
    client.hello()
    files = corpus()
    names = send_all(client, send, files)
    for queue_id, item in server.stored().items():
        check_equal(item.content, files[names[queue_id]], names[queue_id])


def test_as_found(case):
    """Bare LF: refused by default, one reply, still in step; CRLF with bare_newline = normalize."""
    config = '{listeners}\ndomain "*" { recipients = any }\n'
    strict = case.server(config=config, name="strict")
    lenient = case.server(config=config, name="lenient",
                          listener_extra="bare_newline = normalize;")
    kept = {}
    for server, is_strict in ((strict, True), (lenient, False)):
        client = server.client()
        client.hello()
        for name, content in corpus().items():
            has_bare = re.search(rb"(?<!\r)\n", content) is not None
            client.envelope([RECIPIENT])
            client.command("DATA", 354)
            end = b"" if content.endswith(b"\r\n") else b"\r\n"
            body = re.sub(rb"(\A|\n)\.", rb"\1..", content) if is_strict \
                else re.sub(rb"(\A|\r\n)\.", rb"\1..", content)
            client.send(body + end + b".\r\n")
            reply = client.reply()
            if has_bare and is_strict:
                check_equal((reply.code, reply.enhanced), (550, "5.5.2"), name)
            else:
                check_equal(reply.code, 250, f"{name}: {reply}")
                kept[reply.queue_id] = (server, name)
        client.quit()
    for server, is_strict in ((strict, True), (lenient, False)):
        stored = server.stored()
        names = {q: n for q, (s, n) in kept.items() if s is server and q in stored}
        check_equal(len(stored), len([1 for s, _ in kept.values() if s is server]))
        for queue_id, item in stored.items():
            raw = corpus()[names[queue_id]]
            expected = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
            check_equal(item.content, ended(crlf(expected)), names[queue_id])


def from_mbox(data):
    """The messages of an mbox file, "From " lines taken off and quoting undone."""
    data = data.replace(b"\r\n", b"\n")
    parts = re.split(rb"(?:\A|(?<=\n\n))From [^\n]*\n", data)
    check_equal(parts[0], b"", "an mbox file that does not begin with From")
    for part in parts[1:]:
        check(part.endswith(b"\n"), "no empty line behind a message")
        yield crlf(re.sub(rb"^>(>*From )", rb"\1", part[:-1], flags=re.MULTILINE))


def test_formats(case):
    """eml, mbox and Maildir hold the same messages; one copy a message and envelope."""
    server = case.server()
    client = server.client()
    client.hello()
    files = {n: ended(crlf(c)) for n, c in corpus().items()}
    files["from"] = harness.message(body=b"\r\nFrom here on\r\n>From there\r\n\r\nFrom x\r\n")
    names = send_all(client, by_data, files)
    eml = server.export("eml", "eml")
    maildir = server.export("maildir", "maildir")
    mbox = server.export("mbox", "mbox")
    check_equal(len(eml), len(files))
    check_equal(len(maildir), len(files))
    check(all(re.match(r"(new|cur)/[^/]+$", name) for name in maildir), list(maildir)[:3])
    for folder in ("cur", "new", "tmp"):
        check(os.path.isdir(os.path.join(server.dir, "maildir", folder)), "no folder", folder)
    everything = {
        "eml": list(eml.values()),
        "maildir": [crlf(d) for d in maildir.values()],
        "mbox": [m for data in mbox.values() for m in from_mbox(data)],
    }
    for form, datas in everything.items():
        stored = [harness.Message(d) for d in datas]
        check_equal(len(stored), len(files), form)
        check_stored({m.queue_id: m for m in stored}, names, files, "ESMTP")


def test_several_recipients(case):
    """One message and envelope is one file, with no FOR in Received (CORE-50)."""
    server = case.server()
    client = server.client()
    client.hello()
    client.deliver(["a@mx.test.example", "b@mx.test.example"], harness.message())
    client.deliver([RECIPIENT], harness.message(), sender="")
    stored = list(server.stored().values())
    check_equal(len(stored), 2)
    check_equal(sorted(m.return_path for m in stored), ["", SENDER])
    (several,) = [m for m in stored if m.return_path]
    check(" for " not in several.received, several.received)


harness.main(globals())
