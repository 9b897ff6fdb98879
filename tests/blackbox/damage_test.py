# SPDX-License-Identifier: Apache-2.0
"""Damaged segments: verify names the message that is affected, recovery keeps all others."""

import os
import re
import shutil

import harness
from harness import check, check_equal, message

COUNT = 40


def fill(case, count=COUNT, **named):
    """A server that has stored `count` messages and was stopped; {queue id: content}."""
    server = case.server(shards=1, **named)
    client = server.client()
    client.hello()
    contents = {}
    for i in range(count):
        body = b"body of message %04d. " % i * (5 + 40 * (i % 5)) + b"\r\n"
        content = message(f"number {i}", body)
        reply = client.deliver([f"r{i}@mx.test.example"], content)
        contents[reply.queue_id] = content
    client.quit()
    return server, contents


def segments(server):
    """Files of the spool that hold messages: {path: bytes}."""
    found = {}
    for root, _, names in os.walk(server.spool):
        for name in names:
            path = os.path.join(root, name)
            with open(path, "rb") as f:
                data = f.read()
            if b"body of message" in data:
                found[path] = data
    check(found, "no segment holds the messages")
    return found


def place_of(server, marker):
    for path, data in segments(server).items():
        at = data.find(marker)
        if at >= 0:
            return path, at
    raise harness.Failure(f"{marker!r} is in no segment")


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x20]))


def verify(server, status):
    return harness.ctl("spool", "verify", "--spool", server.spool, status=status)


def named(text):
    return set(re.findall(rf"\b{harness.QUEUE_ID}\b", text))


def check_others(server, contents, damaged):
    """Everything but the damaged ones is there, and a server starts on it and goes on."""
    server.start()
    others = {q: c for q, c in contents.items() if q not in damaged}
    listed = set(server.spool_list())
    check(set(others) <= listed, "missing:", set(others) - listed)
    found = {q: m.content for q, m in server.stored(status=(0, 1)).items()}
    for queue_id, content in others.items():
        check_equal(found.get(queue_id), content, queue_id)
    check(not set(found) - set(contents), "messages that nobody sent")
    client = server.client()
    client.hello()
    reply = client.deliver(["after@mx.test.example"], message("after", b"body of message after"))
    check_equal(reply.code, 250)
    check(reply.queue_id not in contents, "a queue id was used again")
    client.quit()
    server.stop()
    check(reply.queue_id in server.spool_list(), "the new message is missing")


def test_undamaged(case):
    server, contents = fill(case)
    server.stop()
    verify(server, 0)
    check_equal({q: m.content for q, m in server.stored().items()}, contents)


def body_damage(case, is_killed):
    server, contents = fill(case)
    if is_killed:
        server.kill()
    else:
        server.stop()
    path, at = place_of(server, b"body of message 0017. ")
    flip(path, at + 30)
    (queue_id,) = [q for q, c in contents.items() if b"message 0017." in c]
    text = verify(server, 1)
    check_equal(named(text) & set(contents), {queue_id}, text)
    harness.ctl("spool", "show", queue_id, "--spool", server.spool, status=(0, 1))
    check_others(server, contents, {queue_id})
    check(queue_id in named(verify(server, 1)), "no longer named after a restart")


def test_body_after_stop(case):
    body_damage(case, False)


def test_body_after_kill(case):
    body_damage(case, True)


def test_envelope(case):
    """A bit in an envelope: that message is lost, and only that one."""
    server, contents = fill(case)
    server.stop()
    path, at = place_of(server, b"r23@mx.test.example")
    flip(path, at + 1)
    (queue_id,) = [q for q, c in contents.items() if b"message 0023." in c]
    text = verify(server, 1)
    check(named(text) & set(contents) <= {queue_id}, text)
    check_others(server, contents, {queue_id})


def test_anywhere(case):
    """A bit anywhere among the records: at most one message is affected, and verify says so; only
    the zeros that fill a record up to its alignment are nobody's."""
    server, contents = fill(case, 12)
    server.stop()
    path, first = place_of(server, b"body of message 0000. ")
    _, last = place_of(server, b"body of message 0011. ")
    data = segments(server)[path]
    pristine = os.path.join(case.dir, "pristine")
    shutil.copytree(server.spool, pristine)
    quiet = 0
    for step in range(12):
        shutil.rmtree(server.spool)
        shutil.copytree(pristine, server.spool)
        at = first + (last - first) * step // 12
        flip(path, at)
        text = verify(server, (0, 1))
        server.start()
        found = server.stored(status=(0, 1))
        lost = {q for q, c in contents.items() if q not in found or found[q].content != c}
        check(len(lost) <= 1, f"byte {at}: {len(lost)} messages are lost\n{text}")
        if "no damage" in text:
            quiet += 1
            check(data[at] == 0 and not lost, f"byte {at}: {text}")
        server.stop()
    check(quiet < 12, "nothing was ever noticed")


def test_cut_tail(case):
    """The end of the segment is missing, as after a crash: what was before it stays."""
    server, contents = fill(case)
    server.kill()
    path, at = place_of(server, b"body of message 0030. ")
    os.truncate(path, at + 10)
    before = {q for q, c in contents.items()
              if int(re.search(rb"message (\d{4})\.", c).group(1)) < 30}
    server.start()
    check(before <= set(server.spool_list()), "earlier messages are missing")
    found = server.stored()
    for queue_id in before:
        check_equal(found[queue_id].content, contents[queue_id])
    server.stop()


def test_foreign_and_broken_files(case):
    """Files that are not ours, or are ours no more, do not keep the server from starting."""
    server, contents = fill(case)
    server.stop()
    (path, data), *_ = segments(server).items()
    for name, content in (("README", b"hello"), (os.path.basename(path) + ".bak", data[:100])):
        with open(os.path.join(os.path.dirname(path), name), "wb") as f:
            f.write(content)
    check_others(server, contents, set())


harness.main(globals())
